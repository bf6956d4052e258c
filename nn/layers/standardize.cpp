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

/// What is counted of the items: each feature by itself, or all features as one.
struct Counted {
  const Dataset& data;
  std::size_t features;
  bool as_one;
  double count;  ///< of values behind each statistic

  /// The sum of of_feature(x, feature), where all features are one the same for each.
  template <class T, class F>
  std::vector<double> sum(F&& of_feature) const {
    std::vector<double> sum(features);
    each_element<T>(data, features, [&](std::size_t k, double x) { sum[k] += of_feature(x, k); });
    if (as_one) std::ranges::fill(sum, std::accumulate(sum.begin(), sum.end(), 0.0));
    return sum;
  }
};

bool all_finite(const std::vector<double>& v) {
  return std::ranges::all_of(v, [](double x) { return std::isfinite(x); });
}

template <class T>
std::vector<double> means_of(const Counted& c, std::span<const T> first_item) {
  // Summed are differences from one of the values: a constant has exactly that mean, and the variance 0.
  std::vector<double> mean(first_item.begin(), first_item.end());
  if (c.as_one) std::ranges::fill(mean, mean.front());
  std::vector<double> rest = c.sum<T>([&](double x, std::size_t k) { return x - mean[k]; });
  for (double& r : rest) r /= c.count;
  if (!all_finite(rest))  // a sum may be infinite whose mean is not
    rest = c.sum<T>([&](double x, std::size_t k) { return x / c.count - mean[k] / c.count; });
  for (std::size_t k = 0; k < c.features; ++k) {
    mean[k] += rest[k];
    if (!std::isfinite(mean[k]))
      throw NonFinite(c.as_one ? "input_statistics: some inputs are not finite"
                               : fmt::format("input_statistics: feature {} is not finite in all items", k));
  }
  return mean;
}

template <class T>
std::vector<double> deviations_of(const Counted& c, const std::vector<double>& mean) {
  std::vector<double> sum = c.sum<T>([&](double x, std::size_t k) { return (x - mean[k]) * (x - mean[k]); });
  std::vector<double> scale(c.features, 1);
  const auto is_held = [](double s) { return s > 1e-280 && std::isfinite(s); };
  if (!std::ranges::all_of(sum, is_held)) {
    // Squares that f64 cannot hold: those of distances beside the largest.
    std::vector<double> largest(c.features);
    each_element<T>(c.data, c.features, [&](std::size_t k, double x) {
      largest[k] = std::max(largest[k], std::abs(x / 2 - mean[k] / 2));
    });
    if (c.as_one) std::ranges::fill(largest, *std::ranges::max_element(largest));
    for (std::size_t k = 0; k < c.features; ++k)
      if (largest[k] > 0 && !is_held(sum[k])) scale[k] = largest[k];
    sum = c.sum<T>([&](double x, std::size_t k) {
      const double d = x / scale[k] - mean[k] / scale[k];
      return d * d;
    });
  }
  for (std::size_t k = 0; k < c.features; ++k) sum[k] = scale[k] * std::sqrt(sum[k] / c.count);
  return sum;
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
  const Counted counted{data, features, all,
                        static_cast<double>(data.size()) * (all ? static_cast<double>(features) : 1)};

  const Shape result_shape = all ? Shape{} : shape;
  InputStatistics result{Tensor::empty(result_shape, first.dtype()),
                         Tensor::empty(result_shape, first.dtype())};
  visit_floating(first.dtype(), [&]<class T> {
    const std::vector<double> mean = means_of<T>(counted, first.values<T>());
    const std::vector<double> stddev = deviations_of<T>(counted, mean);
    const std::span<T> means = result.mean.mutable_values<T>();
    const std::span<T> stddevs = result.stddev.mutable_values<T>();
    for (std::size_t k = 0; k < means.size(); ++k) {
      means[k] = static_cast<T>(mean[k]);
      stddevs[k] = static_cast<T>(stddev[k]);
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
