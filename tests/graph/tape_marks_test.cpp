#include "tape_support.h"

namespace tape_marks_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_marks)

BOOST_AUTO_TEST_CASE(clause_3_a_mark_is_rewound_as_often_as_wanted) {
  const Parameter w = parameter(3);
  Tape tape;
  const Tensor base = square(w);
  const std::size_t size = tape.size();
  const Mark mark = tape.mark();
  std::vector<Tensor> tried;
  for (int i = 1; i <= 5; ++i) {
    const Tensor y = base * i;
    BOOST_TEST(tape.size() == size + 1);
    BOOST_TEST(tape.backward(y, RetainGraph::yes)[w].item() == 6 * i);
    for (const Tensor& old : tried) BOOST_CHECK_THROW(old + 1, StaleTensor);
    tried.push_back(y);
    tape.rewind(mark);
    BOOST_TEST(tape.size() == size);
  }
  BOOST_TEST(tape.backward(base)[w].item() == 6);
}

BOOST_AUTO_TEST_CASE(clause_3_what_was_before_a_mark_stays_usable) {
  const Parameter w = parameter(3);
  Tape tape;
  const Tensor before = square(w);
  const Mark mark = tape.mark();
  const Tensor after = before * before;
  BOOST_TEST(before.tracked());
  BOOST_TEST(after.tracked());
  BOOST_TEST(tape.grad(after, w).item() == 4 * 27);
  tape.rewind(mark);
  BOOST_TEST(before.tracked());
  BOOST_TEST(!after.tracked());
  BOOST_TEST(tape.grad(before * w, w).item() == 27);
  BOOST_CHECK_THROW(tape.grad(after, w), StaleTensor);
}

BOOST_AUTO_TEST_CASE(clause_3_rewinding_releases_what_was_saved) {
  const Parameter w = parameter(3);
  Tape tape;
  const Mark mark = tape.mark();
  const Tensor y = exp(w);
  BOOST_TEST(!unique(y));
  tape.rewind(mark);
  BOOST_TEST(unique(y));
}

BOOST_AUTO_TEST_CASE(clause_3_nested_marks) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor x = w;
  const Mark outer = tape.mark();
  const Tensor a = x * x;
  const Mark inner = tape.mark();
  const Tensor b = a * a;
  tape.rewind(inner);
  BOOST_TEST(a.tracked());
  BOOST_CHECK_THROW(b + 1, StaleTensor);
  const Tensor c = a * x;
  BOOST_TEST(tape.grad(c, x).item() == 12);
  tape.rewind(inner);
  BOOST_CHECK_THROW(c + 1, StaleTensor);
  tape.rewind(outer);
  BOOST_CHECK_THROW(a + 1, StaleTensor);
  BOOST_CHECK_EXCEPTION(tape.rewind(inner), ArgumentError, mentions("rewind", "earlier mark", "mark()"));
  tape.rewind(outer);
  BOOST_TEST(tape.grad(x * x, x).item() == 4);
}

BOOST_AUTO_TEST_CASE(clause_3_marks_without_anything_between_them) {
  const Parameter w = parameter(2);
  Tape tape;
  const Mark first = tape.mark();
  const Mark second = tape.mark();
  const Tensor x = w;
  const Tensor y = x * x;
  const Tensor g = tape.grad(y, x, {.record = Record::yes});
  BOOST_TEST(g.tracked());
  BOOST_TEST(tape.grad(g, x).item() == 2);
  tape.rewind(second);
  BOOST_TEST(tape.size() == 0u);
  tape.rewind(second);
  tape.rewind(first);
  BOOST_TEST(tape.size() == 0u);
  BOOST_TEST(tape.backward(square(w))[w].item() == 4);
}

