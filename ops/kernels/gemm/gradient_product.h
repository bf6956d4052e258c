#pragma once

#include <cmath>
#include <cstdint>

#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/find.h>

/// Products with a gradient, in which an element of exactly 0 contributes nothing, even where it meets an infinity
/// or a NaN: those of a row that was masked or sliced away reach neither weights nor inputs.
namespace tapegrad::detail {

/// Which operands of a product are gradients.
enum class Gradient : std::uint8_t { none = 0, left = 0b01, right = 0b10, both = 0b11 };

constexpr bool is_left(Gradient which) { return (static_cast<unsigned>(which) & 0b01) != 0; }
constexpr bool is_right(Gradient which) { return (static_cast<unsigned>(which) & 0b10) != 0; }

/// `one`, or both where the other operand is a gradient, too.
constexpr Gradient and_other(Gradient one, bool other) { return other ? Gradient::both : one; }

/// Takes those elements of a product x y again that are not finite, without the terms in which a gradient is 0.
template <class T>
void without_zero_terms(const GemmShape& s, const T* x, const T* y, Gradient gradient, T* to) {
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      T& element = to[i * s.n + j];
      if (std::isfinite(element)) continue;
      element = 0;
      for (std::int64_t k = 0; k < s.k && !std::isnan(element); ++k) {
        const T a = x[s.transpose_a ? k * s.m + i : i * s.k + k];
        const T b = y[s.transpose_b ? j * s.k + k : k * s.n + j];
        const bool nothing = (is_left(gradient) && a == T{0}) || (is_right(gradient) && b == T{0});
        if (!nothing) element += a * b;
      }
    }
}

/// to = x y, or to += x y, where one of both is a gradient, or both are.
template <class T>
void gradient_product(const GemmShape& s, const T* x, const T* y, Gradient gradient, Destination<T> to) {
  const auto factors_are_finite = [&] {
    return (gradient == Gradient::right || all_finite(y, s.k * s.n)) &&
           (gradient == Gradient::left || all_finite(x, s.m * s.k));
  };
  if (to.add) {  // what is there could not be had again from a sum that is not finite
    if (factors_are_finite()) return gemm(s, T{1}, x, y, GemmStart<T>{T{1}}, to.data);
    return to.through(s.m * s.n, [&](T* product) {
      gradient_product(s, x, y, gradient, Destination<T>{product, false});
    });
  }
  gemm(s, T{1}, x, y, GemmStart<T>{}, to.data);
  if (!all_finite(to.data, s.m * s.n) && !factors_are_finite())
    without_zero_terms(s, x, y, gradient, to.data);
}

}  // namespace tapegrad::detail
