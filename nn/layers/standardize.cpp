#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// add(feature, x) for each feature of each item.
template <class T, class F>
void each_element(const Dataset& data, std::size_t features, F&& add) {
  for (const Batch& b : in_order(data, 1000)) {
    const std::span<const T> x = b.x.values<T>();
    for (std::size_t item = 0; item < x.size(); item += features)
      for (std::size_t k = 0; k < features; ++k) add(k, static_cast<double>(x[item + k]));
  }
}

/// The sum over the items of of_feature(x, feature), for each feature.
template <class T, class F>
std::vector<double> sums(const Dataset& data, std::size_t features, F&& of_feature) {
  std::vector<double> sum(features);
  each_element<T>(data, features, [&](std::size_t k, double x) { sum[k] += of_feature(x, k); });
  return sum;
}

/// All features as one.
void join(std::vector<double>& sum) {
  std::fill(sum.begin(), sum.end(), std::accumulate(sum.begin(), sum.end(), 0.0));
}

}  // namespace

InputStatistics input_statistics(const Dataset& data, PerFeature per_feature) {
  if (data.size() == 0) throw ArgumentError("input_statistics: the data set has no items");
  const Shape& shape = data.input_shape();
  const Tensor first = data.batch(0, 1).x;
  tapegrad::detail::require_floating("input_statistics", first, "the inputs");
  const bool all = per_feature == PerFeature::no;
  const auto features = static_cast<std::size_t>(shape.size());
  if (features == 0)
    throw ArgumentError(fmt::format("input_statistics: inputs {} have no features", to_string(shape)));
  const double count = static_cast<double>(data.size()) * (all ? static_cast<double>(features) : 1);

  const Shape result_shape = all ? Shape{} : shape;
  InputStatistics result{Tensor::empty(result_shape, first.dtype()),
                         Tensor::empty(result_shape, first.dtype())};
  visit_floating(first.dtype(), [&]<class T> {
    // Summed are differences from one of the values: a constant has exactly that mean, and the variance 0.
    std::vector<double> mean(first.values<T>().begin(), first.values<T>().end());
    if (all) std::fill(mean.begin(), mean.end(), mean.front());
    std::vector<double> sum = sums<T>(data, features, [&](double x, std::size_t k) { return x - mean[k]; });
    if (all) join(sum);
    for (double& s : sum) s /= count;
    if (!std::ranges::all_of(sum, [](double s) { return std::isfinite(s); })) {
      // A sum may be infinite whose mean is not.
      sum = sums<T>(data, features, [&](double x, std::size_t k) { return x / count - mean[k] / count; });
      if (all) join(sum);
    }
    for (std::size_t k = 0; k < features; ++k) {
      mean[k] += sum[k];
      if (!std::isfinite(mean[k]))
        throw NonFinite(all ? "input_statistics: some inputs are not finite"
                            : fmt::format("input_statistics: feature {} is not finite in all items", k));
    }
    sum = sums<T>(data, features, [&](double x, std::size_t k) { return (x - mean[k]) * (x - mean[k]); });
    if (all) join(sum);
    std::vector<double> scale(features, 1);
    if (!std::ranges::all_of(sum, [](double s) { return s > 1e-280 && std::isfinite(s); })) {
      // Squares that f64 cannot hold: those of distances beside the largest.
      std::vector<double> largest(features);
      each_element<T>(data, features, [&](std::size_t k, double x) {
        largest[k] = std::max(largest[k], std::abs(x / 2 - mean[k] / 2));
      });
      if (all) std::fill(largest.begin(), largest.end(), *std::ranges::max_element(largest));
      for (std::size_t k = 0; k < features; ++k)
        if (largest[k] > 0 && !(sum[k] > 1e-280 && std::isfinite(sum[k]))) scale[k] = largest[k];
      sum = sums<T>(data, features, [&](double x, std::size_t k) {
        const double d = x / scale[k] - mean[k] / scale[k];
        return d * d;
      });
      if (all) join(sum);
    }
    const std::span<T> means = result.mean.mutable_values<T>();
    const std::span<T> stddevs = result.stddev.mutable_values<T>();
    for (std::size_t k = 0; k < means.size(); ++k) {
      means[k] = static_cast<T>(mean[k]);
      stddevs[k] = static_cast<T>(scale[k] * std::sqrt(sum[k] / count));
      if (stddevs[k] == 0) stddevs[k] = 1;
    }
  });
  return result;
}

Standardize::Standardize(const InputStatistics& statistics)
    : mean_(statistics.mean), stddev_(statistics.stddev) {
  constexpr auto op = "standardize";
  constexpr auto mean_name = "the mean";
  constexpr auto stddev_name = "the standard deviation";
  tapegrad::detail::require_defined(op, mean_, mean_name);
  tapegrad::detail::require_defined(op, stddev_, stddev_name);
  if (mean_.shape() != stddev_.shape())
    throw ShapeError(
        fmt::format("standardize: the mean is {}, the standard deviation {}; they must be of one shape",
                    to_string(mean_.shape()), to_string(stddev_.shape())));
  tapegrad::detail::require_same_dtype(op, mean_, stddev_, mean_name, stddev_name);
  tapegrad::detail::require_floating(op, mean_, mean_name);
  visit_floating(mean_.dtype(), [&]<class T> {
    for (const T m : mean_.values<T>())
      if (!std::isfinite(m))
        throw ArgumentError(fmt::format("standardize: a mean is {}; it must be finite", m));
    for (const T d : stddev_.values<T>())
      if (!(d > 0 && std::isfinite(d)))
        throw ArgumentError(
            fmt::format("standardize: a standard deviation is {}; it must be positive and finite", d));
  });
}

void Standardize::visit(Visitor& v) {
  v("mean", mean_);
  v("stddev", stddev_);
}

Tensor Standardize::forward(const Tensor& x) {
  const Shape& of = mean_.shape();
  bool fits = x.rank() > of.rank();
  for (std::size_t k = 1; fits && k <= of.rank(); ++k) {
    const std::int64_t own = of[of.rank() - k];
    fits = own == 1 || own == x.shape()[x.rank() - k];
  }
  if (!fits)
    throw ShapeError(fmt::format("{}: input {}; the statistics are of items {}", op_label("standardize"),
                                 to_string(x.shape()), to_string(of)));
  return (x - mean_) / stddev_;
}

std::unique_ptr<ModuleBase> Standardize::new_like() const {
  return std::make_unique<Standardize>(InputStatistics{mean_, stddev_});
}

}  // namespace tapegrad::nn
