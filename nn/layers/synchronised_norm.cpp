#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/distributed/all_reduce.h>
#include <tapegrad/nn/layers/synchronised_norm.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

constexpr const char* kOp = "batch_norm";

/// The axes that statistics are taken over.
Axes all_but_channels(const Tensor& x) {
  std::array<std::int64_t, Shape::kMaxRank> axes{};
  std::iota(axes.begin() + 1, axes.end(), std::int64_t{2});
  return Axes(std::span<const std::int64_t>(axes.data(), x.rank() - 1));
}

}  // namespace

void require_variances(const Tensor& variances, std::string_view what, std::string_view values) {
  const std::span<const double> all = variances.values<double>();
  const auto found = std::ranges::find(all, std::numeric_limits<double>::infinity());
  if (found != all.end())
    throw ArgumentError(
        fmt::format("{}: the {} of feature {} is infinite: {} beyond 1e154, whose squares f64 does not hold; "
                    "scale the inputs",
                    op_label(kOp), what, found - all.begin(), values));
}

SynchronisedNorm synchronised_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                                   Communicator& communicator) {
  tapegrad::detail::require_same_dtype(kOp, x, gamma, "input", "gamma");
  const Axes axes = all_but_channels(x);
  const auto beside = [&](const Tensor& t) { return tapegrad::detail::beside_planes(t, x.rank()); };
  const std::int64_t channels = x.dim(1);
  const Tensor x64 = cast(x, f64);

  // Sums and the number of elements go together: a message costs more than what is in it.
  const auto own = static_cast<double>(x.size() / channels);
  const Tensor sums = all_reduce(concat({sum(x64, axes), Tensor::full({1}, own, f64)}), communicator);
  SynchronisedNorm result;
  result.count = sums.values<double>()[static_cast<std::size_t>(channels)];
  if (result.count < 2)
    throw ArgumentError(fmt::format(
        "{}: a batch in training with {} of each feature on all {} ranks together, {} here; the variance needs "
        "at least 2 (take larger batches, leave out a last one that is not full, or call eval() to use the running "
        "statistics)",
        op_label(kOp), result.count == 1 ? "1 element" : "no element", communicator.size(),
        to_string(x.shape())));
  const Tensor mean = slice(sums, 0, 0, channels) / result.count;
  // About the mean of all, since a difference of mean squares would lose the digits that both have in common.
  const Tensor deviation = x64 - beside(mean);
  const Tensor variance = all_reduce(sum(square(deviation), axes), communicator) / result.count;
  require_variances(variance, "variance over all ranks", "its values are");
  const Tensor x_hat = deviation * beside(rsqrt(variance + eps));
  result.y = cast(x_hat, x.dtype()) * beside(gamma) + beside(beta);
  result.mean = mean.detach();
  result.variance = variance.detach();
  return result;
}

}  // namespace tapegrad::nn
