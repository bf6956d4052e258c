#pragma once

#include <cstddef>

#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/op.h>

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

template <class Op, std::size_t... I>
Tensor forward_fixed(const Op& op, const Tensor* const* in, std::index_sequence<I...>) {
  return op.forward(*in[I]...);
}

/// The number of tensors that Op::forward takes; 0 where it takes a span.
template <class Op>
constexpr std::size_t tensor_arity() {
  constexpr auto takes = []<std::size_t... I>(std::index_sequence<I...>) {
    return requires(const Op& op, const Tensor& t) { op.forward(((void)I, t)...); };
  };
  if constexpr (takes(std::make_index_sequence<1>{})) return 1;
  if constexpr (takes(std::make_index_sequence<2>{})) return 2;
  if constexpr (takes(std::make_index_sequence<3>{})) return 3;
  if constexpr (takes(std::make_index_sequence<4>{})) return 4;
  return 0;
}

template <class Op>
Tensor run_forward(const void* attributes, const Tensor* const* in, std::size_t count) {
  const Op& op = op_of<Op>(attributes);
  if constexpr (is_elementwise<Op>) {
    return elementwise_forward<Op::arity>(kElementwise<Op>, &op, in);
  } else if constexpr (tensor_arity<Op>() == 0) {
    return op.forward(std::span<const Tensor* const>(in, count));
  } else {
    return forward_fixed(op, in, std::make_index_sequence<tensor_arity<Op>()>{});
  }
}

/// Input I of an elementwise formula as the tensor that was kept, or as something no formula can read.
template <class Op, std::size_t Grad, unsigned Bit>
auto saved_tensor(RuleContext& context) {
  if constexpr (Op::saves[Grad] >> Bit & 1u)
    return Bit == kOutputBit ? context.output() : context.input(Bit);
  else
    return NotSaved{};
}

template <class Op, std::size_t Grad, std::size_t... I>
Tensor formula_on_tensors(const Op& op, RuleContext& context, std::index_sequence<I...>) {
  return elementwise_vjp<Grad>(op, context.grad_output(), saved_tensor<Op, Grad, I>(context)...,
                               saved_tensor<Op, Grad, kOutputBit>(context));
}

TAPEGRAD_API Tensor sum_to_shape(const Tensor& x, const Shape& shape);

template <class Op, std::size_t... Grad>
void elementwise_rule(RuleContext& context, std::index_sequence<Grad...>) {
  const Op& op = op_of<Op>(context.attributes());
  if (!context.recording() && !general_rules_only()) {
    elementwise_backward<Op::arity>(kElementwise<Op>, &op, context);
    return;
  }
  const auto one = [&]<std::size_t G>(std::integral_constant<std::size_t, G>) {
    if (!context.needs_grad(G)) return;
    const Tensor g = formula_on_tensors<Op, G>(op, context, std::make_index_sequence<Op::arity>{});
    context.add(G, sum_to_shape(g, context.input_shape(G)));
  };
  (one(std::integral_constant<std::size_t, Grad>{}), ...);
}

template <class Op>
void run_vjp(RuleContext& context) {
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
                                  .attribute_bytes = std::is_empty_v<Op> ? 0 : sizeof(Op),
                                  .attribute_align = alignof(Op),
                                  .saves = {kSaves[0], kSaves[1], kSaves[2], kSaves[3]},
                                  .forward = &run_forward<Op>,
                                  .vjp = vjp_of<Op>(),
                                  .add = &gradient_sum,
                                  .add_into = &add_elements};
  return kTable;
}

}  // namespace tapegrad::detail
