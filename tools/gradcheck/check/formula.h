#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include <tapegrad/gradcheck/check/instrumented.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/op.h>

/// The formulas of elementwise ops, evaluated for one element at a time with Instrumented numbers.
namespace tapegrad::gradcheck::detail {

struct Formula {
  std::size_t arity = 0;
  double (*value)(const void* attributes, const double* in) = nullptr;
  /// The gradient of input i, from the gradient of the output and the values that the op has saved; null for
  /// an op without a derivative.
  using Vjp = double (*)(const void* attributes, double grad_output, const double* in, double y);
  std::array<Vjp, tapegrad::detail::kMaxFormulaArity> vjp{};
};

template <class Op>
double observed_value(const void* attributes, const double* in) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return number(tapegrad::detail::op_of<Op>(attributes).f(Instrumented::of(in[I])...)).r.v;
  }
  (std::make_index_sequence<Op::arity>{});
}

template <class Op, std::size_t Grad, unsigned Bit>
auto observed_operand(double x) {
  if constexpr (tapegrad::detail::saves_for_input<Op>(Grad) >> Bit & 1u)
    return Instrumented::of(x);
  else
    return tapegrad::detail::NotSaved{};
}

template <class Op, std::size_t Grad>
double observed_vjp(const void* attributes, double grad_output, const double* in, double y) {
  const double r = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return tapegrad::detail::elementwise_vjp<Grad>(
               tapegrad::detail::op_of<Op>(attributes), Instrumented::of(grad_output),
               observed_operand<Op, Grad, I>(in[I])...,
               observed_operand<Op, Grad, tapegrad::detail::kOutputBit>(y))
        .r.v;
  }
  (std::make_index_sequence<Op::arity>{});
  // As in the loops, where nothing comes in nothing goes out, however steep the function is.
  return !tapegrad::detail::selects<Op> && grad_output == 0 ? grad_output : r;
}

template <class Op>
constexpr Formula make_formula() {
  Formula f;
  f.arity = Op::arity;
  f.value = &observed_value<Op>;
  if constexpr (requires { Op::saves; }) [&]<std::size_t... G>(std::index_sequence<G...>) {
      ((f.vjp[G] = &observed_vjp<Op, G>), ...);
    }
  (std::make_index_sequence<Op::arity>{});
  return f;
}

/// Null for an op that is not elementwise.
template <class Op>
const Formula* formula_of() {
  if constexpr (is_elementwise<Op>) {
    static constexpr Formula kFormula = make_formula<Op>();
    return &kFormula;
  } else {
    return nullptr;
  }
}

}  // namespace tapegrad::gradcheck::detail
