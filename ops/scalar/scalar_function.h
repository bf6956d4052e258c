#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/scalar/real.h>

/// Functions of scalars as one operation on tensors.
namespace tapegrad {

namespace detail {

/// What f makes of the numbers of each input.
template <class F, std::size_t N, std::size_t... I>
auto call_scalars(const F& f, const std::array<std::vector<tapegrad::Real>, N>& inputs,
                  std::index_sequence<I...>) {
  return f(std::span<const tapegrad::Real>(inputs[I])...);
}

/// The elements of a tensor as doubles.
TAPEGRAD_API std::vector<double> scalar_values(const Tensor& x);
/// [count], or 0-d of a single number, of this dtype.
TAPEGRAD_API Tensor scalar_result(std::span<const tapegrad::Real> results, bool single, Dtype dtype);
/// The statements as a tensor, and the numbers of the results with how many statements and inputs there are.
TAPEGRAD_API Tensor scalar_cells(const ScalarRecord& record);
TAPEGRAD_API Tensor scalar_numbers(const ScalarRecord& record, std::span<const tapegrad::Real> results);
/// The gradients of all inputs, one behind the other, from that of the results.
TAPEGRAD_API std::vector<double> scalar_gradients(const Tensor& cells, const Tensor& numbers,
                                                  const Tensor& grad_output, std::size_t inputs);
TAPEGRAD_API void require_scalar_inputs(std::span<const Tensor* const> in);

template <class F, std::size_t N>
struct ScalarFunctionOp {
  static constexpr auto name = "scalar_function";
  static constexpr std::uint8_t max_order = 1;
  static constexpr auto saves = saves_for(kResidual0 | kResidual1);
  static constexpr bool composed = false;
  F function;

  /// r[0]: the statements; r[1]: the numbers of the results.
  Tensor forward(std::span<const Tensor* const> in, Residuals<2>& r) const {
    require_scalar_inputs(in);
    const Dtype dtype = in[0]->dtype();
    std::array<std::vector<double>, N> values;
    std::size_t count = 0;
    for (std::size_t i = 0; i < N; ++i) {
      values[i] = scalar_values(*in[i]);
      count += values[i].size();
    }
    std::optional<ScalarRecord> record;  // without one, Reals are constants
    if (r.needed()) record.emplace(count);
    std::array<std::vector<tapegrad::Real>, N> inputs;
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < N; ++i)
      for (const double x : values[i])
        inputs[i].push_back(record ? tapegrad::Real::input(*record, ++number, x) : tapegrad::Real(x));
    const auto tensor_of = [&](std::span<const tapegrad::Real> results, bool single) {
      if (record) {
        r[0] = scalar_cells(*record);
        r[1] = scalar_numbers(*record, results);
      }
      return scalar_result(results, single, dtype);
    };
    const auto y = call_scalars(function, inputs, std::make_index_sequence<N>());
    if constexpr (std::is_convertible_v<decltype(y), tapegrad::Real>) {
      const tapegrad::Real one = y;  // it may be an expression
      return tensor_of({&one, 1}, true);
    } else {
      return tensor_of(y, false);
    }
  }

  static void vjp(VjpContext<ScalarFunctionOp>& ctx) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < N; ++i) count += static_cast<std::size_t>(ctx.input_shape(i).size());
    const std::vector<double> all =
        scalar_gradients(ctx.template residual<0>(), ctx.template residual<1>(), ctx.grad_output(), count);
    const double* from = all.data();
    for (std::size_t i = 0; i < N; ++i) {
      const std::int64_t size = ctx.input_shape(i).size();
      if (ctx.needs_grad(i))
        visit_floating(ctx.input_dtype(i), [&]<class T> {
          ctx.template accumulate<T>(i, [&](Destination<T> to) {
            to.choose([&](auto put) {
              for (std::int64_t k = 0; k < size; ++k) put(to.data[k], static_cast<T>(from[k]));
            });
          });
        });
      from += size;
    }
  }
  /// The points to check a function at are known to who writes it: gradcheck::check of the call does it.
  static void samples(Samples&) {}
};

}  // namespace detail

/// y = f(x, ...): code of scalars, with loops and branches, as one node of the tape.
///
///     Tensor y = scalar_function([]<class R>(std::span<const R> p) {
///       R energy = 0;
///       for (std::size_t i = 0; i + 1 < p.size(); ++i) energy += square(p[i + 1] - p[i] * p[i]);
///       return energy;
///     }, p);
///
/// f takes the elements of each tensor as a std::span of numbers R, which is Real (<tapegrad/ops/scalar/real.h>), and
/// gives one R, for a result of shape [], or a std::vector or std::array of m, for one of shape [m]. Its statements
/// are recorded, and the gradient is one pass back over them. It is differentiable once: for derivatives of higher
/// order write the function with tensors, or with `map`.
///
/// What f captures must be trivially copyable, as numbers and references are, and is a constant. Elements of f32 are
/// computed with in double, and the results rounded.
/// Throws DtypeError for integers and mixed types, and what f throws.
template <class F, std::convertible_to<Tensor>... T>
Tensor scalar_function(const F& f, const Tensor& x, const T&... more) {
  static_assert(sizeof...(T) < 4, "scalar_function: one to four tensors");
  static_assert(
      std::is_trivially_copyable_v<F>,
      "scalar_function: capture numbers by value and others by reference; the function is copied into the "
      "tape as bytes");
  return apply_op(detail::ScalarFunctionOp<F, 1 + sizeof...(T)>{f}, x, static_cast<const Tensor&>(more)...);
}

}  // namespace tapegrad
