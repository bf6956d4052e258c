#include <cmath>

#include "tape_support.h"

namespace tape_mutation_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_mutation)

namespace {

void set(Tensor& t, double v) { t.mutable_values<double>()[0] = v; }
void set(Parameter& p, double v) { p.mutable_values<double>()[0] = v; }

/// Elements [offset, offset + count) of a vector, sharing storage, as a slice has them.
Tensor view(const Tensor& t, std::int64_t offset, std::int64_t count) {
  return detail::TensorAccess::view(t, offset, {count});
}

}  // namespace

// ---- 7: versions ----

BOOST_AUTO_TEST_CASE(clause_7_obtaining_a_mutable_span_bumps_the_version_of_all_views) {
  Tensor x = Tensor::from({1, 2, 3}, f64);
  Tensor half = view(x, 1, 2);
  const Tensor plain = x.detach();
  BOOST_TEST(x.version() == 0u);
  x.mutable_values<double>()[0] = 5;
  BOOST_TEST(half.version() == 1u);
  half.mutable_values<double>()[0] = 6;
  BOOST_TEST(x.version() == 2u);
  BOOST_TEST(plain.version() == 2u);
  check_equal(plain, {5, 6, 3});
  BOOST_TEST(x.copy().version() == 0u);
  const auto reading = x.values<double>();
  BOOST_TEST(x.version() == 2u);
  BOOST_TEST(reading.size() == 3u);
}

BOOST_AUTO_TEST_CASE(clause_7_a_recorded_value_cannot_be_mutated_but_a_leaf_can) {
  Parameter w = parameter(2);
  Tape tape;
  Tensor leaf = tape.watch(scalar(3));
  Tensor y = square(w);
  BOOST_CHECK_EXCEPTION(set(y, 1), MutatedSaved, mentions("square", "shape []", "copy()", "after backward"));
  BOOST_TEST(y.item() == 4);
  set(leaf, 5);
  set(w, 6);
  Tensor copy = y.copy();
  set(copy, 7);
  BOOST_TEST(tape.spent() == false);
  tape.backward(tape.watch(scalar(1)));
  set(y, 1);  // nothing needs it any more
  BOOST_TEST(y.item() == 1);
}

BOOST_AUTO_TEST_CASE(clause_7_mutation_between_forward_and_backward_is_caught_directly) {
  Tensor c = scalar(3);
  const Parameter w = parameter(2);
  Tape tape;
  const NameScope scope("net.gate");
  const Tensor y = w * c;
  set(c, 4);
  BOOST_CHECK_EXCEPTION(tape.backward(y), MutatedSaved,
                        mentions("backward of mul 'net.gate'", "input 1", "version 0 then, 1 now", "copy()"));
}

BOOST_AUTO_TEST_CASE(clause_7_mutation_is_caught_through_a_view) {
  Tensor c = Tensor::from({1, 2, 3}, f64);
  const Parameter w = parameter({4, 5});
  Tape tape;
  const Tensor y = w * view(c, 1, 2);
  c.mutable_values<double>()[0] = 9;  // not even an element of the view: versions are those of the storage
  BOOST_CHECK_EXCEPTION(tape.backward(y, Tensor::ones({2}, f64)), MutatedSaved, mentions("mul", "input 1"));
}

BOOST_AUTO_TEST_CASE(clause_7_mutation_of_a_result_through_detach_is_caught) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor y = exp(w);
  Tensor same = y.detach();
  set(same, 0);
  BOOST_CHECK_EXCEPTION(tape.backward(y), MutatedSaved,
                        mentions("exp", "its result", "version 0 then, 1 now"));
}

BOOST_AUTO_TEST_CASE(clause_7_mutation_between_two_uses_is_caught_in_forward) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor y = w * 3.0;
  const Tensor first = y + 1;
  Tensor same = y.detach();
  set(same, 0);
  BOOST_CHECK_EXCEPTION(y + 1, MutatedSaved, mentions("add", "recorded", "version 0 then, 1 now", "reset()"));
  BOOST_TEST(tape.backward(first)[w].item() == 3);  // nothing there reads a value
}

BOOST_AUTO_TEST_CASE(clause_7_a_leaf_at_another_version_is_caught_in_forward) {
  Parameter w = parameter(2);
  Tape tape;
  Tensor x = tape.watch(scalar(3));
  const Tensor y = w * x;
  set(w, 5);
  BOOST_CHECK_EXCEPTION(w.value(), MutatedSaved,
                        mentions("parameter", "first read", "version 0 then, 1 now"));
  set(x, 7);
  BOOST_CHECK_EXCEPTION(x * 2.0, MutatedSaved, mentions("mul", "version 0 then, 1 now"));
  BOOST_CHECK_EXCEPTION(tape.backward(y, RetainGraph::yes), MutatedSaved, mentions("mul"));
  tape.reset();
  BOOST_TEST(tape.backward(w * 2.0)[w].item() == 2);
}

BOOST_AUTO_TEST_CASE(clause_7_a_leaf_may_be_changed_before_its_first_use) {
  Parameter w = parameter(2);
  Tape tape;
  set(w, 5);
  BOOST_TEST(tape.backward(square(w))[w].item() == 10);
}

BOOST_AUTO_TEST_CASE(clause_7_a_leaf_that_no_rule_reads_may_be_changed) {
  Parameter w = parameter(2);
  Tape tape;
  const Tensor y = w * 3.0 + 1;
  set(w, 5);
  BOOST_TEST(tape.backward(y)[w].item() == 3);
}

BOOST_AUTO_TEST_CASE(clause_7_an_optimizer_step_between_two_kept_backwards_is_caught) {
  Parameter w = parameter(2);
  Tape tape;
  const Tensor y = square(w);
  const Gradients g = tape.backward(y, RetainGraph::yes);
  set(w, w.data().item() - 0.1 * g[w].item());
  BOOST_CHECK_THROW(tape.backward(y), MutatedSaved);
}

BOOST_AUTO_TEST_CASE(clause_7_mutation_is_caught_when_a_gradient_is_recorded) {
  const Parameter w = parameter(2);
  Tensor c = scalar(3);
  Tape tape;
  const Tensor x = w;
  const Tensor y = x * c * x;
  const Tensor g = tape.grad(y, x, {.record = Record::yes});
  set(c, 4);
  BOOST_CHECK_THROW(tape.grad(y, x, {.record = Record::yes}), MutatedSaved);
  BOOST_CHECK_THROW(tape.grad(g, x), MutatedSaved);
}

BOOST_AUTO_TEST_CASE(clause_7_a_constant_that_only_a_constant_needs_may_change) {
  const Parameter w = parameter(2);
  Tensor c = scalar(3);
  Tape tape;
  const Tensor y = c * c + w;  // the rule of the product is never asked
  set(c, 4);
  BOOST_TEST(tape.backward(y)[w].item() == 1);
}

BOOST_AUTO_TEST_CASE(clause_7_a_mutated_tensor_can_be_caught_and_the_tape_used_again) {
  const Parameter w = parameter(2);
  Tensor c = scalar(3);
  Tape tape;
  const Tensor broken = exp(w) * c;
  const Tensor whole = exp(w);
  set(c, 4);
  BOOST_CHECK_THROW(tape.backward(broken, RetainGraph::yes), MutatedSaved);
  BOOST_TEST(tape.active());
  check_close(tape.backward(whole, RetainGraph::yes)[w], {std::exp(2.0)});
  BOOST_CHECK_THROW(tape.backward(broken), MutatedSaved);
  BOOST_TEST(tape.spent());  // it had begun to release
  BOOST_TEST(unique(whole));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_mutation_test
