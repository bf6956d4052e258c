#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/element_access.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/loops/destination.h>

/// The pattern of an operation. Everything about one stands in one struct:
///
///     struct Tanh {                                             // y = tanh(x), dy/dx = 1 - y^2
///       static constexpr auto name = "tanh";
///       static constexpr std::size_t arity = 1;                 // elementwise, of one operand
///       static constexpr auto saves = saves_for(kOut);          // what the gradient may read
///       auto f(auto x) const { return tanh(x); }
///       auto vjp(auto g, auto, auto y) const { return g * (1 - y * y); }
///       static void samples(Samples& s) { s.unary(Tanh{}, {-3, 3}); }
///     };
///
/// In a header that many files include it is `samples(auto& s)`, a template that only the library's list of ops
/// instantiates. Elementwise ops (those with an arity) are formulas over a generic number: instantiated for plain
/// numbers they become the loops of both passes, instantiated for tensors the recorded rule. With two or three
/// operands the gradients are vjp0(g, a, b, y), vjp1(...), vjp2(...). All other ops compute on tensors:
///
///     struct MaxPool {                                          // y = the largest element of each window
///       static constexpr auto name = "max_pool";
///       static constexpr auto saves = saves_for(kResidual0);
///       std::int64_t window = 2;
///       Tensor forward(const Tensor& x, Residuals<1>& r) const; // r[0]: where the largest element stands
///       static void vjp(VjpContext<MaxPool>& ctx);              // ctx.grad_output(), ctx.residual<0>()
///       void describe(AttributeVisitor& v) const { v("window", window); }
///       static void samples(Samples& s);
///     };
///
/// `forward` takes each input as a const Tensor&, or all as a std::span<const Tensor* const>, and behind them the
/// residuals, where it has any. Data members are the op's attributes; they must be trivially copyable. Ops that users
/// write alike, such as x * y and x * 2, have names that differ behind a point: mul and mul.scalar; messages say mul.
///
/// Optional members:
///
/// - describe: tells the attributes by their names, for printing, drawing and export
/// - max_order: highest order of derivative, 0 for none; default: any
/// - integers: elementwise, also takes i64 (default false)
/// - divides_integers: elementwise, and no divisor of i64, the second operand, may be 0
/// - nondifferentiable_inputs: bit i set where the gradient of input i is zero by definition; the checker asks for
///   no other
/// - identity_grad: elementwise, bit i set where the gradient of input i is g itself
/// - selects: elementwise, where the rule gives g, or a positive part of it, or detail::kNothing for what the result
///   does not depend on, so that its zeros are right as they are; see <tapegrad/ops/contribution.h>
/// - optional_inputs: others, bit i set where input i may be an undefined tensor; see VjpContext::has_input
/// - vjp_fused: others, a faster first-order rule; the checker compares it with vjp
/// - branches: others, a tensor that tells which way each decision of forward goes at these inputs, so that the
///   checker's differences do not step over a kink; of elementwise ops the formula tells
/// - waiver: what the checker finds from an order on is excused, for a reason that it prints
/// - composed: others, false where forward runs no other operation (default true)
namespace tapegrad {

using detail::SaveMask;

/// What a rule reads: nothing, an input, the output, a residual. They are combined by |.
inline constexpr SaveMask kNone = 0;
inline constexpr SaveMask kIn0 = 1;
inline constexpr SaveMask kIn1 = 2;
inline constexpr SaveMask kIn2 = 4;
inline constexpr SaveMask kIn3 = 8;
inline constexpr SaveMask kOut = SaveMask{1} << detail::kOutputBit;
inline constexpr SaveMask kResidual0 = SaveMask{1} << detail::kResidualBit;
inline constexpr SaveMask kResidual1 = SaveMask{2} << detail::kResidualBit;
inline constexpr SaveMask kResidual2 = SaveMask{4} << detail::kResidualBit;
inline constexpr SaveMask kResidual3 = SaveMask{8} << detail::kResidualBit;

/// saves_for(a, b, ...): the gradient of input 0 reads a, that of input 1 reads b, that of all others the
/// last.
template <class... M>
constexpr std::array<SaveMask, 4> saves_for(M... masks) {
  std::array<SaveMask, 4> all{static_cast<SaveMask>(masks)...};
  for (std::size_t i = sizeof...(M); i < 4; ++i) all[i] = all[sizeof...(M) - 1];
  return all;
}

/// An op's word that its derivatives are as meant although differences say otherwise. The checker lists it,
/// and fails where nothing needs it.
struct Waiver {
  int from_order = 1;  ///< the lowest order that is excused
  const char* reason;  ///< is printed
};

/// Whether an op's struct is a formula over elements.
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

/// What forward hands to the rule beside its inputs and output: masks, positions, inverse deviations. Assigned in
/// forward; one that is left undefined is not saved. The tape holds the tensors themselves, so forward keeps no
/// other handle on them.
///
/// In a derivative that is itself recorded a residual is a constant. A rule that is to be differentiated again may
/// therefore read only residuals that do not change with the inputs but in leaps; others are for vjp_fused, and
/// vjp computes their value once more.
template <std::size_t N>
class Residuals {
  static_assert(N > 0 && N <= detail::kMaxResiduals);

