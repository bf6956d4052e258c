#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/vjp.h>
#include <tapegrad/ops/kernels/real.h>
#include <tapegrad/ops/op.h>

/// The loops of elementwise ops: for each op and dtype one contiguous loop forward and one per input
/// backward. What surrounds them (broadcasting, the reduction of broadcast gradients, accumulation) works in
/// blocks, is written once and knows no op.
namespace tapegrad::detail {

using ForwardLoop = void (*)(const void* op, std::size_t n, const void* const* in, void* out);
using BackwardLoop = void (*)(const void* op, std::size_t n, const void* gy, const void* const* in,
                              const void* out, void* gx);

inline constexpr std::size_t kMaxArity = 3;

struct ElementwiseOp {
  const char* name;
  std::size_t arity;
  unsigned passes;  ///< bit i: the gradient of input i is gy itself
  std::array<KeepMask, 4> keep;
  ForwardLoop forward[3];  ///< by dtype; null where the op does not take it
  BackwardLoop backward[kMaxArity][2];
};

/// Stands for a value that the op does not keep: no formula compiles with it.
struct NotKept {};

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

template <class Op, class T, std::size_t... I>
void forward_loop(const Op& op, std::size_t n, const void* const* in, T* __restrict out,
                  std::index_sequence<I...>) {
  const T* const p[] = {static_cast<const T*>(in[I])...};
  for (std::size_t j = 0; j < n; ++j) out[j] = number(op.f(Real<T>{p[I][j]}...)).v;
}

template <class Op, class T>
void forward_entry(const void* op, std::size_t n, const void* const* in, void* out) {
  const Op copy = *static_cast<const Op*>(op);  // a local, so that attributes stay in registers
  forward_loop<Op, T>(copy, n, in, static_cast<T*>(out), std::make_index_sequence<Op::arity>{});
}

template <class Op, class T, std::size_t Grad, unsigned Bit>
auto kept_number(const T* p, std::size_t j) {
  if constexpr (Op::keep[Grad] >> Bit & 1u)
    return Real<T>{p[j]};
  else
    return NotKept{};
}

template <class Op, class T, std::size_t Grad, std::size_t... I>
void backward_loop(const Op& op, std::size_t n, const T* gy, const void* const* in, const T* out,
                   T* __restrict gx, std::index_sequence<I...>) {
  const T* const p[] = {static_cast<const T*>(in[I])...};
  for (std::size_t j = 0; j < n; ++j)
    gx[j] = elementwise_vjp<Grad>(op, Real<T>{gy[j]}, kept_number<Op, T, Grad, I>(p[I], j)...,
                                  kept_number<Op, T, Grad, kOutputBit>(out, j))
                .v;
}

template <class Op, class T, std::size_t Grad>
void backward_entry(const void* op, std::size_t n, const void* gy, const void* const* in, const void* out,
                    void* gx) {
  const Op copy = *static_cast<const Op*>(op);
  backward_loop<Op, T, Grad>(copy, n, static_cast<const T*>(gy), in, static_cast<const T*>(out),
                             static_cast<T*>(gx), std::make_index_sequence<Op::arity>{});
}

template <class Op>
constexpr ElementwiseOp make_elementwise() {
  ElementwiseOp e{
      Op::name, Op::arity, 0, {}, {&forward_entry<Op, float>, &forward_entry<Op, double>, nullptr}, {}};
  if constexpr (requires { Op::passes; }) e.passes = Op::passes;
  if constexpr (requires { Op::integers; }) {
    if constexpr (Op::integers) e.forward[2] = &forward_entry<Op, std::int64_t>;
  }
  if constexpr (requires { Op::keep; }) {
    e.keep = Op::keep;
    [&]<std::size_t... G>(std::index_sequence<G...>) {
      ((e.backward[G][0] = &backward_entry<Op, float, G>, e.backward[G][1] = &backward_entry<Op, double, G>),
       ...);
    }
    (std::make_index_sequence<Op::arity>{});
  }
  return e;
}

template <class Op>
inline constexpr ElementwiseOp kElementwise = make_elementwise<Op>();

TAPEGRAD_API Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in);
TAPEGRAD_API void elementwise_backward(const ElementwiseOp& e, const void* op, VjpContext& context);

}  // namespace tapegrad::detail
