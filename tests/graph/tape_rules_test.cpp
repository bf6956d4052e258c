#include <array>
#include <cstdint>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>

#include "tape_support.h"

namespace tape_rules_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_rules)

namespace {

const GradOptions kRecord{.record = Record::yes};

/// A cube; its value and its first-order rule each differentiate on a tape of their own.
struct InnerTape {
  static constexpr auto name = "inner_tape";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const {  // (x^4)' / 4
    BOOST_TEST(!x.tracked());
    Tape tape;
    const Tensor w = tape.watch(x);
    return tape.grad(square(w) * square(w), w, {.cotangent = Tensor::ones(x.shape(), x.dtype())}) * 0.25;
  }
  static void vjp(VjpContext<InnerTape>& ctx) {
    Tape tape;
    const Tensor w = tape.watch(ctx.input<0>());
    // Added while the inner tape is active, and tracked by it.
    ctx.add(0, tape.grad(w * w * w, w, {ctx.grad_output(), Record::yes}));
  }
  static void samples(Samples& s) { s.add(InnerTape{}, {SampleInput({2})}); }
};

/// A square whose gradient exists and is constant to the tape.
template <std::uint8_t Order>
struct Limited {
  static constexpr auto name = "limited";
  static constexpr std::uint8_t max_order = Order;
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return square(x); }
  static void vjp(VjpContext<Limited>& ctx) { ctx.add(0, ctx.grad_output() * ctx.template input<0>() * 2.0); }
  static void samples(Samples& s) { s.add(Limited{}, {SampleInput({2})}); }
};

/// Calls another op in its value, whose value opens a tape.
struct Twice {
  static constexpr auto name = "twice";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return apply_op(InnerTape{}, x) * 2.0; }
  static void vjp(VjpContext<Twice>& ctx) { ctx.add(0, ctx.grad_output() * 6.0 * square(ctx.input<0>())); }
  static void samples(Samples& s) { s.add(Twice{}, {SampleInput({2})}); }
};

/// Its derivative is written with an op that opens a tape to compute its value.
struct ThroughInnerTape {
  static constexpr auto name = "through_inner_tape";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return square(square(x)) * 0.25; }
  static void vjp(VjpContext<ThroughInnerTape>& ctx) {
    ctx.add(0, ctx.grad_output() * apply_op(Limited<1>{}, ctx.input<0>()) * ctx.input<0>());
  }
  static void samples(Samples& s) { s.add(ThroughInnerTape{}, {SampleInput({2})}); }
};

struct Aligned {
  static constexpr auto name = "aligned";
  static constexpr auto saves = saves_for(kNone);
  alignas(64) std::array<double, 3> factors{};
  static bool is_aligned(const Aligned& op) {
    return reinterpret_cast<std::uintptr_t>(&op) % alignof(Aligned) == 0;
  }
  Tensor forward(const Tensor& x) const { return x * factors[1]; }
  static void vjp(VjpContext<Aligned>& ctx) {
    BOOST_TEST(is_aligned(ctx.op()));
    ctx.add(0, ctx.grad_output() * ctx.op().factors[1]);
  }
  static void samples(Samples& s) { s.add(Aligned{}, {SampleInput({2})}); }
};

/// The sum of any number of inputs.
struct Total {
  static constexpr auto name = "total";
  static constexpr auto saves = saves_for(kNone);
  Tensor forward(std::span<const Tensor* const> inputs) const {
    Tensor sum = *inputs[0];
    for (const Tensor* t : inputs.subspan(1)) sum = sum + *t;
    return sum;
  }
  static void vjp(VjpContext<Total>& ctx) {
    for (std::size_t i = 0; i < ctx.inputs(); ++i) ctx.add(i, ctx.grad_output());  // needed or not
  }
  static void samples(Samples& s) { s.add(Total{}, {SampleInput({2}), SampleInput({2})}); }
};

struct Rule {
  static constexpr auto name = "rule";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return square(square(x)) * 0.25; }
  static void vjp(VjpContext<Rule>& ctx) {
    ctx.add(0, ctx.grad_output() * apply_op(Twice{}, ctx.input<0>()) * 0.5);
  }
  static void samples(Samples&) {}
};

struct Constant {
  static constexpr auto name = "constant";
  static constexpr std::uint8_t max_order = 0;
  Tensor forward(const Tensor& x) const { return square(x); }
  static void samples(Samples&) {}
};

}  // namespace

// ---- 9: ops that run ops ----

BOOST_AUTO_TEST_CASE(clause_9_values_and_first_order_rules_may_open_a_tape) {
  const Parameter p = parameter({1, 2});
  Tape tape;
  const Tensor x = p;
  const Tensor y = apply_op(InnerTape{}, x) + x;  // x receives two gradients, one from the rule with a tape
  check_equal(y, {2, 10});
  BOOST_TEST(tape.size() == 3u);  // the leaf, the op and the sum: nothing from inside
  BOOST_TEST(tape.active());
  const Tensor cotangent = Tensor::ones({2}, f64);
  check_equal(tape.grad(y, x, {.cotangent = cotangent}), {4, 13});
  check_equal(tape.backward(y, cotangent)[p], {4, 13});
}

BOOST_AUTO_TEST_CASE(clause_9_a_tape_in_a_recorded_rule_throws) {
  const Parameter p = parameter({1, 2});
  Tape tape;
  const Tensor x = p;
  const Tensor y = apply_op(InnerTape{}, x);
  const Tensor cotangent = Tensor::ones({2}, f64);
  BOOST_CHECK_EXCEPTION(tape.grad(y, x, {cotangent, Record::yes}), Error,
                        mentions("tape", "inner_tape", "Record::yes", "max_order 1"));
  BOOST_TEST(tape.active());
  BOOST_TEST(Tape::current() == &tape);
  check_equal(tape.backward(y, cotangent)[p], {3, 12});
}

