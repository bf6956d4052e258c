#include <cmath>
#include <optional>

#include <tapegrad/graph/format.h>
#include <tapegrad/ops/elementwise/activation.h>

#include "tape_support.h"

namespace tape_stale_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_stale)

// ---- 3: stale tensors ----

namespace {
/// A tensor whose tape is gone.
Tensor orphan(double v) {
  Tape tape;
  return tape.watch(scalar(v)) * 1.0;
}
}  // namespace

BOOST_AUTO_TEST_CASE(clause_3_stale_tensor_throws_and_names_op_and_cure) {
  const Tensor old = orphan(3);
  Tape tape;
  BOOST_CHECK_EXCEPTION(sin(old), StaleTensor, mentions("sin", "shape []", "destroyed", "detach()"));
  const NameScope scope("net.fc2");
  BOOST_CHECK_EXCEPTION(old * 2.0, StaleTensor, mentions("mul 'net.fc2'", "detach()"));
  BOOST_TEST(tape.size() == 0u);
  BOOST_TEST(sin(old.detach()).item() == std::sin(3.0));
}

BOOST_AUTO_TEST_CASE(clause_3_every_position_is_examined) {
  const Tensor old = orphan(3);
  Tape tape;
  const Tensor x = tape.watch(scalar(2));
  BOOST_CHECK_EXCEPTION(x + old, StaleTensor, mentions("add"));
  BOOST_CHECK_EXCEPTION(old + x, StaleTensor, mentions("add"));
  BOOST_CHECK_EXCEPTION(where(scalar(1), x, old), StaleTensor, mentions("where"));
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_CASE(clause_3_reset_and_rewind_make_stale) {
  Tape tape;
  const Tensor x = tape.watch(scalar(2));
  const Mark mark = tape.mark();
  const Tensor y = square(x);
  tape.rewind(mark);
  BOOST_CHECK_THROW(square(y), StaleTensor);
  BOOST_TEST(square(x).item() == 4);
  tape.reset();
  BOOST_CHECK_THROW(square(x), StaleTensor);
  BOOST_CHECK_THROW(square(y), StaleTensor);
}

BOOST_AUTO_TEST_CASE(clause_3_a_stale_tensor_is_a_value_without_an_active_tape) {
  const Tensor old = orphan(3);
  BOOST_TEST(sin(old).item() == std::sin(3.0));
  Tape tape;
  {
    const Pause p;
    BOOST_TEST((old + old).item() == 6);
  }
  tape.backward(tape.watch(scalar(1)));
  BOOST_TEST((old + old).item() == 6);  // spent
}

BOOST_AUTO_TEST_CASE(clause_3_reading_accepts_any_tensor) {
  const Tensor old = orphan(3);
  Tape outer;
  const Tensor foreign = outer.watch(scalar(4));
  Tape tape;
  BOOST_TEST(old.item() == 3);
  BOOST_TEST(foreign.item() == 4);
  BOOST_TEST(to_string(old) == "3");
  BOOST_TEST(fmt::format("{}", foreign) == "4");
  BOOST_TEST(old.values<double>()[0] == 3);
  BOOST_TEST(old.copy().item() == 3);
  BOOST_TEST(!old.tracked());
  BOOST_TEST(foreign.detach().item() == 4);
}

BOOST_AUTO_TEST_CASE(clause_3_non_differentiable_ops_accept_any_tensor) {
  const Tensor old = orphan(3);
  Tape outer;
  const Tensor foreign = outer.watch(scalar(4));
  Tape tape;
  BOOST_TEST((old < foreign).item() == 1);
  BOOST_TEST(sign(old).item() == 1);
  BOOST_TEST(step(foreign).item() == 1);
  BOOST_TEST(!(old < foreign).tracked());
  BOOST_TEST(where(old, scalar(1), scalar(2)).item() == 1);  // the condition of where has no gradient
  BOOST_TEST(tape.size() == 0u);
}

BOOST_AUTO_TEST_CASE(clause_3_a_tensor_of_an_earlier_tape_in_the_same_place_is_stale) {
  std::optional<Tensor> kept;
  for (int i = 0; i < 3; ++i) {
    Tape tape;  // the same address, the same arena chunk, every time
    const Tensor x = tape.watch(scalar(i));
    if (kept) BOOST_CHECK_THROW(x + *kept, StaleTensor);
    kept = square(x);
  }
}

BOOST_AUTO_TEST_CASE(clause_3_a_recurrent_state_is_carried_over_steps_with_detach) {
  const Parameter w = parameter(0.5);
  const std::vector<double> inputs{1, -2, 0.5};
  Tensor h = scalar(0);
  double plain = 0;
  for (const double in : inputs) {
    Tape tape;
    const Tensor next = tanh(w * h.detach() + in);
    const Gradients g = tape.backward(next);
    const double now = std::tanh(0.5 * plain + in);
    BOOST_TEST(g[w].item() == (1 - now * now) * plain, boost::test_tools::tolerance(1e-14));
    h = next;
    plain = now;
  }
  BOOST_TEST(h.item() == plain, boost::test_tools::tolerance(1e-15));
  Tape tape;
  BOOST_CHECK_EXCEPTION(tanh(w * h), StaleTensor, mentions("mul", "detach()"));  // forgotten
}

BOOST_AUTO_TEST_CASE(clause_3_a_state_through_two_steps_of_one_tape_has_the_whole_gradient) {
  const Parameter w = parameter(0.5);
  Tape tape;
  Tensor h = scalar(1);
  for (int i = 0; i < 3; ++i) h = w * h;
  BOOST_TEST(tape.backward(h)[w].item() == 3 * 0.25);
}

BOOST_AUTO_TEST_CASE(clause_3_running_statistics_survive_the_tapes_that_fed_them) {
  const Parameter w = parameter(2);
  Tensor running = scalar(0);
  Tensor in_place = scalar(0);
  for (int i = 0; i < 3; ++i) {
    Tape tape;
    const Tensor x = w * scalar(i + 1);
    running = running * 0.5 + x.detach() * 0.5;
    in_place.mutable_values<double>()[0] = 0.5 * in_place.item() + 0.5 * x.item();
    BOOST_TEST(!running.tracked());
    BOOST_TEST(tape.size() == 2u);
    BOOST_TEST(tape.backward(x * running)[w].item() == (i + 1) * running.item());
  }
  BOOST_TEST(running.item() == 4.25);
  BOOST_TEST(in_place.item() == 4.25);
}

// ---- 6: foreign tensors ----

BOOST_AUTO_TEST_CASE(clause_6_a_tensor_of_an_outer_live_tape_is_foreign) {
  Tape outer;
  const Tensor x = outer.watch(Tensor::from({1, 2}, f64));
  {
    Tape middle;
    Tape inner;
    BOOST_CHECK_EXCEPTION(exp(x), ForeignTape, mentions("exp", "[2]", "outer tape", "detach()"));
    BOOST_TEST(exp(x.detach()).tracked() == false);
  }
  BOOST_TEST(exp(x).tracked());
}

BOOST_AUTO_TEST_CASE(clause_6_a_tensor_of_an_outer_tape_that_was_reset_is_stale) {
  Tape outer;
  const Tensor x = outer.watch(scalar(1));
  outer.reset();
  Tape inner;
  BOOST_CHECK_THROW(exp(x), StaleTensor);
}

BOOST_AUTO_TEST_CASE(clause_6_a_tensor_of_an_inner_tape_that_ended_is_stale) {
  Tape outer;
  Tensor y;
  {
    Tape inner;
    y = exp(inner.watch(scalar(1)));
  }
  BOOST_CHECK_THROW(exp(y), StaleTensor);
}

BOOST_AUTO_TEST_CASE(clause_6_epochs_are_never_reused_when_the_count_of_a_thread_runs_out) {
  in_thread([] {
    Tape outer;
    const Tensor x = outer.watch(scalar(2));
    const std::uint64_t number = detail::current_thread->number;
    detail::current_thread->epochs = 0xFFFFFFFFu;  // four billion tapes later
    Tape inner;
    BOOST_TEST(detail::current_thread->number != number);
    BOOST_TEST(detail::TensorAccess::tag(inner.watch(scalar(1))).epoch != detail::TensorAccess::tag(x).epoch);
    BOOST_CHECK_EXCEPTION(x + x, ForeignTape, mentions("outer tape"));
    BOOST_TEST(outer.grad(x, x).item() == 1);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_stale_test
