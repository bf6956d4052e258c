#include <cmath>
#include <span>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/batch_norm.h>
#include <tapegrad/nn/layers/synchronised_norm.h>
#include <tapegrad/nn/layers/trainable.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/norm.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// a * of_a + b * of_b of f64. Neither is tracked.
Tensor blend(const Tensor& a, double of_a, const Tensor& b, double of_b) {
  Tensor result = Tensor::empty(a.shape(), f64);
  const std::span<double> to = result.mutable_values<double>();
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = a.values<double>()[i] * of_a + b.values<double>()[i] * of_b;
  return result;
}

/// The least eps whose root divides numbers of this type.
double least_eps(Dtype dtype) {
  const double least = 1 / row_of(dtype).largest;
  return least * least;
}

}  // namespace

BatchNorm::BatchNorm(std::int64_t features, const BatchNormOptions& options)
    : features_(features), options_(options) {
  require_trainable("batch_norm", options.dtype);
  if (features < 1)
    throw ArgumentError(fmt::format("batch_norm: {} features; there must be at least one", features));
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw ArgumentError(fmt::format("batch_norm: momentum is {}; it must be in [0, 1]", options.momentum));
  if (!(options.eps > 0 && std::isfinite(options.eps)))
    throw ArgumentError(fmt::format("batch_norm: eps is {}; it must be positive and finite", options.eps));
  if (const double least = least_eps(options.dtype); options.eps < least)
    throw ArgumentError(fmt::format(
        "batch_norm: eps is {}; for features of {} it must be at least {:.2g}: the reciprocal of its root "
        "is beyond them",
        options.eps, name_of(options.dtype), least));
  tapegrad::detail::named("batch_norm", [&] {
    gamma_ = Parameter(Tensor::ones({features}, options.dtype));
    beta_ = Parameter(Tensor::zeros({features}, options.dtype));
    running_mean_ = Tensor::zeros({features}, f64);
    running_var_ = Tensor::ones({features}, f64);
  });
}

void BatchNorm::visit(Visitor& v) {
  v("gamma", gamma_);
  v("beta", beta_);
  v("running_mean", running_mean_);
  v("running_var", running_var_);
}

Tensor BatchNorm::forward(const Tensor& x) {
  if (x.rank() < 2 || x.dim(1) != features_)
    throw ShapeError(fmt::format("{}: input {}; it must be [n, {}], or [n, {}, ...] as of images",
                                 op_label("batch_norm"), to_string(x.shape()), features_, features_));
  if (!training()) {
    const Tensor mean = cast(running_mean_, f64), variance = cast(running_var_, f64);  // as in update_running
    require_variances(variance, "running variance", "in training its values were");
    const auto beside = [&](const Tensor& t) { return tapegrad::detail::beside_planes(t, x.rank()); };
    const Tensor inv_std = cast(rsqrt(variance + options_.eps), x.dtype());
    return (x - beside(cast(mean, x.dtype()))) * beside(inv_std * gamma_) + beside(beta_);
  }

  if (options_.communicator && options_.communicator->size() > 1) {
    const SynchronisedNorm all = synchronised_norm(x, gamma_, beta_, options_.eps, *options_.communicator);
    update_running(all.mean, all.variance, all.count);
    return all.y;
  }
  const auto m = static_cast<double>(x.size() / features_);
  if (m < 2)
    throw ArgumentError(fmt::format(
        "{}: a batch of {} in training, {} with {} of each feature; the variance needs at least 2 (take "
        "larger batches, leave out a last one that is not full, or call eval() to use the running statistics)",
        op_label("batch_norm"), x.dim(0), to_string(x.shape()), m == 1 ? "1 element" : "no element"));
  const BatchNormalized batch = batch_norm(x, gamma_, beta_, options_.eps);
  update_running(batch.mean, batch.variance, m);
  return batch.y;
}

/// By the statistics of a batch with so many elements of each feature.
void BatchNorm::update_running(const Tensor& mean, const Tensor& variance, double count) {
  const double keep = options_.momentum;
  // A converted module may hold them as f32.
  Tensor new_mean = blend(cast(running_mean_, f64), keep, mean, 1 - keep);
  running_var_ = blend(cast(running_var_, f64), keep, variance, (1 - keep) * count / (count - 1));
  running_mean_ = std::move(new_mean);  // both, or neither where there is no memory for them
}

std::unique_ptr<ModuleBase> BatchNorm::new_like() const {
  return std::make_unique<BatchNorm>(features_, options_);
}

std::int64_t synchronise_batch_norm(ModuleBase& net, Communicator* communicator) {
  std::int64_t count = 0;
  for (const auto& [path, module] : net.modules())
    if (auto* const layer = dynamic_cast<BatchNorm*>(module)) {
      layer->set_communicator(communicator);
      ++count;
    }
  return count;
}

}  // namespace tapegrad::nn
