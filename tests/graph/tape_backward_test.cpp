#include <cmath>

#include "tape_support.h"

namespace tape_backward_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_backward)

// ---- 4: backward, what it releases, and a spent tape ----

BOOST_AUTO_TEST_CASE(clause_4_backward_gives_the_gradient_of_every_leaf) {
  const Parameter a = parameter(3);
  const Parameter b = parameter(5);
  const Parameter apart = parameter(7);
  Tape tape;
  const Tensor x = tape.watch(scalar(2));
  const Tensor unrelated = square(apart);
  const Tensor loss = a * b.value() * x + a;
  const Gradients g = tape.backward(loss);
  BOOST_TEST(g.size() == 4u);
  BOOST_TEST(g[a].item() == 11);
  BOOST_TEST(g[b].item() == 6);
  BOOST_TEST(g[x].item() == 15);
  BOOST_TEST(g[apart].item() == 0);
  BOOST_TEST(unrelated.item() == 49);
}

BOOST_AUTO_TEST_CASE(clause_4_a_seed_weighs_the_elements_of_y) {
  const Parameter a = parameter({1, 2, 3});
  Tape tape;
  const Tensor y = square(a);
  BOOST_CHECK_EXCEPTION(tape.backward(y), ShapeError, mentions("backward", "[3]", "cotangent", "sum"));
  BOOST_CHECK_EXCEPTION(tape.backward(y, scalar(1)), ShapeError, mentions("cotangent has shape []", "[3]"));
  BOOST_CHECK_EXCEPTION(tape.backward(y, Tensor::ones({3}, f32)), DtypeError, mentions("f32", "f64", "cast"));
  BOOST_CHECK_EXCEPTION(tape.backward(y, Tensor::ones({3}, i64)), DtypeError, mentions("i64", "f64"));
  BOOST_CHECK_EXCEPTION(tape.backward(y, Tensor()), ArgumentError, mentions("cotangent", "undefined"));
  BOOST_TEST(!tape.spent());  // a refused call changes nothing
  check_equal(tape.backward(y, Tensor::from({1, 0, -1}, f64))[a], {2, 0, -6});
}

BOOST_AUTO_TEST_CASE(clause_4_backward_refuses_what_has_no_gradient) {
  const Parameter a = parameter(3);
  Tape tape;
  const Tensor y = square(a);
  BOOST_CHECK_EXCEPTION(tape.backward(scalar(1)), NotTracked, mentions("backward", "no parameter", "detach"));
  BOOST_CHECK_EXCEPTION(tape.backward(y.detach()), NotTracked, mentions("backward"));
  BOOST_CHECK_EXCEPTION(tape.backward(Tensor()), ArgumentError, mentions("undefined"));
  BOOST_CHECK_EXCEPTION(tape.backward(cast(y, i64)), DtypeError, mentions("i64", "f32 or f64"));
  BOOST_CHECK_EXCEPTION(tape.backward(y > 1), NotTracked, mentions("backward"));
  BOOST_TEST(tape.backward(y)[a].item() == 6);
}

BOOST_AUTO_TEST_CASE(clause_4_backward_of_a_leaf_is_its_seed) {
  const Parameter a = parameter({1, 2});
  const Tensor cotangent = Tensor::from({5, 6}, f64);
  Tape tape;
  const Gradients g = tape.backward(a, cotangent);
  check_equal(g[a], {5, 6});
  BOOST_TEST(!shares_elements(g[a], cotangent));
}

BOOST_AUTO_TEST_CASE(clause_4_backward_releases_what_was_saved) {
  const Parameter a = parameter(3);
  Tape tape;
  const Tensor y = exp(a);
  const Tensor later = exp(y);  // recorded after y, not part of it
  BOOST_TEST(!unique(y));
  BOOST_TEST(!unique(later));
  tape.backward(y);
  BOOST_TEST(unique(y));
  BOOST_TEST(unique(later));
}

