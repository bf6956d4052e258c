#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/affine.h>
#include <tapegrad/nn/layers/trainable.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/tensor/linalg.h>

#include <fmt/format.h>

namespace tapegrad::nn {

Affine::Affine(std::int64_t in, std::int64_t out, Generator& generator, const AffineOptions& options) {
  if (in < 1 || out < 1)
    throw ArgumentError(
        fmt::format("affine: {} inputs and {} outputs; there must be at least one of each", in, out));
  require_trainable("affine", options.dtype);
  tapegrad::detail::named("affine", [&] {
    weight_ = Parameter(options.init({in, out}, generator, options.dtype));
    if (options.bias) bias_ = Parameter(Tensor::zeros({out}, options.dtype));
  });
}

Affine::Affine(Parameter weight, Parameter bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
  if (weight_.shape().rank() != 2)
    throw ShapeError(
        fmt::format("affine: the weight is {}; it must be [in, out]", to_string(weight_.shape())));
  if (!bias_.defined()) return;
  if (bias_.shape() != Shape{out()})
    throw ShapeError(fmt::format("affine: the bias is {}, the weight {}; they must be [out] and [in, out]",
                                 to_string(bias_.shape()), to_string(weight_.shape())));
  tapegrad::detail::require_same_dtype("affine", weight_, bias_, "weight", "bias");
}

void Affine::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

Tensor Affine::forward(const Tensor& x) {
  return bias_.defined() ? affine(x, weight_, bias_) : affine(x, weight_);
}

std::unique_ptr<ModuleBase> Affine::new_like() const { return std::unique_ptr<Affine>(new Affine); }

}  // namespace tapegrad::nn
