#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/ops/scalar/real.h>

/// Derivatives of functions of scalars, without a tensor in sight.
namespace tapegrad {

/// What value_and_gradient gives.
struct ScalarGradient {
  double value = 0;              ///< f(x)
  std::vector<double> gradient;  ///< for each input
};
/// What values_and_jacobian gives.
struct ScalarJacobian {
  std::vector<double> values;    ///< f(x)
  std::vector<double> jacobian;  ///< [values, inputs]: the derivatives of the first value, of the second, ...
};

namespace detail {

/// The weight of a single result.
inline constexpr double kOne = 1;

template <class F>
auto call_with_inputs(const ScalarRecord<double>& record, F&& f, std::span<const double> x) {
  std::vector<tapegrad::Real> inputs(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    inputs[i] = tapegrad::Real::input(record, static_cast<std::uint32_t>(i + 1), x[i]);
  return std::forward<F>(f)(std::span<const tapegrad::Real>(inputs));
}

}  // namespace detail

/// f(x) and its gradient, by one evaluation of f and one pass back over what it has computed. f takes a
/// std::span<const Real> and gives a Real:
///
///     auto [y, g] = value_and_gradient([](std::span<const Real> p) -> Real { return sin(p[0]) * p[1]; }, {0.5, 2.0});
///
/// Evaluations nest, and run on several threads at once. What f throws is passed on, and leaves nothing behind. Throws
/// Error where f uses a Real of another evaluation.
template <class F>
requires std::convertible_to<std::invoke_result_t<F, std::span<const Real>>, Real> ScalarGradient
value_and_gradient(F&& f, std::span<const double> x) {
  detail::ScalarRecord<double> record(x.size());
  const Real y = detail::call_with_inputs(record, std::forward<F>(f), x);
  return {y.value(), record.gradients({&y, 1}, {&detail::kOne, 1})};
}
template <class F>
requires std::convertible_to<std::invoke_result_t<F, std::span<const Real>>, Real> ScalarGradient
value_and_gradient(F&& f, const std::vector<double>& x) {
  return value_and_gradient(std::forward<F>(f), std::span<const double>(x));
}

/// The same of a function of several results, such as a std::vector<Real> or a std::array: one pass back for each.
template <class F>
requires std::convertible_to<std::invoke_result_t<F, std::span<const Real>>, std::span<const Real>>
    ScalarJacobian values_and_jacobian(F&& f, std::span<const double> x) {
  detail::ScalarRecord<double> record(x.size());
  const auto results = detail::call_with_inputs(record, std::forward<F>(f), x);
  const std::span<const Real> y = results;
  ScalarJacobian all{std::vector<double>(y.size()), std::vector<double>(y.size() * x.size())};
  for (std::size_t i = 0; i < y.size(); ++i) {
    all.values[i] = y[i].value();
    const std::vector<double> row = record.gradients({&y[i], 1}, {&detail::kOne, 1});
    std::copy(row.begin(), row.end(), all.jacobian.begin() + static_cast<std::ptrdiff_t>(i * x.size()));
  }
  return all;
}
template <class F>
requires std::convertible_to<std::invoke_result_t<F, std::span<const Real>>, std::span<const Real>>
    ScalarJacobian values_and_jacobian(F&& f, const std::vector<double>& x) {
  return values_and_jacobian(std::forward<F>(f), std::span<const double>(x));
}

}  // namespace tapegrad