BOOST_AUTO_TEST_CASE(clause_4_under_a_spent_tape_ops_are_plain) {
  Parameter w = parameter(3);
  Tape tape;
  const Tensor loss = square(w - 1);
  const std::size_t recorded = tape.size();
  const Gradients g = tape.backward(loss);
  BOOST_TEST(tape.spent());
  BOOST_TEST(!tape.active());
  // A metric, from tensors that the tape has computed.
  BOOST_TEST((loss * 100.0).item() == 400);
  BOOST_TEST((loss < 5.0).item() == 1);
  // An optimizer's step.
  w.mutable_values<double>()[0] -= 0.25 * g[w].item();
  BOOST_TEST(w.data().item() == 2);
  // A whole evaluation.
  Tensor total = scalar(0);
  for (int i = 0; i < 10; ++i) total = total + square(w - 1);
  BOOST_TEST(total.item() == 10);
  BOOST_TEST(!total.tracked());
  BOOST_TEST(tape.size() == recorded);
}

BOOST_AUTO_TEST_CASE(clause_4_a_second_backward_throws_until_reset) {
  const Parameter w = parameter(3);
  Tape tape;
  const Tensor first = square(w);
  tape.backward(first);
  BOOST_CHECK_EXCEPTION(tape.backward(first), TapeSpent, mentions("backward", "reset()", "RetainGraph::yes"));
  BOOST_CHECK_EXCEPTION(tape.grad(first, w), TapeSpent, mentions("grad", "reset()"));
  BOOST_CHECK_THROW(tape.mark(), TapeSpent);
  tape.reset();
  BOOST_TEST(tape.active());
  BOOST_TEST(tape.size() == 0u);
  BOOST_TEST(tape.backward(w * w.value())[w].item() == 6);
}

