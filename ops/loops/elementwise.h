#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/element_access.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/numbers/real.h>
#include <tapegrad/ops/op.h>

/// The loops of elementwise ops: for each op and dtype one contiguous loop forward and one per input
/// backward, of maps one for all inputs. What surrounds them (broadcasting, the reduction of broadcast gradients,
/// accumulation) works in blocks, is written once and knows no op.
namespace tapegrad::detail {

/// Operands of an op whose gradients are formulas of their own, and of a map, whose formula gives them all.
inline constexpr std::size_t kMaxFormulaArity = 3;
inline constexpr std::size_t kMaxArity = kOutputBit;

/// Forward, `in` are the inputs. Backward, the gradient of the output, the inputs, and at output_operand() the
/// output; null where the gradient does not read them. A loop that makes several gradients is given where each goes
/// instead of where it goes: a T* for each input, null where it is not needed.
using ElementwiseLoop = PerIsa<const void*, std::int64_t, const void* const*, void*>;
constexpr std::size_t output_operand(std::size_t arity) { return 1 + arity; }
constexpr std::size_t backward_operands(std::size_t arity) { return 2 + arity; }

/// Of an op's masks, one for each input and the last for all that follow, that of input i.
constexpr SaveMask saves_for_input(const std::array<SaveMask, 4>& saves, std::size_t i) {
  return saves[i < saves.size() ? i : saves.size() - 1];
}

struct ElementwiseOp {
  const char* name;
  std::size_t arity;
  unsigned identity_grad;  ///< bit i: the gradient of input i is grad_output itself
  std::array<SaveMask, 4> saves;
  // By dtype; null where the op does not take it, or has no gradient, or not this one.
  ElementwiseLoop forward[kDtypeCount];
  ElementwiseLoop backward[kMaxFormulaArity][kDtypeCount];
  ElementwiseLoop joint_backward[kDtypeCount];  ///< all gradients at once: then there is none of each

  SaveMask saves_for_input(std::size_t i) const { return detail::saves_for_input(saves, i); }
  /// Whether the gradients are made by one loop, however many of them are needed.
  bool has_joint_backward(Dtype dtype) const {
    return joint_backward[static_cast<std::size_t>(dtype)][0] != nullptr;
  }
};

/// What the gradient of input i reads.
template <class Op>
constexpr SaveMask saves_for_input(std::size_t i) {
  return saves_for_input(Op::saves, i);
}

/// Stands for a value that the op does not save: no formula compiles with it.
struct NotSaved {};

/// Whether an op's rule makes all gradients at once, `gradients`, and each by itself, `gradient<i>`.
template <class Op>
inline constexpr bool has_gradients = requires {
  Op::makes_gradients;
};

template <std::size_t Grad, class Op, class... A>
auto elementwise_vjp(const Op& op, const A&... arguments) {
  if constexpr (has_gradients<Op>)
    return op.template gradient<Grad>(arguments...);
  else if constexpr (Op::arity == 1)
    return op.vjp(arguments...);
  else if constexpr (Grad == 0)
    return op.vjp0(arguments...);
  else if constexpr (Grad == 1)
    return op.vjp1(arguments...);
  else
    return op.vjp2(arguments...);
}

/// Whether the rule of an op gives its gradient, or a positive part of it, or nothing: the zeros it gives are right.
template <class Op>
inline constexpr bool selects = requires {
  Op::selects;
};

/// What a loop contributes; on tensors <tapegrad/ops/contribution.h> has the same, and the reason for adding 0.
template <class T>
Real<T> contribution(Real<T> g, Real<T> r) {
  return where(g != 0, r + 0, g);
}

/// The same where the derivative is a constant of the op. One that is infinite or NaN is no singular point that a
/// result may leave aside, but is in all elements: it shows.
template <class T>
Real<T> contribution_of_constant(Real<T> g, Real<T> r, double) {
  return where(g != 0, r + 0, where(r == 0, g, r));
}

/// The rule of an op on numbers or tensors.
template <class Op, std::size_t Grad, class G, class... A>
auto elementwise_contribution(const Op& op, const G& g, const A&... arguments) {
  auto r = elementwise_vjp<Grad>(op, g, arguments...);
  if constexpr (selects<Op>)
    return r;
  else
    return contribution(g, r);
}

template <class T>
Elements<T, Real<ComputeType<T>>> elements(const void* p) {
  return {static_cast<const T*>(p)};
}

template <class Op, class T>
struct ForwardKernel {
  static void run(const void* attributes, std::int64_t n, const void* const* in, void* out) {
    loop(attributes, n, in, static_cast<T*>(out), std::make_index_sequence<Op::arity>{});
  }

