#include <cmath>
#include <limits>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>

#include "tape_support.h"

namespace tape_finite_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_finite)

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The identity, with a gradient that grows beyond bounds where x is 1.
struct Exploding {
  static constexpr auto name = "exploding";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return x * 1.0; }
  static void vjp(VjpContext<Exploding>& ctx) { ctx.add(0, ctx.grad_output() / (1 - ctx.input<0>())); }
  static void samples(Samples& s) { s.add(Exploding{}, {SampleInput({2})}); }
};

}  // namespace

// ---- 10: check_finite ----

BOOST_AUTO_TEST_CASE(clause_10_forward_names_op_scope_shapes_and_index) {
  const Parameter w = Parameter(Tensor::from({{1, 2, 3}, {4, -5, 6}}, f64));
  Tape tape;
  tape.check_finite();
  const NameScope net("net");
  const NameScope layer("fc2");
  BOOST_CHECK_EXCEPTION(log(w), NonFinite, mentions("log 'net.fc2'", "forward", "nan at [1, 1]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(w / Tensor::from({1, 1, 0}, f64), NonFinite,
                        mentions("div 'net.fc2'", "inf at [0, 2]", "[2, 3] from inputs [2, 3], [3]"));
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_CASE(clause_10_an_input_that_was_not_finite_is_said_so) {
  const Parameter w = parameter({1, 2});
  Tape tape;
  tape.check_finite();
  BOOST_CHECK_EXCEPTION(w * Tensor::from({0, kInfinity}, f64), NonFinite,
                        mentions("mul", "inf at [1]", "[2], [2] (itself not finite at [1])"));
  // A result that hides it is fine.
  BOOST_TEST(where(scalar(1), w, Tensor::from({kInfinity, kInfinity}, f64)).tracked());
}

BOOST_AUTO_TEST_CASE(clause_10_results_that_are_not_recorded_are_examined_as_well) {
  Tape tape;
  tape.check_finite();
  BOOST_CHECK_THROW(log(scalar(-1)), NonFinite);
  BOOST_TEST(sign(scalar(-kInfinity)).item() == -1);
  BOOST_TEST(cast(scalar(2.5), i64).item() == 2);
  const Pause p;
  BOOST_TEST(std::isnan(log(scalar(-1)).item()));
}

BOOST_AUTO_TEST_CASE(clause_10_backward_names_op_scope_shapes_and_index) {
  const Parameter w = parameter({4, 0, 1});
  const Tensor ones = Tensor::ones({3}, f64);
  Tape tape;
  tape.check_finite();
  Tensor y;
  {
    const NameScope scope("encoder");
    y = sqrt(w);  // finite, its slope at 0 is not
  }
  const Tensor z = y * 2.0;
  for (int i = 0; i < 2; ++i)
    BOOST_CHECK_EXCEPTION(tape.backward(z, ones, RetainGraph::yes), NonFinite,
                          mentions("sqrt 'encoder'", "backward", "inf at [1]", "gradient [3] of input 0",
                                   "result has shape [3]"));
  BOOST_CHECK_EXCEPTION(tape.grad(z, w, {.cotangent = ones}), NonFinite,
                        mentions("sqrt 'encoder'", "backward"));
  tape.check_finite(false);
  BOOST_TEST(std::isinf(tape.backward(z, ones)[w].to_vector<double>()[1]));
}

BOOST_AUTO_TEST_CASE(clause_10_a_recorded_gradient_names_the_op_it_belongs_to) {
  const Parameter w = parameter({0.5, 1});
  const Tensor ones = Tensor::ones({2}, f64);
  Tape tape;
  tape.check_finite();
  const Tensor x = w;
  Tensor y;
  {
    const NameScope scope("decoder");
    y = apply_op(Exploding{}, x);
  }
  // Not the division inside its rule.
  BOOST_CHECK_EXCEPTION(tape.grad(y, x, {ones, Record::yes}), NonFinite,
                        mentions("exploding 'decoder'", "backward", "inf at [1]", "input 0"));
  BOOST_TEST(tape.checks_finite());
  BOOST_CHECK_THROW(log(x - 1), NonFinite);
}

BOOST_AUTO_TEST_CASE(clause_10_a_sum_of_finite_gradients_may_overflow) {
  const double huge = 0.75 * std::numeric_limits<double>::max();
  const Parameter w = parameter(1);
  Tape tape;
  tape.check_finite();
  const Tensor x = w;
  const Tensor y = x + x;
  BOOST_CHECK_EXCEPTION(tape.backward(y, scalar(huge), RetainGraph::yes), NonFinite,
                        mentions("add", "inf", "backward"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, x, {scalar(huge), Record::yes}), NonFinite,
                        mentions("add", "inf", "backward"));
}

BOOST_AUTO_TEST_CASE(clause_10_scopes_name_recorded_gradients_after_their_module) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor x = w;
  Tensor y;
  {
    const NameScope scope("model");
    y = exp(x);
  }
  const NameScope elsewhere("penalty");
  const Tensor g = tape.grad(y, x, {.record = Record::yes});
  const detail::Node* n = detail::TensorAccess::tag(g).node;
  BOOST_REQUIRE(n->scope);
  BOOST_TEST(n->scope->text() == "model");
  BOOST_TEST(detail::TensorAccess::tag(exp(x)).node->scope->text() == "penalty");
}

BOOST_AUTO_TEST_CASE(clause_10_float_and_empty_tensors) {
  const Parameter w = Parameter(Tensor::from({1, -1}, f32));
  Tape tape;
  tape.check_finite();
  BOOST_CHECK_EXCEPTION(log(w), NonFinite, mentions("nan at [1]"));
  BOOST_TEST(exp(tape.watch(Tensor::zeros({0, 3}))).size() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_finite_test
