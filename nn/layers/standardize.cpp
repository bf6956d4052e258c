#include <cmath>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>

namespace tapegrad::nn {

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