BOOST_AUTO_TEST_CASE(clause_4_a_tape_reset_in_a_loop_trains) {
  Parameter w = parameter(0);
  Tape tape;
  for (int i = 0; i < 100; ++i) {
    tape.reset();
    const Gradients g = tape.backward(square(w - 3));
    w.mutable_values<double>()[0] -= 0.25 * g[w].item();
  }
  BOOST_TEST(w.data().item() == 3, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(clause_4_keep_may_repeat_with_independent_gradients) {
  const Parameter w = parameter({1, 2});
  Tape tape;
  const Tensor y = square(w);
  const Tensor ones = Tensor::ones({2}, f64);
  Gradients first = tape.backward(y, ones, RetainGraph::yes);
  BOOST_TEST(!tape.spent());
  BOOST_TEST(tape.active());
  first.find(w)->mutable_values<double>()[0] = 100;
  check_equal(tape.backward(y, ones, RetainGraph::yes)[w], {2, 4});
  check_equal(tape.backward(y * y, ones, RetainGraph::yes)[w], {4, 32});  // and more may be recorded
  check_equal(tape.backward(y, ones)[w], {2, 4});
  BOOST_TEST(tape.spent());
  check_equal(first[w], {100, 4});
}

BOOST_AUTO_TEST_CASE(clause_4_no_two_gradients_share_elements) {
  const Parameter a = parameter({1, 2});
  const Parameter b = parameter({3, 4});
  const Parameter c = parameter({5, 6});
  Tensor cotangent = Tensor::from({1, 2}, f64);
  Tape tape;
  Gradients g = tape.backward(a + b + c, cotangent);  // the rule of add hands one tensor to both sides
  for (const Parameter& p : {a, b, c}) {
    g.find(p)->mutable_values<double>()[0] *= 10;  // as clipping in place does
    check_equal(g[p], {10, 2});
  }
  check_equal(cotangent, {1, 2});
}

BOOST_AUTO_TEST_CASE(clause_4_accumulating_in_place_changes_no_other_gradient) {
  // x receives the cotangent itself from one sum and more from others, in every order.
  const Parameter x = parameter({1, 2});
  const Parameter y = parameter({3, 4});
  const Tensor cotangent = Tensor::from({1, 1}, f64);
  for (int order = 0; order < 4; ++order) {
    Tape tape;
    const Tensor s = x + y;
    const Tensor t = order & 1 ? s + x : x + s;
    const Tensor u = order & 2 ? t * t + s : s + t * t;  // u = (2x + y)^2 + x + y
    const Gradients g = tape.backward(u, cotangent);
    check_equal(g[x], {4 * 5 + 1, 4 * 8 + 1});
    check_equal(g[y], {2 * 5 + 1, 2 * 8 + 1});
    check_equal(cotangent, {1, 1});
    check_equal(x.data(), {1, 2});
  }
}

BOOST_AUTO_TEST_CASE(clause_4_the_seed_is_never_written_to) {
  const Parameter x = parameter({1, 2});
  const Tensor cotangent = Tensor::from({1, 1}, f64);
  Tape tape;
  Tensor y = x + x.value();
  y = y + y;
  y = y + x;
  check_equal(tape.backward(y, cotangent, RetainGraph::yes)[x], {5, 5});
  check_equal(cotangent, {1, 1});
  // Nor where it is one of the saved values, or the parameter itself.
  const Tensor z = x * y;
  check_equal(tape.backward(z + x, x.data(), RetainGraph::yes)[x], {1 * (10 * 1 + 1), 2 * (10 * 2 + 1)});
  check_equal(x.data(), {1, 2});
}

BOOST_AUTO_TEST_CASE(clause_4_broadcast_inputs_receive_sums) {
  const Parameter a = parameter({1, 2, 3});
  const Parameter b = parameter(2);
  Tape tape;
  const Gradients g = tape.backward(a * b.value() + b, Tensor::ones({3}, f64));
  check_equal(g[a], {2, 2, 2});
  BOOST_TEST(g[b].item() == 9);
  BOOST_TEST((g[b].shape() == Shape{}));
}

BOOST_AUTO_TEST_CASE(clause_4_backward_works_while_paused_and_under_an_inner_tape) {
  const Parameter w = parameter(3);
  Tape outer;
  const Tensor y = square(w);
  {
    const Pause p;
    BOOST_TEST(outer.backward(y, RetainGraph::yes)[w].item() == 6);
  }
  BOOST_TEST(outer.active());
  {
    Tape inner;
    const Tensor z = exp(w);
    BOOST_TEST(outer.grad(y, y).item() == 1);
    BOOST_TEST(outer.backward(y)[w].item() == 6);
    BOOST_TEST(inner.active());
    BOOST_TEST(inner.size() == 2u);  // the pass of the outer tape left no trace here
    BOOST_CHECK_THROW(inner.backward(y), ForeignTape);
    BOOST_TEST(inner.backward(z)[w].item() == z.item());
  }
  BOOST_TEST(!outer.active());
}

BOOST_AUTO_TEST_CASE(clause_4_two_networks_are_trained_against_each_other) {
  // min over x, max over y of x^2/2 + xy - y^2/2: the saddle is 0, reached by alternating steps.
  Parameter x = parameter(1);
  Parameter y = parameter(-2);
  const auto step = [](Parameter& p, double rate, const Gradients& g) {
    p.mutable_values<double>()[0] -= rate * g[p].item();
  };
  const auto value = [&](const Tensor& a, const Tensor& b) {
    return square(a) * 0.5 + a * b - square(b) * 0.5;
  };
  double px = 1, py = -2;
  for (int i = 0; i < 200; ++i) {
    {
      Tape tape;
      const Tensor fake = x.value() * 1.0;
      step(y, -0.1, tape.backward(value(fake.detach(), y)));  // the one sees the other's result as data
      BOOST_TEST(tape.size() == 7u + 1u);
    }
    py += 0.1 * (px - py);
    {
      y.freeze();
      Tape tape;
      const Gradients g = tape.backward(value(x, y));
      BOOST_TEST(g.find(y) == nullptr);
      step(x, 0.1, g);
      y.freeze(false);
    }
    px -= 0.1 * (px + py);
    BOOST_REQUIRE(std::abs(x.data().item() - px) < 1e-12);
    BOOST_REQUIRE(std::abs(y.data().item() - py) < 1e-12);
  }
  BOOST_TEST(std::abs(px) + std::abs(py) < 1e-6);
}

BOOST_AUTO_TEST_CASE(clause_4_both_losses_on_one_tape) {
  const Parameter d = parameter(2);
  const Parameter g = parameter(3);
  Tape tape;
  const Tensor fake = square(g);
  const Tensor d_loss = d * fake.detach();
  const Tensor g_loss = d * fake;
  const Gradients of_d = tape.backward(d_loss, RetainGraph::yes);
  const Gradients of_g = tape.backward(g_loss);
  BOOST_TEST(of_d[d].item() == 9);
  BOOST_TEST(of_d[g].item() == 0);
  BOOST_TEST(of_g[g].item() == 12);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_backward_test
