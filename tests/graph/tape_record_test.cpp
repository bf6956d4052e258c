#include <memory>
#include <optional>
#include <type_traits>

#include <tapegrad/ops/elementwise/activation.h>

#include "tape_support.h"

namespace tape_record_test {

using namespace tapegrad;
using namespace tapegrad::test;

template <class T>
concept OnTheHeap = requires {
  new T;
};
static_assert(!std::is_copy_constructible_v<Tape> && !std::is_move_constructible_v<Tape> && !OnTheHeap<Tape>);

BOOST_AUTO_TEST_SUITE(tape_record)

// ---- 1: a tape is opt-in, innermost, last in first out ----

BOOST_AUTO_TEST_CASE(clause_1_without_a_tape_nothing_is_recorded) {
  const Parameter w = parameter(3);
  BOOST_TEST(Tape::current() == nullptr);
  const Tensor y = w * w.value();
  BOOST_TEST(y.item() == 9);
  BOOST_TEST(!y.tracked());
  BOOST_TEST(!w.value().tracked());
  BOOST_TEST(detail::TensorAccess::tag(y).epoch == 0u);
}

BOOST_AUTO_TEST_CASE(clause_1_a_tape_is_active_in_its_scope_and_tapes_nest) {
  {
    Tape outer;
    BOOST_TEST(outer.active());
    BOOST_TEST(Tape::current() == &outer);
    {
      Tape inner;
      BOOST_TEST(inner.active());
      BOOST_TEST(!outer.active());
    }
    BOOST_TEST(outer.active());
  }
  BOOST_TEST(Tape::current() == nullptr);
}

BOOST_AUTO_TEST_CASE(clause_1_recording_never_falls_through_to_an_outer_tape) {
  const Parameter w = parameter(3);
  Tape outer;
  {
    Tape inner;
    const Tensor y = square(w);
    BOOST_TEST(inner.size() == 2u);
    BOOST_TEST(outer.size() == 0u);
    inner.backward(y);
    BOOST_TEST(inner.spent());
    BOOST_TEST(!square(w).tracked());  // the inner tape is spent, and the outer does not step in
    BOOST_TEST(outer.size() == 0u);
  }
  BOOST_TEST(square(w).tracked());
  BOOST_TEST(outer.size() == 2u);
}

BOOST_AUTO_TEST_CASE(clause_1_pause_suspends_the_innermost_tape_alone) {
  const Parameter w = parameter(3);
  Tape outer;
  {
    const Pause p;
    const Pause again;
    BOOST_TEST(!outer.active());
    BOOST_TEST(!square(w).tracked());
    Tape inner;
    BOOST_TEST(inner.active());
    BOOST_TEST(inner.grad(square(w), w).item() == 6);
  }
  BOOST_TEST(outer.active());
  BOOST_TEST(outer.size() == 0u);
  { const Pause p; }
  BOOST_TEST(square(w).tracked());
}

BOOST_AUTO_TEST_CASE(clause_1_a_paused_tape_stays_paused_when_an_inner_tape_ends) {
  const Parameter w = parameter(3);
  Tape outer;
  const Pause p;
  { const Tape inner; }
  BOOST_TEST(!outer.active());
  BOOST_TEST(!square(w).tracked());
}

BOOST_AUTO_TEST_CASE(clause_1_resetting_an_outer_tape_leaves_the_inner_active) {
  const Parameter w = parameter(3);
  Tape outer;
  Tape inner;
  outer.reset();
  BOOST_TEST(inner.active());
  BOOST_TEST(square(w).tracked());
  BOOST_TEST(inner.size() == 2u);
}

BOOST_AUTO_TEST_CASE(clause_1_tapes_that_end_out_of_order_leave_the_stack_in_order) {
  auto first = std::make_unique<std::optional<Tape>>();
  first->emplace();
  Tape second;
  first.reset();
  BOOST_TEST(Tape::current() == &second);
  { const Tape third; }
  BOOST_TEST(Tape::current() == &second);
}

// ---- 2: recorded where an input is tracked ----

BOOST_AUTO_TEST_CASE(clause_2_an_op_is_recorded_only_where_an_input_is_tracked) {
  const Parameter w = parameter(3);
  const Tensor c = scalar(2);
  Tape tape;
  const Tensor constant = c * c + 1;
  BOOST_TEST(!constant.tracked());
  BOOST_TEST(tape.size() == 0u);
  const Tensor y = w * constant;
  BOOST_TEST(y.tracked());
  BOOST_TEST(tape.size() == 2u);  // the leaf and the product
  const Tensor z = y.detach() * constant;
  BOOST_TEST(!z.tracked());
  BOOST_TEST(tape.size() == 2u);
}

BOOST_AUTO_TEST_CASE(clause_2_parameters_are_tracked_on_first_use_and_once) {
  const Parameter a = parameter(3);
  const Parameter unread = parameter(4);
  Tape tape;
  BOOST_TEST(a.value().tracked());
  BOOST_TEST(!a.data().tracked());
  BOOST_TEST(a.value().tracked());
  BOOST_TEST(tape.size() == 1u);
  const Gradients g = tape.backward(a * a.value());
  BOOST_TEST(g.size() == 1u);
  BOOST_TEST(g[a].item() == 6);
  BOOST_TEST(g.find(unread) == nullptr);
  BOOST_CHECK_EXCEPTION(g[unread], NotTracked, mentions("did not read it", "frozen"));
}

BOOST_AUTO_TEST_CASE(clause_2_a_thousand_parameters_are_told_apart) {
  std::vector<Parameter> all;
  for (int i = 0; i < 1000; ++i) all.push_back(parameter(i));
  Tape tape;
  Tensor y = scalar(0);
  for (int round = 0; round < 2; ++round)
    for (auto p = all.rbegin(); p != all.rend(); ++p) y = y + *p * p->value();
  BOOST_TEST(tape.size() == 5000u);
  const Gradients g = tape.backward(y);
  BOOST_TEST(g.size() == 1000u);
  std::uint64_t last = 0;
  for (const auto& [key, value] : g) {
    BOOST_TEST(key.parameter > last);  // in order of their creation, however they were read
    last = key.parameter;
  }
  for (int i = 0; i < 1000; ++i) BOOST_REQUIRE(g[all[static_cast<std::size_t>(i)]].item() == 4 * i);
}

BOOST_AUTO_TEST_CASE(clause_2_watch_adds_any_other_tensor) {
  const Tensor x = Tensor::from({1, 2, 3}, f64);
  Tape tape;
  BOOST_TEST(!square(x).tracked());
  const Tensor w = tape.watch(x);
  BOOST_TEST(shares_elements(w, x));
  BOOST_TEST(!x.tracked());
  BOOST_TEST(detail::TensorAccess::tag(tape.watch(w)).node == detail::TensorAccess::tag(w).node);
  const Gradients g = tape.backward(square(w), Tensor::ones({3}, f64));
  check_equal(g[w], {2, 4, 6});
  BOOST_CHECK_EXCEPTION(g[x], NotTracked, mentions("Tape::watch", "[3]"));
}

BOOST_AUTO_TEST_CASE(clause_2_watch_refuses_what_has_no_gradient_here) {
  Tape tape;
  const Tensor w = tape.watch(scalar(2));
  BOOST_CHECK_EXCEPTION(tape.watch(Tensor()), ArgumentError, mentions("watch", "undefined"));
  BOOST_CHECK_EXCEPTION(tape.watch(Tensor::arange(3)), DtypeError, mentions("watch", "i64", "cast"));
  BOOST_CHECK_EXCEPTION(tape.watch(w * w), ArgumentError, mentions("watch", "grad"));
  {
    Tape inner;
    BOOST_CHECK_EXCEPTION(inner.watch(w), ForeignTape, mentions("watch", "outer tape", "detach()"));
    BOOST_CHECK_EXCEPTION(tape.watch(scalar(1)), ForeignTape, mentions("watch", "innermost"));
    BOOST_TEST(inner.watch(w.detach()).tracked());
  }
  tape.backward(w);
  BOOST_CHECK_EXCEPTION(tape.watch(scalar(1)), TapeSpent, mentions("watch", "reset"));
}

BOOST_AUTO_TEST_CASE(clause_2_a_frozen_parameter_is_a_constant) {
  Parameter a = parameter(3);
  Parameter b = parameter(5);
  b.freeze();
  {
    Tape tape;
    BOOST_TEST(!b.value().tracked());
    const Gradients g = tape.backward(a * b.value());
    BOOST_TEST(g[a].item() == 5);
    BOOST_TEST(g.find(b) == nullptr);
  }
  b.freeze(false);
  Tape tape;
  BOOST_TEST(tape.backward(a * b.value())[b].item() == 3);
}

BOOST_AUTO_TEST_CASE(clause_2_integers_are_constants) {
  const Parameter w = Parameter(Tensor::from({1.5, 2.5}, f64));
  BOOST_CHECK_EXCEPTION(Parameter(Tensor::arange(3)), DtypeError, mentions("parameter", "i64"));
  BOOST_CHECK_EXCEPTION(Parameter{Tensor()}, ArgumentError, mentions("parameter", "undefined"));
  Tape tape;
  const Tensor whole = cast(w, i64);
  BOOST_TEST(!whole.tracked());
  BOOST_TEST(!(whole + whole).tracked());
  BOOST_TEST(!cast(whole, f64).tracked());
}

BOOST_AUTO_TEST_CASE(clause_2_undefined_tensors_are_refused) {
  const Tensor none;
  const Parameter no_parameter;
  Tape tape;
  const Tensor x = tape.watch(scalar(1));
  BOOST_CHECK_EXCEPTION(x + none, ArgumentError, mentions("add", "input 1", "undefined"));
  BOOST_CHECK_EXCEPTION(relu(none), ArgumentError, mentions("relu", "input 0", "undefined"));
  BOOST_CHECK_THROW(no_parameter.value(), ArgumentError);
  BOOST_TEST(!none.tracked());
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_record_test
