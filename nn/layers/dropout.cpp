#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/ops/neural/dropout.h>

#include <fmt/format.h>

namespace tapegrad::nn {

Dropout::Dropout(double ratio, std::uint64_t seed) : ratio_(ratio), generator_(seed) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(fmt::format("dropout: ratio is {}; it must be in [0, 1)", ratio));
}

void Dropout::visit(Visitor& v) { v("generator", generator_); }

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || ratio_ == 0) return x;
  return dropout(x, ratio_, generator_);
}

std::unique_ptr<ModuleBase> Dropout::new_like() const {
  return std::make_unique<Dropout>(ratio_, generator_.state().seed);
}

}  // namespace tapegrad::nn
