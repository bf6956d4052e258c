#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/flatten.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

Tensor Flatten::forward(const Tensor& x) {
  if (x.rank() == 0)
    throw ShapeError(fmt::format("{}: a scalar has no items to flatten", op_label("flatten")));
  return x.rank() == 1 ? unsqueeze(x, 1) : flatten(x, 1);
}

std::unique_ptr<ModuleBase> Flatten::new_like() const { return std::make_unique<Flatten>(); }

}  // namespace tapegrad::nn
