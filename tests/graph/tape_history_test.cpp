// What depends on a tape and is not on it: gradients that were not recorded, and copies. They have derivatives that nobody
// knows, and are no constants unless it is said.
#include <thread>

#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "tape_support.h"

namespace tape_history_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_history)

namespace {
const GradOptions kRecord{.record = Record::yes};
}

BOOST_AUTO_TEST_CASE(what_was_computed_from_gradients_that_were_not_recorded_has_no_derivative) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor y = pow(x, 3.0);
  const Tensor g = tape.grad(y, x);
  const auto refused = mentions("not recorded", "Record::yes", "detach()");
  BOOST_CHECK_EXCEPTION(tape.grad(g, x), NotTracked, refused);
  BOOST_CHECK_EXCEPTION(tape.grad(square(g) + 1.0, x), NotTracked, refused);
  BOOST_CHECK_EXCEPTION(tape.backward(sum(g * g)), NotTracked, refused);
  // A penalty on gradients, as a term of a loss or a factor.
  BOOST_CHECK_EXCEPTION(tape.grad(y + square(g), x), NotTracked,
                        mentions("grad: add", "not recorded", "Record::yes"));
  BOOST_CHECK_EXCEPTION(tape.grad(exp(y * g), x), NotTracked, mentions("mul"));
  BOOST_CHECK_EXCEPTION(tape.backward(y + g, RetainGraph::yes), NotTracked, refused);
  // Elements, beside what is tracked, by way of any operation.
  const Tensor u = tape.watch(Tensor::from({1, 2}));
  const Tensor du = tape.grad(sum(pow(u, 3.0)), u);
  BOOST_CHECK_EXCEPTION(tape.grad(mean(square(du + u)), u), NotTracked,
                        mentions("grad: add", "not recorded"));
  BOOST_CHECK_EXCEPTION(tape.grad(sum(concat({du * 2.0, u}, 0)), u), NotTracked,
                        mentions("concat", "not recorded"));
  BOOST_CHECK_EXCEPTION(tape.grad(mse_loss(u, du), u), NotTracked, mentions("mse_loss", "not recorded"));
  BOOST_CHECK_EXCEPTION(tape.grad(sum(matmul(reshape(du, {1, 2}), reshape(u, {2, 1}))), u), NotTracked,
                        refused);
  const Tensor of_backward = tape.backward(y, RetainGraph::yes)[p];
  BOOST_CHECK_EXCEPTION(tape.grad(of_backward * 2.0, x), NotTracked, refused);
  BOOST_CHECK_EXCEPTION(tape.backward(y + of_backward), NotTracked, refused);
}

BOOST_AUTO_TEST_CASE(gradients_that_were_not_recorded_serve_as_constants) {
  const Parameter p = parameter({1, 2});
  const Parameter scale = parameter(3);
  Tape tape;
  const Tensor x = p;
  const Tensor s = scale;
  const Tensor g = tape.grad(sum(pow(x, 3.0)), x);
  check_equal(g, {3, 12});
  // A step along them, and derivatives behind it, and for x where it is said that they are constants.
  const Tensor stepped = x - 0.5 * g;
  check_equal(tape.grad(sum(square(stepped)), stepped), {-1, -8});
  check_equal(tape.grad(sum(square(x - 0.5 * g.detach())), x), {-1, -8});
  // A sign and a comparison are constant between their steps, as what an input is perturbed by.
  check_equal(tape.grad(sum(square(x + 0.5 * sign(g))), x), {3, 5});
  check_equal(tape.grad(sum(square(where(g > 4, x, 0.0))), x), {0, 4});
  // Scalars that lead to no target.
  const Tensor gs = tape.grad(square(s), s);
  const Tensor moved = s - gs;
  check_equal(tape.grad(square(moved), moved), {-6});
  // As a cotangent, watched anew, and detached.
  check_equal(tape.grad(tape.grad(sum(pow(x, 3.0)), x, kRecord), x, {g, Record::yes}), {18, 144});
  const Tensor leaf = tape.watch(gs);
  check_equal(tape.grad(square(leaf), leaf), {12});
  check_equal(tape.grad(square(s) + gs.detach(), s), {6});
  check_equal(tape.grad(square(s) * gs.item(), s), {36});
  check_equal(tape.grad(sum(g.detach()), x), {0, 0});
}