BOOST_AUTO_TEST_CASE(clause_3_invalid_marks_are_refused) {
  const Parameter w = parameter(2);
  Tape tape;
  BOOST_CHECK_THROW(tape.rewind(Mark()), ArgumentError);
  const Mark mark = tape.mark();
  {
    Tape other;
    BOOST_CHECK_EXCEPTION(other.rewind(mark), ArgumentError, mentions("another tape"));
    const Mark its_own = other.mark();
    BOOST_CHECK_THROW(tape.rewind(its_own), ArgumentError);
  }
  tape.reset();
  BOOST_CHECK_EXCEPTION(tape.rewind(mark), ArgumentError, mentions("reset"));
  const Mark fresh = tape.mark();
  tape.backward(square(w));
  BOOST_CHECK_EXCEPTION(tape.rewind(fresh), TapeSpent, mentions("rewind", "reset"));
}

BOOST_AUTO_TEST_CASE(clause_3_a_parameter_read_before_and_after_a_mark) {
  const Parameter early = parameter(2);
  const Parameter late = parameter(3);
  Tape tape;
  const Tensor e = early;
  const Mark mark = tape.mark();
  for (int i = 0; i < 3; ++i) {
    const Tensor y = early * late.value() * e;  // one leaf of `early`, from before the mark
    BOOST_TEST(tape.size() == 4u);
    const Gradients g = tape.backward(y, RetainGraph::yes);
    BOOST_TEST(g.size() == 2u);
    BOOST_TEST(g[early].item() == 12);
    BOOST_TEST(g[late].item() == 4);
    tape.rewind(mark);
  }
  const Gradients g = tape.backward(square(early));
  BOOST_TEST(g.size() == 1u);  // the leaf of `late` was rewound
  BOOST_TEST(g[early].item() == 4);
}

BOOST_AUTO_TEST_CASE(clause_3_a_parameter_changed_between_attempts_is_read_anew) {
  Parameter w = parameter(2);
  Tape tape;
  const Mark mark = tape.mark();
  for (const double value : {2.0, 5.0, -1.0}) {  // a line search
    w.mutable_values<double>()[0] = value;
    BOOST_TEST(tape.backward(square(w), RetainGraph::yes)[w].item() == 2 * value);
    tape.rewind(mark);
  }
}

BOOST_AUTO_TEST_CASE(clause_3_scopes_are_named_anew_after_a_rewind) {
  const Parameter w = parameter(-2);
  Tape tape;
  tape.check_finite();
  const NameScope scope("outer");
  const Mark mark = tape.mark();
  for (int i = 0; i < 3; ++i) {
    const NameScope inner("inner");
    const Tensor y = w * 1.0;
    const detail::Node* n = detail::TensorAccess::tag(y).node;
    BOOST_REQUIRE(n->scope);
    BOOST_TEST(n->scope->text() == "outer.inner");
    tape.rewind(mark);
    for (int j = 0; j < 100; ++j) (void)(w * 1.0);  // overwrites where the path lay
    tape.rewind(mark);
  }
}

BOOST_AUTO_TEST_CASE(clause_3_higher_derivatives_across_marks) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor x = w;
  const Tensor y = x * x * x * x;
  (void)tape.mark();
  const Tensor g = tape.grad(y, x, {.record = Record::yes});
  const Mark mark = tape.mark();
  for (int i = 0; i < 2; ++i) {
    const Tensor h = tape.grad(g, x, {.record = Record::yes});
    (void)tape.mark();
    BOOST_TEST(tape.grad(h, x).item() == 48);
    tape.rewind(mark);
    BOOST_CHECK_THROW(tape.grad(h, x), StaleTensor);
  }
  BOOST_TEST(tape.grad(g, x).item() == 48);
}

BOOST_AUTO_TEST_CASE(clause_8_a_rewound_tape_reuses_its_memory) {
  const Parameter w = parameter(2);
  Tape tape;
  const Mark mark = tape.mark();
  std::size_t bytes = 0;
  for (int i = 0; i < 5; ++i) {
    Tensor y = w;
    for (int j = 0; j < 5000; ++j) y = y * 1.0;
    if (bytes) BOOST_TEST(tape.node_bytes() == bytes);
    bytes = tape.node_bytes();
    tape.rewind(mark);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_marks_test
