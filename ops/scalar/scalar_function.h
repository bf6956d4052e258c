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
#include <tapegrad/ops/scalar/real.h>
#include <tapegrad/ops/scalar/tensor_number.h>
#include <tapegrad/ops/tensor/shape.h>

/// Functions of scalars as one operation on tensors.
namespace tapegrad {

namespace detail {

/// The elements of a tensor as doubles, and as numbers that are recorded where it is tracked.
TAPEGRAD_API std::vector<double> scalar_values(const Tensor& x);
TAPEGRAD_API std::vector<TensorNumber> scalar_numbers(const Tensor& x);
/// Numbers as a tensor [count] of this dtype.
TAPEGRAD_API Tensor scalar_tensor(std::span<const double> numbers, Dtype dtype);
TAPEGRAD_API Tensor scalar_tensor(std::span<const TensorNumber> numbers, Dtype dtype);
/// The statements as a tensor, and the numbers of the results with how many statements and inputs there are.
TAPEGRAD_API Tensor saved_cells(const ScalarRecord<double>& record);
TAPEGRAD_API Tensor saved_results(const ScalarRecord<double>& record,
                                  std::span<const tapegrad::Real> results);
/// The gradients of all inputs, one behind the other, from that of the results.
TAPEGRAD_API std::vector<double> saved_gradients(const Tensor& cells, const Tensor& results,
                                                 const Tensor& grad_output, std::size_t inputs);
TAPEGRAD_API void require_scalar_inputs(std::span<const Tensor* const> in);

/// How many numbers each of N inputs has; they lie one behind the other.
template <std::size_t N>
using ScalarSizes = std::array<std::int64_t, N>;

/// use(results) with what f makes of the inputs, as a span, and whether it is a single number.
template <class R, class F, std::size_t N, class Use>
auto call_scalars(const F& f, const std::vector<R>& inputs, const ScalarSizes<N>& sizes, const Use& use) {
  std::array<std::span<const R>, N> parts;
  std::size_t from = 0;
  for (std::size_t i = 0; i < N; ++i) {
    parts[i] = std::span(inputs).subspan(from, static_cast<std::size_t>(sizes[i]));
    from += parts[i].size();
  }
  const auto y = std::apply([&](const auto&... part) { return f(part...); }, parts);
  if constexpr (std::is_convertible_v<decltype(y), R>) {
    const R one = y;  // it may be an expression
    return use(std::span<const R>(&one, 1), true);
  } else {
    return use(std::span<const R>(y), false);
  }
}

/// The inputs x of an evaluation, from number `first` on.
template <class V>
std::vector<BasicReal<V>> inputs_of(const ScalarRecord<V>& record, const std::vector<V>& x,
                                    std::size_t first) {
  std::vector<BasicReal<V>> inputs;
  inputs.reserve(x.size());
  for (const V& number : x)
    inputs.push_back(BasicReal<V>::input(record, static_cast<std::uint32_t>(first + inputs.size()), number));
  return inputs;
}

/// The gradient of the sum of f's results times w, for the inputs x: in numbers V, which may be recorded in turn.
template <class V, class F, std::size_t N>
std::vector<V> gradient_of_scalars(const F& f, const ScalarSizes<N>& sizes, const std::vector<V>& x,
                                   const std::vector<V>& w) {
  ScalarRecord<V> record(x.size());
  return call_scalars(f, inputs_of(record, x, 1), sizes, [&](std::span<const BasicReal<V>> results, bool) {
    return record.gradients(results, w);
  });
}

/// The gradient of v times that gradient, for x and w, one behind the other.
template <class V, class F, std::size_t N>
std::vector<V> second_gradient_of_scalars(const F& f, const ScalarSizes<N>& sizes, const std::vector<V>& x,
                                          const std::vector<V>& w, const std::vector<V>& v) {
  ScalarRecord<V> record(x.size() + w.size());
  const std::vector<BasicReal<V>> g =
      gradient_of_scalars(f, sizes, inputs_of(record, x, 1), inputs_of(record, w, 1 + x.size()));
  return record.gradients(g, v);
}

/// f's first derivative as an operation, which has derivatives of its own: the n elements of all inputs and the
/// gradient w of its results give the gradient [n]. Its rules, as those of the function, are for ops that derive from
/// it, too: the checker has one of each, for its samples.
template <class F, std::size_t N>
struct ScalarGradientOp {
  static constexpr auto name = "scalar_function_gradient";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  F function;
  ScalarSizes<N> sizes;

  Tensor forward(const Tensor& x, const Tensor& w) const {
    return scalar_tensor(gradient_of_scalars(function, sizes, scalar_values(x), scalar_values(w)), x.dtype());
  }
  template <class Op>
  static void vjp_fused(VjpContext<Op>& ctx) {
    pass_back<double>(ctx, scalar_values);
  }
  template <class Op>
  static void vjp(VjpContext<Op>& ctx) {
    pass_back<TensorNumber>(ctx, scalar_numbers);
  }
  /// As of scalar_function.
  static void samples(Samples&) {}