BOOST_AUTO_TEST_CASE(no_way_around_the_tape_leads_to_a_target) {
  const Parameter w = parameter(1);
  Tape tape;
  const Tensor x = tape.watch(scalar(2));
  const Tensor slope = tape.grad(w * x * x, x);  // 4
  // The tape leads to w alone; by way of the slope the loss depends on x.
  BOOST_CHECK_THROW(tape.grad(w * slope * slope, x), NotTracked);
  BOOST_CHECK_THROW(tape.grad(w * slope + x, x), NotTracked);
  BOOST_CHECK_THROW(tape.grad(exp(w * slope) + square(x), w), NotTracked);
  const Tensor v = x * x;
  const Tensor dv = tape.grad(w * v * v, v);
  BOOST_CHECK_THROW(tape.grad(w * dv * v, v), NotTracked);
  BOOST_CHECK_THROW(tape.grad(w * x.copy() + x, x), NotTracked);
  check_equal(tape.grad(w * slope.detach() + x, x), {1});
  // All that leads there goes through a target.
  const Tensor z = w * slope;
  check_equal(tape.grad(square(z), z), {8});
  check_equal(tape.grad(square(z) + z * 2.0, z), {10});
}

BOOST_AUTO_TEST_CASE(what_has_no_history_is_known_beside_other_tapes_and_marks) {
  const Parameter p = parameter(3);
  Tape tape;
  const Tensor x = p;
  const Tensor slope = tape.grad(square(x), x);
  Tensor other;
  {
    Tape inner;
    const Tensor v = inner.watch(scalar(2));
    other = inner.grad(square(v), v);
  }
  BOOST_CHECK_THROW(tape.grad((slope * other) * x, x), NotTracked);
  BOOST_CHECK_THROW(tape.grad((other * slope) * x, x), NotTracked);
  const Mark mark = tape.mark();
  const Tensor later = tape.grad(pow(x, 3.0), x);
  tape.rewind(mark);
  BOOST_CHECK_THROW(tape.grad(later * x, x), NotTracked);
}

BOOST_AUTO_TEST_CASE(a_copy_in_a_loss_is_no_constant_by_accident) {
  const Parameter p = parameter({1, 2});
  Tape tape;
  const Tensor x = p;
  const auto refused = mentions("copy()", "detach()");
  BOOST_CHECK_EXCEPTION(tape.grad(sum(square(x.copy())), x), NotTracked, refused);
  BOOST_CHECK_EXCEPTION(tape.grad(sum(x * (x * 2.0).copy()), x), NotTracked, refused);
  BOOST_CHECK_EXCEPTION(tape.backward(sum(x + exp(x.copy())), RetainGraph::yes), NotTracked, refused);
  check_equal(tape.grad(sum(x * x.detach().copy()), x), {1, 2});
  check_equal(tape.grad(sum(x * x.copy().detach()), x), {1, 2});
  check_equal(tape.grad(sum(x * p.data().copy()), x), {1, 2});
  const Tensor before = x.copy();
  tape.reset();
  check_equal(tape.backward(sum(p * before))[p], {1, 2});  // of what was recorded before
}

BOOST_AUTO_TEST_CASE(gradients_of_another_tape_or_epoch_are_constants) {
  const Parameter p = parameter(3);
  const auto gradient_of = [](Tape& tape) {
    const Tensor w = tape.watch(scalar(2));
    return tape.grad(square(w), w);  // 4
  };
  Tensor older, inner;
  {
    Tape other;
    older = gradient_of(other) * 1.0;
  }
  Tape tape;
  const Tensor x = p;
  check_equal(tape.grad(square(x) * older, x), {24});
  {
    Tape nested;
    inner = gradient_of(nested);
  }
  check_equal(tape.grad(square(x) + inner, x), {6});
  const Tensor own = gradient_of(tape);
  BOOST_CHECK_THROW(tape.grad(square(x) + own, x), NotTracked);
  BOOST_CHECK_THROW(tape.grad(square(x) + (older + own), x), NotTracked);
  tape.reset();
  check_equal(tape.backward(square(p) + own)[p], {6});
}

// A thread that has no tape computes values alone: what it makes of this tape's tensors is no constant by accident.
BOOST_AUTO_TEST_CASE(what_another_thread_computes_has_no_history) {
  const Parameter p = parameter(3);
  Tape tape;
  const Tensor h = square(p);
  Tensor doubled, sign_of, detached;
  std::thread([&] {
    doubled = h * 2.0;
    sign_of = sign(h);
    detached = h.detach() * 2.0;
  }).join();
  check_equal(doubled, {18});
  BOOST_CHECK_EXCEPTION(tape.backward(h + doubled, RetainGraph::yes), NotTracked,
                        mentions("add", "another thread", "detach()"));
  // Nor has it one under Pause within a tape of its own.
  Tensor paused;
  std::thread([&] {
    const Tape own;
    const Pause pause;
    paused = h * 2.0;
  }).join();
  BOOST_CHECK_THROW(tape.backward(h + paused, RetainGraph::yes), NotTracked);
  check_equal(tape.backward(h * sign_of + detached, RetainGraph::yes)[p], {6});
  // Of another epoch they are values.
  tape.reset();
  check_equal(tape.backward(square(p) * doubled)[p], {108});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_history_test