 private:
  template <std::size_t... I>
  static void loop(const void* attributes, std::int64_t n, const void* const* in, T* out,
                   std::index_sequence<I...>) {
    const Op op = *static_cast<const Op*>(attributes);  // a local, so that attributes stay in registers
    simd_map(
        n, out, [&](auto... x) { return number(op.f(x...)).v; }, elements<T>(in[I])...);
  }
};

template <class Op, class T, std::size_t Grad>
struct BackwardKernel {
  static void run(const void* attributes, std::int64_t n, const void* const* in, void* out) {
    loop(attributes, n, in, static_cast<T*>(out), std::make_index_sequence<Op::arity>{});
  }

 private:
  template <std::size_t... I>
  static void loop(const void* attributes, std::int64_t n, const void* const* in, T* out,
                   std::index_sequence<I...>) {
    const Op op = *static_cast<const Op*>(attributes);
    simd_map(
        n, out, [&](auto... a) { return elementwise_contribution<Op, Grad>(op, a...).v; }, elements<T>(in[0]),
        saved<I>(in[1 + I])..., saved<kOutputBit>(in[output_operand(Op::arity)]));
  }
  template <unsigned Bit>
  static auto saved(const void* p) {
    if constexpr (saves_for_input<Op>(Grad) >> Bit & 1u)
      return elements<T>(p);
    else
      return NoElements<NotSaved>{};
  }
};

/// All gradients of an op that has saved its inputs.
template <class Op, class T>
struct GradientsKernel {
  static void run(const void* attributes, std::int64_t n, const void* const* in, void* out) {
    loop(attributes, n, in, static_cast<T* const*>(out), std::make_index_sequence<Op::arity>{});
  }

 private:
  template <std::size_t... I>
  static void loop(const void* attributes, std::int64_t n, const void* const* in, T* const* out,
                   std::index_sequence<I...>) {
    const Op op = *static_cast<const Op*>(attributes);
    // Most formulas are of one thing that learns and of what is given: nothing is computed for the rest then.
    if (out[0] && (!out[I] + ...) == Op::arity - 1)
      return simd_map(
          n, out[0], [&](auto... a) { return elementwise_contribution<Op, 0>(op, a..., NotSaved{}).v; },
          elements<T>(in[0]), elements<T>(in[1 + I])...);
    simd_map_several<T, Op::arity>(
        n, out,
        [&](auto g, auto... x) {
          const auto all = op.gradients(g, x...);
          return std::array<T, Op::arity>{all[I].v...};
        },
        elements<T>(in[0]), elements<T>(in[1 + I])...);
  }
};

template <class Kernel>
constexpr ElementwiseLoop elementwise_loop() {
  return per_isa<Kernel, const void*, std::int64_t, const void* const*, void*>();
}

/// The loops of an op for elements of type T.
template <class Op, class T, std::size_t... G>
constexpr void add_loops(ElementwiseOp& e, std::index_sequence<G...>) {
  constexpr auto dtype = static_cast<std::size_t>(dtype_of<T>);
  if constexpr (is_floating(dtype_of<T>)) {
    e.forward[dtype] = elementwise_loop<ForwardKernel<Op, T>>();
    if constexpr (has_gradients<Op> && sizeof...(G) > 1)
      e.joint_backward[dtype] = elementwise_loop<GradientsKernel<Op, T>>();
    else if constexpr (requires { Op::saves; })
      ((e.backward[G][dtype] = elementwise_loop<BackwardKernel<Op, T, G>>()), ...);
  } else if constexpr (requires { Op::integers; }) {
    if constexpr (Op::integers) e.forward[dtype] = elementwise_loop<ForwardKernel<Op, T>>();
  }
}

template <class Op>
constexpr ElementwiseOp make_elementwise() {
  static_assert(Op::arity <= (has_gradients<Op> ? kMaxArity : kMaxFormulaArity),
                "an elementwise op has up to three operands, a map up to eight");
  ElementwiseOp e{Op::name, Op::arity, 0, {}, {}, {}, {}};
  if constexpr (requires { Op::identity_grad; }) e.identity_grad = Op::identity_grad;
  if constexpr (requires { Op::saves; }) e.saves = Op::saves;
  [&]<std::size_t... D>(std::index_sequence<D...>) {
    (add_loops<Op, typename DtypeRow<static_cast<Dtype>(D)>::type>(e, std::make_index_sequence<Op::arity>{}),
     ...);
  }
  (std::make_index_sequence<kDtypeCount>{});
  return e;
}

template <class Op>
inline constexpr ElementwiseOp kElementwise = make_elementwise<Op>();

/// For an arity of 1 to kMaxArity, that of the op.
template <std::size_t Arity>
TAPEGRAD_API Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in);
template <std::size_t Arity>
TAPEGRAD_API void elementwise_backward(const ElementwiseOp& e, const void* op, ElementAccess context);

}  // namespace tapegrad::detail
