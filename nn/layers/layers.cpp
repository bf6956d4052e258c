#include <cmath>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

// ---- Affine ----

Affine::Affine(std::int64_t in, std::int64_t out, Generator& generator, const AffineOptions& options) {
  if (in < 1 || out < 1)
    throw ArgumentError(
        fmt::format("affine: {} inputs and {} outputs; there must be at least one of each", in, out));
  weight_ = Parameter(options.init({in, out}, generator, options.dtype));
  if (options.bias) bias_ = Parameter(Tensor::zeros({out}, options.dtype));
}

Affine::Affine(Parameter weight, Parameter bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
  if (weight_.shape().rank() != 2)
    throw ShapeError(
        fmt::format("affine: the weight is {}; it must be [in, out]", to_string(weight_.shape())));
  if (!bias_.defined()) return;
  if (bias_.shape() != Shape{out()})
    throw ShapeError(fmt::format("affine: the bias is {}, the weight {}; they must be [out] and [in, out]",
                                 to_string(bias_.shape()), to_string(weight_.shape())));
  if (bias_.dtype() != weight_.dtype())
    throw DtypeError(fmt::format("affine: the bias is {}, the weight {}; cast one of them",
                                 name_of(bias_.dtype()), name_of(weight_.dtype())));
}

void Affine::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

Tensor Affine::forward(const Tensor& x) {
  return bias_.defined() ? affine(x, weight_, bias_) : matmul(x, weight_);
}

std::unique_ptr<Module> Affine::blank() const { return std::unique_ptr<Affine>(new Affine); }

// ---- functions ----

Tensor functions::FlattenItems::operator()(const Tensor& x) const {
  if (x.rank() == 0)
    throw ShapeError(fmt::format("{}: a scalar has no items to flatten", op_label("flatten")));
  return x.rank() == 1 ? unsqueeze(x, 1) : flatten(x, 1);
}

template class Function<functions::Plain<relu>>;
template class Function<functions::WithNumber<leaky_relu, 1>>;
template class Function<functions::WithNumber<elu, 100>>;
template class Function<functions::Plain<sigmoid>>;
template class Function<functions::Plain<tanh>>;
template class Function<functions::Plain<softplus>>;
template class Function<functions::Plain<gelu>>;
template class Function<functions::Plain<silu>>;
template class Function<functions::Plain<identity>>;
template class Function<functions::FlattenItems>;

// ---- BatchNorm ----

BatchNorm::BatchNorm(std::int64_t features, const BatchNormOptions& options)
    : features_(features), options_(options) {
  if (features < 1)
    throw ArgumentError(fmt::format("batch_norm: {} features; there must be at least one", features));
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw ArgumentError(fmt::format("batch_norm: momentum is {}; it must be in [0, 1]", options.momentum));
  if (!(options.eps > 0 && std::isfinite(options.eps)))
    throw ArgumentError(fmt::format("batch_norm: eps is {}; it must be positive and finite", options.eps));
  gamma_ = Parameter(Tensor::ones({features}, options.dtype));
  beta_ = Parameter(Tensor::zeros({features}, options.dtype));
  running_mean_ = Tensor::zeros({features}, options.dtype);
  running_var_ = Tensor::ones({features}, options.dtype);
}

void BatchNorm::visit(Visitor& v) {
  v("gamma", gamma_);
  v("beta", beta_);
  v("running_mean", running_mean_);
  v("running_var", running_var_);
}

namespace {

/// a * of_a + b * of_b, in the dtype of a; b is f64. Neither is tracked.
Tensor blend(const Tensor& a, double of_a, const Tensor& b, double of_b) {
  Tensor result = Tensor::empty(a.shape(), a.dtype());
  visit_floating(a.dtype(), [&]<class T> {
    const std::span<T> to = result.mutable_values<T>();
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = static_cast<T>(static_cast<double>(a.values<T>()[i]) * of_a + b.values<double>()[i] * of_b);
  });
  return result;
}

}  // namespace

Tensor BatchNorm::forward(const Tensor& x) {
  if (x.rank() != 2 || x.dim(1) != features_)
    throw ShapeError(fmt::format("{}: input {}; it must be [n, {}]", op_label("batch_norm"),
                                 to_string(x.shape()), features_));
  if (!training()) return (x - running_mean_) * (rsqrt(running_var_ + options_.eps) * gamma_) + beta_;

  const auto n = static_cast<double>(x.dim(0));
  if (n < 2)
    throw ArgumentError(fmt::format(
        "{}: a batch of {} in training; the variance needs at least 2 (leave out a last batch that "
        "is not full, or call eval() to use the running statistics)",
        op_label("batch_norm"), n));
  const BatchNormalized batch = batch_norm(x, gamma_, beta_, options_.eps);
  const double keep = options_.momentum;
  running_mean_ = blend(running_mean_, keep, batch.mean, 1 - keep);
  running_var_ = blend(running_var_, keep, batch.variance, (1 - keep) * n / (n - 1));
  return batch.y;
}

std::unique_ptr<Module> BatchNorm::blank() const { return std::make_unique<BatchNorm>(features_, options_); }

// ---- Dropout ----

Dropout::Dropout(double ratio, std::uint64_t seed) : ratio_(ratio), generator_(seed) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(fmt::format("dropout: ratio is {}; it must be in [0, 1)", ratio));
}

void Dropout::visit(Visitor& v) { v("generator", generator_); }

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || ratio_ == 0) return x;
  const Tensor mask = bernoulli(x.shape(), generator_, 1 - ratio_, x.dtype());
  return x * (mask * (1 / (1 - ratio_)));
}

std::unique_ptr<Module> Dropout::blank() const {
  return std::make_unique<Dropout>(ratio_, generator_.state().seed);
}

}  // namespace tapegrad::nn
