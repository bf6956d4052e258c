#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/statistics.h>
#include <tapegrad/ops/check.h>

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

/// What is counted of the items: groups of features that follow each other, all of one size, each by itself.
struct Counted {
  const Dataset& data;
  std::size_t features;
  std::size_t group;  ///< its size
  double count;       ///< of values behind each statistic
  StatisticsOf of;

  /// Gives all of a group what f makes of their values (begin, end).
  template <class F>
  void merge(std::vector<double>& values, F&& f) const {
    for (auto at = values.begin(); at != values.end(); at += static_cast<std::ptrdiff_t>(group)) {
      const auto end = at + static_cast<std::ptrdiff_t>(group);
      std::fill(at, end, f(at, end));
    }
  }

  /// The sum of of_feature(x, feature), the same for all of a group.
  template <class T, class F>
  std::vector<double> sum(F&& of_feature) const {
    std::vector<double> sum(features);
    each_element<T>(data, features, [&](std::size_t k, double x) { sum[k] += of_feature(x, k); });
    merge(sum, [](auto begin, auto end) { return std::accumulate(begin, end, 0.0); });
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
  c.merge(mean, [](auto begin, auto) { return *begin; });
  std::vector<double> rest = c.sum<T>([&](double x, std::size_t k) { return x - mean[k]; });
  for (double& r : rest) r /= c.count;
  if (!all_finite(rest))  // a sum may be infinite whose mean is not
    rest = c.sum<T>([&](double x, std::size_t k) { return x / c.count - mean[k] / c.count; });
  for (std::size_t k = 0; k < c.features; ++k) {
    mean[k] += rest[k];
    if (!std::isfinite(mean[k]))
      throw NonFinite(c.of == StatisticsOf::all_features
                          ? "input_statistics: some inputs are not finite"
                          : fmt::format("input_statistics: {} {} is not finite in all items",
                                        c.of == StatisticsOf::each_channel ? "channel" : "feature",
                                        k / c.group));
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
    c.merge(largest, [](auto begin, auto end) { return *std::max_element(begin, end); });
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

/// The shape of each statistic. Throws where inputs have none.
Shape shape_of(const Shape& item, StatisticsOf of) {
  if (item.size() == 0)
    throw ArgumentError(fmt::format("input_statistics: inputs {} have no features", to_string(item)));
  switch (of) {
    case StatisticsOf::each_feature:
      return item;
    case StatisticsOf::all_features:
      return {};
    case StatisticsOf::each_channel:
      break;
  }
  if (item.rank() < 2)
    throw ShapeError(
        fmt::format("input_statistics: inputs {} have no channels; they must be [c, ...], as images are that "
                    "are not flattened",
                    to_string(item)));
  Shape channels = item;
  for (std::size_t axis = 1; axis < item.rank(); ++axis) channels = channels.with(axis, 1);
  return channels;
}

}  // namespace

InputStatistics input_statistics(const Dataset& data, StatisticsOf of) {
  if (data.size() == 0) throw ArgumentError("input_statistics: the data set has no items");
  const Shape item = data.input_shape();
  const Tensor first = data.batch(0, 1).x;
  tapegrad::detail::require_floating("input_statistics", first, "the inputs");
  const Shape shape = shape_of(item, of);
  const auto group = static_cast<std::size_t>(item.size() / shape.size());
  const Counted counted{data, static_cast<std::size_t>(item.size()), group,
                        static_cast<double>(data.size()) * static_cast<double>(group), of};

  InputStatistics result{Tensor::empty(shape, first.dtype()), Tensor::empty(shape, first.dtype())};
  visit_floating(first.dtype(), [&]<class T> {
    const std::vector<double> mean = means_of<T>(counted, first.values<T>());
    const std::vector<double> stddev = deviations_of<T>(counted, mean);
    const std::span<T> means = result.mean.mutable_values<T>();
    const std::span<T> stddevs = result.stddev.mutable_values<T>();
    for (std::size_t k = 0; k < means.size(); ++k) {
      means[k] = static_cast<T>(mean[k * group]);
      stddevs[k] = static_cast<T>(stddev[k * group]);
      if (stddevs[k] == 0) stddevs[k] = 1;
    }
  });
  return result;
}

}  // namespace tapegrad::nn