BOOST_AUTO_TEST_CASE(clause_9_values_are_plain_where_ops_run_ops_at_depth) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor y = apply_op(Twice{}, x);
  BOOST_TEST(tape.size() == 2u);
  check_equal(y, {16});
  // In recorded mode the value of an op may open a tape, where its rule may not.
  const Tensor g = tape.grad(apply_op(Twice{}, y * 0.125), x, kRecord);
  BOOST_TEST(g.tracked());
  const Tensor z = apply_op(Twice{}, g);
  BOOST_TEST(z.tracked());
}

BOOST_AUTO_TEST_CASE(clause_9_the_value_of_an_op_in_a_recorded_rule_may_open_a_tape) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor g = tape.grad(apply_op(Rule{}, x), x, kRecord);
  check_equal(g, {8});
  check_equal(tape.grad(g, x, kRecord), {12});
}

BOOST_AUTO_TEST_CASE(clause_9_an_op_without_an_active_tape_sees_plain_handles) {
  Tensor old;
  {
    Tape gone;
    old = gone.watch(scalar(2)) * 1.0;
  }
  BOOST_TEST(apply_op(InnerTape{}, old).item() == 8);  // a stale tensor is a value here, and inside as well
  Tape tape;
  const Pause p;
  BOOST_TEST(apply_op(InnerTape{}, old).item() == 8);
}

BOOST_AUTO_TEST_CASE(clause_9_max_order_0_makes_constants) {
  const Parameter p = parameter(3);
  Tape tape;
  const Tensor y = apply_op(Constant{}, p.value());
  BOOST_TEST(y.item() == 9);
  BOOST_TEST(!y.tracked());
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_CASE(clause_9_recording_beyond_max_order_throws) {
  const Parameter p = parameter(3);
  Tape tape;
  const Tensor x = p;
  const Tensor once = apply_op(Limited<1>{}, x);
  check_equal(tape.grad(once, x), {6});
  {
    const NameScope scope("net");
    const Tensor named = apply_op(Limited<1>{}, x);
    BOOST_CHECK_EXCEPTION(tape.grad(named, x, kRecord), NotDifferentiable,
                          mentions("grad", "limited 'net'", "Record::no"));
  }
  const Tensor twice = apply_op(Limited<2>{}, x);
  const Tensor g = tape.grad(twice, x, kRecord);
  check_equal(g, {6});
  check_equal(tape.grad(g, x), {2});
  BOOST_CHECK_THROW(tape.grad(g, x, kRecord), NotDifferentiable);
  check_equal(tape.backward(g)[p], {2});
}

BOOST_AUTO_TEST_CASE(clause_9_the_limit_is_inherited_through_every_op_of_the_rule) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor y = apply_op(ThroughInnerTape{}, x);  // unlimited itself, but its rule is not
  const Tensor g = tape.grad(y, x, kRecord);
  check_equal(g, {8});
  check_equal(tape.grad(g, x), {12});
  BOOST_CHECK_THROW(tape.grad(g, x, kRecord), NotDifferentiable);
}

BOOST_AUTO_TEST_CASE(clause_9_a_limit_does_not_spread_to_what_it_is_added_to) {
  const Parameter p = parameter(2);
  const Parameter q = parameter(3);
  Tape tape;
  const Tensor a = p;
  const Tensor b = q;
  const Tensor m = a * b;
  const Tensor y =
      pow(m, 3.0) + apply_op(Limited<2>{}, m.detach() * a);  // b is not on the way to the limited op
  for (const Tensor& sum : {y, apply_op(Limited<2>{}, m.detach() * a) + pow(m, 3.0)}) {
    const Tensor g = tape.grad(sum, a, kRecord);  // 3 a^2 b^3 + 72 a
    check_equal(g, {3 * 4 * 27 + 72 * 2});
    const Tensor gb = tape.grad(g, b, kRecord);
    check_equal(gb, {9 * 4 * 9});
    check_equal(tape.grad(gb, b), {18 * 4 * 3});
    BOOST_CHECK_THROW(tape.grad(g, a, kRecord), NotDifferentiable);
  }
}

BOOST_AUTO_TEST_CASE(clause_8_attributes_keep_their_alignment) {
  const Parameter p = parameter(2);
  Tape tape;
  Tensor y = p;
  Aligned op;
  op.factors = {0, 2, 0};
  for (int i = 0; i < 10; ++i) {
    y = apply_op(op, y * 1.0);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(detail::TensorAccess::tag(y).node->attributes) % 64 == 0u);
  }
  BOOST_TEST(tape.backward(y)[p].item() == 1024);
}

BOOST_AUTO_TEST_CASE(clause_8_a_node_may_have_any_number_of_inputs) {
  const std::size_t n = 70000;
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor c = scalar(1);
  std::vector<const Tensor*> inputs(n, &c);
  inputs[0] = inputs[n / 2] = inputs[n - 1] = &x;
  const Tensor y = apply_op(Total{}, std::span<const Tensor* const>(inputs));
  BOOST_TEST(y.item() == 6 + static_cast<double>(n - 3));
  const Tensor g = tape.grad(y, x, kRecord);  // its rule adds to inputs that nobody asked for
  check_equal(g, {3});
  check_equal(tape.backward(y)[p], {3});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_rules_test
