#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/element_access.h>
#include <tapegrad/ops/loops/vector_loop.h>
#include <tapegrad/ops/numbers/real.h>
#include <tapegrad/ops/op.h>

/// The loops of elementwise ops: for each op and dtype one contiguous loop forward and one per input
/// backward. What surrounds them (broadcasting, the reduction of broadcast gradients, accumulation) works in
/// blocks, is written once and knows no op.
namespace tapegrad::detail {

inline constexpr std::size_t kMaxArity = 3;

/// Forward, `in` are the inputs. Backward, the gradient of the output, the inputs, and at kOutputOperand the
/// output; null where the gradient does not read them.
using ElementwiseLoop = PerIsa<const void*, std::size_t, const void* const*, void*>;
inline constexpr std::size_t kOutputOperand = 1 + kMaxArity;
inline constexpr std::size_t kBackwardOperands = 2 + kMaxArity;

struct ElementwiseOp {
  const char* name;
  std::size_t arity;
  unsigned identity_grad;  ///< bit i: the gradient of input i is grad_output itself
  std::array<SaveMask, 4> saves;
  ElementwiseLoop forward[3];  ///< by dtype; null where the op does not take it
  ElementwiseLoop backward[kMaxArity][2];
};

/// Stands for a value that the op does not save: no formula compiles with it.
struct NotSaved {};

template <std::size_t Grad, class Op, class... A>
auto elementwise_vjp(const Op& op, const A&... arguments) {
  if constexpr (Op::arity == 1)
    return op.vjp(arguments...);
  else if constexpr (Grad == 0)
    return op.vjp0(arguments...);
  else if constexpr (Grad == 1)
    return op.vjp1(arguments...);
  else
    return op.vjp2(arguments...);
}

template <class T>
Elements<T, Real<T>> elements(const void* p) {
  return {static_cast<const T*>(p)};
}

template <class Op, class T>
struct ForwardKernel {
  static void run(const void* attributes, std::size_t n, const void* const* in, void* out) {
    loop(attributes, n, in, static_cast<T*>(out), std::make_index_sequence<Op::arity>{});
  }

 private:
  template <std::size_t... I>
  static void loop(const void* attributes, std::size_t n, const void* const* in, T* out,
                   std::index_sequence<I...>) {
    const Op op = *static_cast<const Op*>(attributes);  // a local, so that attributes stay in registers
    vector_loop(
        n, out, [&](auto... x) { return number(op.f(x...)).v; }, elements<T>(in[I])...);
  }
};

template <class Op, class T, std::size_t Grad>
struct BackwardKernel {
  static void run(const void* attributes, std::size_t n, const void* const* in, void* out) {
    loop(attributes, n, in, static_cast<T*>(out), std::make_index_sequence<Op::arity>{});
  }

 private:
  template <std::size_t... I>
  static void loop(const void* attributes, std::size_t n, const void* const* in, T* out,
                   std::index_sequence<I...>) {
    const Op op = *static_cast<const Op*>(attributes);
    vector_loop(
        n, out, [&](auto... a) { return elementwise_vjp<Grad>(op, a...).v; }, elements<T>(in[0]),
        saved<I>(in[1 + I])..., saved<kOutputBit>(in[kOutputOperand]));
  }
  template <unsigned Bit>
  static auto saved(const void* p) {
    if constexpr (Op::saves[Grad] >> Bit & 1u)
      return elements<T>(p);
    else
      return NoElements<NotSaved>{};
  }
};

template <class Kernel>
constexpr ElementwiseLoop elementwise_loop() {
  return per_isa<Kernel, const void*, std::size_t, const void* const*, void*>();
}

template <class Op>
constexpr ElementwiseOp make_elementwise() {
  ElementwiseOp e{Op::name, Op::arity, 0, {}, {}, {}};
  e.forward[0] = elementwise_loop<ForwardKernel<Op, float>>();
  e.forward[1] = elementwise_loop<ForwardKernel<Op, double>>();
  if constexpr (requires { Op::identity_grad; }) e.identity_grad = Op::identity_grad;
  if constexpr (requires { Op::integers; }) {
    if constexpr (Op::integers) e.forward[2] = elementwise_loop<ForwardKernel<Op, std::int64_t>>();
  }
  if constexpr (requires { Op::saves; }) {
    e.saves = Op::saves;
    [&]<std::size_t... G>(std::index_sequence<G...>) {
      ((e.backward[G][0] = elementwise_loop<BackwardKernel<Op, float, G>>(),
        e.backward[G][1] = elementwise_loop<BackwardKernel<Op, double, G>>()),
       ...);
    }
    (std::make_index_sequence<Op::arity>{});
  }
  return e;
}

template <class Op>
inline constexpr ElementwiseOp kElementwise = make_elementwise<Op>();

/// For an arity of 1 to 3, that of the op.
template <std::size_t Arity>
TAPEGRAD_API Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in);
template <std::size_t Arity>
TAPEGRAD_API void elementwise_backward(const ElementwiseOp& e, const void* op, ElementAccess context);

}  // namespace tapegrad::detail
