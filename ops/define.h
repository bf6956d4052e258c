#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/op.h>
#include <tapegrad/ops/op_info.h>

/// Turns the struct of an op into the constant table that the engine calls. Included by the library's sources
/// and by users who define ops of their own.
namespace tapegrad::detail {

TAPEGRAD_API Tensor gradient_sum(const Tensor& a, const Tensor& b);
TAPEGRAD_API void add_gradient_into(Tensor& sum, const Tensor& term);
TAPEGRAD_API void add_elements(Dtype dtype, std::byte* sum, const std::byte* term, std::int64_t n);

template <class Op>
constexpr std::uint8_t max_order_of() {
  if constexpr (requires { Op::max_order; }) return Op::max_order;
  return kAnyOrder;
}

template <class Op>
constexpr bool is_composed() {
  if constexpr (is_elementwise<Op>) return false;
  if constexpr (requires { Op::composed; }) return Op::composed;
  return true;
}

/// What Op::forward takes: so many tensors (0: a span of any number), and so many residuals.
struct ForwardSignature {
  std::size_t tensors;
  std::size_t residuals;
  bool found;
};

template <class Op, std::size_t Residual, std::size_t... I>
constexpr bool takes_tensors(std::index_sequence<I...>) {
  if constexpr (Residual == 0) return requires(const Op& op, const Tensor& t) {
      op.forward(((void)I, t)...);
    };
  else
    return requires(const Op& op, const Tensor& t, Residuals<Residual>& r) {
      op.forward(((void)I, t)..., r);
    };
}
template <class Op, std::size_t Residual>
constexpr bool takes_span() {
  if constexpr (Residual == 0) return requires(const Op& op, std::span<const Tensor* const> s) {
      op.forward(s);
    };
  else
    return requires(const Op& op, std::span<const Tensor* const> s, Residuals<Residual>& r) {
      op.forward(s, r);
    };
}

template <class Op>
constexpr ForwardSignature forward_signature() {
  ForwardSignature found{0, 0, false};
  const auto with_residuals = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
    if constexpr (takes_span<Op, R>()) found = {0, R, true};
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      ((takes_tensors<Op, R>(std::make_index_sequence<N + 1>{}) ? void(found = {N + 1, R, true}) : void()),
       ...);
    }
    (std::make_index_sequence<kOutputBit>{});
  };
  [&]<std::size_t... R>(std::index_sequence<R...>) {
    (with_residuals(std::integral_constant<std::size_t, R>{}), ...);
  }
  (std::make_index_sequence<kMaxResiduals + 1>{});
  return found;
}

template <class Op>
constexpr std::uint8_t residuals_of() {
  if constexpr (is_elementwise<Op>)
    return 0;
  else
    return static_cast<std::uint8_t>(forward_signature<Op>().residuals);
}

template <class Op>
constexpr std::uint8_t optional_inputs_of() {
  if constexpr (requires { Op::optional_inputs; }) return Op::optional_inputs;
  return 0;
}

template <class Op, std::size_t... I, class... R>
Tensor forward_fixed(const Op& op, const Tensor* const* in, std::index_sequence<I...>, R&... residuals) {
  return op.forward(*in[I]..., residuals...);
}

template <class Op>
Tensor run_forward(const void* attributes, const Tensor* const* in, [[maybe_unused]] std::size_t count,
                   [[maybe_unused]] Tensor* residuals) {
  const Op& op = op_of<Op>(attributes);
  if constexpr (is_elementwise<Op>) {
    return elementwise_forward<Op::arity>(kElementwise<Op>, &op, in);
  } else {
    constexpr ForwardSignature kSignature = forward_signature<Op>();
    static_assert(kSignature.found,
                  "forward takes tensors or a span of them, then the residuals; it is const");
    const auto run = [&](auto&... r) {
      if constexpr (kSignature.tensors == 0)
        return op.forward(std::span<const Tensor* const>(in, count), r...);
      else
        return forward_fixed(op, in, std::make_index_sequence<kSignature.tensors>{}, r...);
    };
    if constexpr (kSignature.residuals == 0) {
      return run();
    } else {
      Residuals<kSignature.residuals> r(residuals);
      return run(r);
    }
  }
}

template <class Op>
constexpr auto describe_of() -> void (*)(const void*, AttributeVisitor&) {
  if constexpr (requires(const Op& op, AttributeVisitor& v) { op.describe(v); })
    return [](const void* attributes, AttributeVisitor& v) { op_of<Op>(attributes).describe(v); };
  else
    return nullptr;
}

/// Input I of an elementwise formula as the tensor that was saved, or as something no formula can read.
template <class Op, std::size_t Grad, unsigned Bit>
auto saved_tensor(RuleContext& context) {
  if constexpr (saves_for_input<Op>(Grad) >> Bit & 1u)
    return Bit == kOutputBit ? context.output() : context.input(Bit);
  else
    return NotSaved{};
}