 private:
  template <class V, class Op>
  static void pass_back(VjpContext<Op>& ctx, std::vector<V> (*numbers)(const Tensor&)) {
    const std::vector<V> x = numbers(ctx.template input<0>()), w = numbers(ctx.template input<1>());
    const std::vector<V> all =
        second_gradient_of_scalars(ctx.op().function, ctx.op().sizes, x, w, numbers(ctx.grad_output()));
    const std::span<const V> parts(all);
    if (ctx.needs_grad(0))
      ctx.add(0, reshape(scalar_tensor(parts.first(x.size()), ctx.input_dtype(0)), ctx.input_shape(0)));
    if (ctx.needs_grad(1))
      ctx.add(1, reshape(scalar_tensor(parts.subspan(x.size()), ctx.input_dtype(1)), ctx.input_shape(1)));
  }
};

template <class F, std::size_t... I>
constexpr bool takes_scalars(std::index_sequence<I...>, auto real) {
  return std::is_invocable_v<const F&, decltype((void)I, std::span<const decltype(real)>())...>;
}

template <class F, std::size_t N>
struct ScalarFunctionOp {
  /// Of Reals alone it is differentiable once.
  static constexpr bool generic =
      takes_scalars<F>(std::make_index_sequence<N>(), BasicReal<tapegrad::Real>());

  static constexpr auto name = "scalar_function";
  static constexpr std::uint8_t max_order = generic ? kAnyOrder : 1;
  static constexpr auto saves = saves_for(kResidual0 | kResidual1 | (generic ? (1u << N) - 1u : 0u));
  static constexpr bool composed = false;
  F function;

  /// r[0]: the statements; r[1]: the numbers of the results.
  Tensor forward(std::span<const Tensor* const> in, Residuals<2>& r) const {
    require_scalar_inputs(in);
    ScalarSizes<N> sizes;
    std::vector<double> x;
    for (std::size_t i = 0; i < N; ++i) {
      const std::vector<double> values = scalar_values(*in[i]);
      x.insert(x.end(), values.begin(), values.end());
      sizes[i] = in[i]->size();
    }
    std::optional<ScalarRecord<double>> record;  // without one, Reals are constants
    if (r.needed()) record.emplace(x.size());
    const auto inputs = record ? inputs_of(*record, x, 1) : std::vector<tapegrad::Real>(x.begin(), x.end());
    return call_scalars(function, inputs, sizes, [&](std::span<const tapegrad::Real> results, bool single) {
      if (record) {
        r[0] = saved_cells(*record);
        r[1] = saved_results(*record, results);
      }
      std::vector<double> values;
      for (const tapegrad::Real& y : results) values.push_back(y.value());
      const Tensor all = scalar_tensor(values, in[0]->dtype());
      return single ? reshape(all, {}) : all;
    });
  }

  template <class Op>
  static void vjp_fused(VjpContext<Op>& ctx) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < N; ++i) count += static_cast<std::size_t>(ctx.input_shape(i).size());
    const std::vector<double> all =
        saved_gradients(ctx.template residual<0>(), ctx.template residual<1>(), ctx.grad_output(), count);
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
  template <class Op>
  static void vjp(VjpContext<Op>& ctx) {
    if constexpr (generic)
      vjp_recorded(ctx, std::make_index_sequence<N>());
    else
      vjp_fused(ctx);
  }
  /// The points to check a function at are known to who writes it: gradcheck::check of the call does it.
  static void samples(Samples&) {}

 private:
  template <class Op, std::size_t... I>
  static void vjp_recorded(VjpContext<Op>& ctx, std::index_sequence<I...>) {
    const ScalarSizes<N> sizes{ctx.input_shape(I).size()...};
    const Tensor x = concat({reshape(ctx.template input<I>(), {sizes[I]})...});
    const Tensor g = apply_op(ScalarGradientOp<F, N>{ctx.op().function, sizes}, x, ctx.grad_output());
    std::int64_t from = 0;
    for (std::size_t i = 0; i < N; ++i) {
      if (ctx.needs_grad(i)) ctx.add(i, reshape(slice(g, 0, from, from + sizes[i]), ctx.input_shape(i)));
      from += sizes[i];
    }
  }
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
/// are recorded, and the gradient is one pass back over them.
///
/// It has derivatives of any order. Where a derivative is itself differentiated, as for a Hessian, f is evaluated once
/// more with an R that records the pass back as well; from the third order on its numbers are tensors on the tape,
/// which takes some hundred times as long. lgamma and tgamma have derivatives of the first two orders. A function of
/// Real alone (`[](std::span<const Real> p)`) is differentiable once.
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
