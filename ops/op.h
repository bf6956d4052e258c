#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/vjp.h>

/// The pattern of an operation. Everything about one stands in one struct:
///
///     struct Tanh {                                             // y = tanh(x), dy/dx = 1 - y^2
///       static constexpr auto name = "tanh";
///       static constexpr std::size_t arity = 1;                 // elementwise, of one operand
///       static constexpr auto keep = keeps(kOut);               // what the gradient may read
///       auto f(auto x) const { return tanh(x); }
///       auto vjp(auto g, auto, auto y) const { return g * (1 - y * y); }
///       static void samples(Samples& s) { s.unary(Tanh{}, {-3, 3}); }
///     };
///
/// Elementwise ops (those with an arity) are formulas over a generic number: instantiated for plain numbers
/// they become the loops of both passes, instantiated for tensors the recorded rule. With two or three
/// operands the gradients are vjp0(g, a, b, y), vjp1(...), vjp2(...). All other ops compute on tensors:
///
///     struct Sum { name; keep; Tensor f(const Tensor& x) const; static void vjp(Vjp<Sum>& m); samples };
///
/// Data members are the op's attributes; they must be trivially copyable. Optional members:
///
/// - max_order: highest order of derivative, 0 for none; default: any
/// - integers: elementwise, also takes i64 (default false)
/// - flat: bit i set where the gradient of input i is zero by definition; the checker asks for no other
/// - passes: elementwise, bit i set where the gradient of input i is g itself
/// - vjp_fused: others, a faster first-order rule; the checker compares it with vjp
/// - branches: others, a tensor that tells which way each decision of f goes at these inputs, so that the
/// checker's
///   differences do not step over a kink; of elementwise ops the formula tells
/// - composed: others, false where f runs no other operation (default true)
namespace tapegrad {

using detail::KeepMask;

inline constexpr KeepMask kNone = 0;
inline constexpr KeepMask kIn0 = 1;
inline constexpr KeepMask kIn1 = 2;
inline constexpr KeepMask kIn2 = 4;
inline constexpr KeepMask kIn3 = 8;
inline constexpr KeepMask kOut = KeepMask{1} << detail::kOutputBit;

/// keeps(a, b, ...): the gradient of input 0 reads a, that of input 1 reads b, that of all others the last.
template <class... M>
constexpr std::array<KeepMask, 4> keeps(M... masks) {
  std::array<KeepMask, 4> all{static_cast<KeepMask>(masks)...};
  for (std::size_t i = sizeof...(M); i < 4; ++i) all[i] = all[sizeof...(M) - 1];
  return all;
}

template <class Op>
inline constexpr bool is_elementwise = requires {
  Op::arity;
};

template <class... Ops>
struct TypeList {};

class Samples;

namespace detail {
/// The op that a node's attributes are the bytes of; none are stored of an op without members.
template <class Op>
const Op& op_of(const void* attributes) {
  if constexpr (std::is_empty_v<Op>) {
    static constexpr Op kOp{};
    return kOp;
  } else {
    return *static_cast<const Op*>(attributes);
  }
}
}  // namespace detail

/// What a rule on tensors sees of the node it differentiates.
template <class Op>
class Vjp {
 public:
  // The gradient is made here, so that a rule may read it from several threads.
  explicit Vjp(detail::VjpContext& context) : context_(context) { (void)context.gy(); }

  const Op& op() const { return detail::op_of<Op>(context_.attributes()); }
  /// Gradient with respect to the output.
  const Tensor& gy() const { return context_.gy(); }
  /// True where the gradient of input i is asked.
  bool wants(std::size_t i) const { return context_.wants(i); }
  bool recording() const { return context_.recording(); }
  /// A kept input. Valid where a gradient that keeps it is wanted.
  template <std::size_t I>
  Tensor in() const {
    static_assert(kept() >> I & 1u, "this op does not keep that input: add it to keep");
    return context_.input(I);
  }
  Tensor out() const {
    static_assert(kept() >> detail::kOutputBit & 1u, "this op does not keep its output: add it to keep");
    return context_.output();
  }
  std::size_t inputs() const { return context_.inputs(); }
  Shape in_shape(std::size_t i) const { return context_.input_shape(i); }
  Dtype in_dtype(std::size_t i) const { return context_.input_dtype(i); }
  Shape out_shape() const { return context_.output_shape(); }
  /// Adds to the gradient of input i.
  void add(std::size_t i, Tensor gradient) { context_.add(i, std::move(gradient)); }
  /// First-order only: f(Tensor& destination, bool add) writes the gradient in place, or adds it to what is
  /// there.
  template <class F>
  void accumulate(std::size_t i, F&& f) {
    context_.accumulate(i, f);
  }

 private:
  static constexpr KeepMask kept() {
    KeepMask all = 0;
    for (const KeepMask m : Op::keep) all |= m;
    return all;
  }
  detail::VjpContext& context_;
};

namespace detail {
/// The constant table of an op. Its definition is in <tapegrad/ops/define.h>; the library's own ops are
/// instantiated in the library alone.
template <class Op>
TAPEGRAD_API const OpTable& table_of();
}  // namespace detail

/// Runs an op, recording it where an input is tracked. (An `apply` would be mistaken for std::apply beside a
/// std::span.)
template <class Op, std::same_as<Tensor>... T>
Tensor apply_op(const Op& op, const T&... inputs) {
  const Tensor* list[] = {&inputs...};
  return detail::apply(detail::table_of<Op>(), &op, list, sizeof...(T));
}
template <class Op>
Tensor apply_op(const Op& op, std::span<const Tensor* const> inputs) {
  return detail::apply(detail::table_of<Op>(), &op, inputs.data(), inputs.size());
}

}  // namespace tapegrad