template <class Op, std::size_t Grad, std::size_t... I>
Tensor formula_on_tensors(const Op& op, RuleContext& context, std::index_sequence<I...>) {
  return elementwise_contribution<Op, Grad>(op, context.grad_output(), saved_tensor<Op, Grad, I>(context)...,
                                            saved_tensor<Op, Grad, kOutputBit>(context));
}

TAPEGRAD_API Tensor sum_to_shape(const Tensor& x, const Shape& shape);

template <class Op, std::size_t... Grad>
void elementwise_rule(RuleContext& context, std::index_sequence<Grad...>) {
  const Op& op = op_of<Op>(context.attributes());
  if (!context.recording() && !general_rules_only()) {
    elementwise_backward<Op::arity>(kElementwise<Op>, &op, ElementAccess(context));
    return;
  }
  const auto one = [&]<std::size_t G>(std::integral_constant<std::size_t, G>) {
    if (!context.needs_grad(G)) return;
    const Tensor g = formula_on_tensors<Op, G>(op, context, std::make_index_sequence<Op::arity>{});
    context.add(G, sum_to_shape(g, context.input_shape(G)));
  };
  (one(std::integral_constant<std::size_t, Grad>{}), ...);
}

/// An op whose attributes may have changed since it was recorded, as where they refer to what lies elsewhere, says so.
template <class Op>
void run_vjp(RuleContext& context) {
  if constexpr (requires(const Op& op) { op.require_unchanged(context); })
    op_of<Op>(context.attributes()).require_unchanged(context);
  if constexpr (is_elementwise<Op>) {
    elementwise_rule<Op>(context, std::make_index_sequence<Op::arity>{});
  } else {
    VjpContext<Op> ctx(context);
    if constexpr (requires { Op::vjp_fused(ctx); })
      if (!context.recording() && !general_rules_only()) return Op::vjp_fused(ctx);
    Op::vjp(ctx);
  }
}

template <class Op>
constexpr auto vjp_of() -> void (*)(RuleContext&) {
  if constexpr (max_order_of<Op>() == 0)
    return nullptr;
  else
    return &run_vjp<Op>;
}

template <class Op>
constexpr std::array<SaveMask, 4> saves_of() {
  if constexpr (max_order_of<Op>() == 0)
    return {};
  else
    return Op::saves;
}

// Not inlined, so that the library's instantiation is a symbol others link to.
template <class Op>
__attribute__((noinline)) const OpTable& table_of() {
  static_assert(std::is_trivially_copyable_v<Op>, "an op's data members are copied into the tape as bytes");
  static_assert(
      requires(Samples & s) { Op::samples(s); }, "an op needs samples, so that its gradient is checked");
  static constexpr auto kSaves = saves_of<Op>();
  static constexpr OpTable kTable{.name = Op::name,
                                  .max_order = max_order_of<Op>(),
                                  .composed = is_composed<Op>(),
                                  .residuals = residuals_of<Op>(),
                                  .optional_inputs = optional_inputs_of<Op>(),
                                  .attribute_bytes = std::is_empty_v<Op> ? 0 : sizeof(Op),
                                  .attribute_align = alignof(Op),
                                  .saves = {kSaves[0], kSaves[1], kSaves[2], kSaves[3]},
                                  .forward = &run_forward<Op>,
                                  .vjp = vjp_of<Op>(),
                                  .describe = describe_of<Op>(),
                                  .add = &gradient_sum,
                                  .add_into = &add_elements};
  return kTable;
}

template <class Op>
constexpr unsigned nondifferentiable_inputs_of() {
  if constexpr (requires { Op::nondifferentiable_inputs; }) return Op::nondifferentiable_inputs;
  return 0;
}

template <class Op>
constexpr auto branches_of() -> Tensor (*)(const void*, const Tensor* const*, std::size_t) {
  if constexpr (requires { &Op::branches; })
    return [](const void* attributes, const Tensor* const* inputs, std::size_t count) {
      return op_of<Op>(attributes).branches(std::span<const Tensor* const>(inputs, count));
    };
  else
    return nullptr;
}

template <class Op>
constexpr std::optional<Waiver> waiver_of() {
  if constexpr (requires { Op::waiver; }) return Op::waiver;
  return std::nullopt;
}

template <class Op>
__attribute__((noinline)) const OpInfo& info_of() {
  static const OpInfo kInfo{.table = &table_of<Op>(),
                            .nondifferentiable_inputs = nondifferentiable_inputs_of<Op>(),
                            .samples = &Op::samples,
                            .branches = branches_of<Op>(),
                            .waiver = waiver_of<Op>()};
  return kInfo;
}

}  // namespace tapegrad::detail