 public:
  /// `place`: where they go; null where nobody will read them.
  explicit Residuals(Tensor* place) : place_(place) {}

  /// False where nothing will read them; what costs time to make need not be made then.
  bool needed() const noexcept { return place_ != nullptr; }
  /// Residual i, to be assigned.
  Tensor& operator[](std::size_t i) noexcept { return place_ ? place_[i] : unused_[i]; }

 private:
  Tensor* place_;
  std::array<Tensor, N> unused_;
};

/// What a rule on tensors sees of the node it differentiates.
template <class Op>
class VjpContext {
 public:
  // The gradient is made here, so that a rule may read it from several threads.
  /// The library's own: a rule is given one.
  explicit VjpContext(detail::RuleContext& context) : context_(context) { (void)context.grad_output(); }

  const Op& op() const { return detail::op_of<Op>(context_.attributes()); }
  /// Gradient with respect to the output.
  const Tensor& grad_output() const { return context_.grad_output(); }
  /// True where the gradient of input i is asked.
  bool needs_grad(std::size_t i) const { return context_.needs_grad(i); }
  /// True where the gradient is itself recorded.
  bool recording() const { return context_.recording(); }
  /// A saved input. Valid where a gradient that saves it is needed.
  template <std::size_t I>
  Tensor input() const {
    static_assert(saved() >> I & 1u, "this op does not save that input: add it to saves");
    return context_.input(I);
  }
  /// The saved output, likewise.
  Tensor output() const {
    static_assert(saved() >> detail::kOutputBit & 1u, "this op does not save its output: add it to saves");
    return context_.output();
  }
  /// What forward has put into Residuals.
  template <std::size_t I>
  Tensor residual() const {
    static_assert(saved() >> (detail::kResidualBit + I) & 1u,
                  "this op does not save that residual: add it to saves");
    return context_.residual(I);
  }
  /// How many inputs the node has.
  std::size_t inputs() const { return context_.inputs(); }
  /// False for an optional input that was not given.
  bool has_input(std::size_t i) const { return context_.has_input(i); }
  /// Shapes and dtype of inputs and output, saved or not.
  Shape input_shape(std::size_t i) const { return context_.input_shape(i); }
  Dtype input_dtype(std::size_t i) const { return context_.input_dtype(i); }
  Shape output_shape() const { return context_.output_shape(); }
  /// Adds to the gradient of input i.
  void add(std::size_t i, Tensor gradient) { context_.add(i, std::move(gradient)); }
  /// First order only: the same for loops over elements.
  detail::ElementAccess elements() { return detail::ElementAccess(context_); }
  /// First-order only: f(Destination<T> to) writes the gradient of input i in place, or adds it to what is there,
  /// so that a product can accumulate. T must be the type of the input's elements.
  template <class T, class F>
  void accumulate(std::size_t i, F&& f) {
    detail::ElementAccess(context_).accumulate(i, dtype_of<T>, [&](std::byte* to, bool add) {
      f(detail::Destination<T>{reinterpret_cast<T*>(to), add});
    });
  }

 private:
  static constexpr SaveMask saved() {
    SaveMask all = 0;
    for (const SaveMask m : Op::saves) all |= m;
    return all;
  }
  detail::RuleContext& context_;
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
/// The same, which also gives the residuals. What is handed on to a user must be a copy: the tape holds the
/// residuals themselves.
template <class Op, std::size_t N, std::same_as<Tensor>... T>
Tensor apply_op(const Op& op, std::array<Tensor, N>& residuals, const T&... inputs) {
  const Tensor* list[] = {&inputs...};
  return detail::apply(detail::table_of<Op>(), &op, list, sizeof...(T), residuals.data());
}
template <class Op>
Tensor apply_op(const Op& op, std::span<const Tensor* const> inputs) {
  return detail::apply(detail::table_of<Op>(), &op, inputs.data(), inputs.size());
}

}  // namespace tapegrad
