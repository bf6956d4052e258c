#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tape_view.h>
#include <tapegrad/ops/ops.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace tape_everything_test {

// Recording::everything: a tape to look at.

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(tape_everything)

BOOST_AUTO_TEST_CASE(operations_on_constants_on_integers_and_without_a_derivative_are_recorded) {
  const Tensor x = Tensor::from({{1, -2, 3}, {-4, 5, -6}});
  const Tensor index = Tensor::from({1, 0}, i64);
  const Parameter p(Tensor::from({0.5, 1, 2}));
  Tape tape(Recording::everything);
  const Tensor positive = greater(x, 0);
  const Tensor best = argmax(x, 1);
  const Tensor rows = index_select(x, 0, index);
  const Tensor picked = rows * p;

  const TapeView view(tape);
  std::vector<std::string> ops;
  for (const TapeView::Node node : view) ops.emplace_back(node.op());
  const std::vector<std::string> expected{"leaf", "leaf", "greater",      "leaf", "argmax",
                                          "leaf", "leaf", "index_select", "leaf", "mul"};
  BOOST_TEST(ops == expected, boost::test_tools::per_element());
  for (const Tensor* t : {&positive, &best, &picked}) {
    const auto node = view.find(*t);
    BOOST_REQUIRE(node.has_value());
    const Tensor value = view[*node].value();
    BOOST_TEST((value.shape() == t->shape() && value.dtype() == t->dtype()));
    BOOST_TEST(!value.tracked());
  }
  BOOST_TEST(view[*view.find(best)].value().to_vector<std::int64_t>()[1] == 1);
  BOOST_TEST(view[0].value().to_vector<float>() == x.to_vector<float>());
  BOOST_TEST(view[8].parameter() == p.id());
  BOOST_TEST(view[8].value().to_vector<float>()[2] == 2);
  for (const TapeView::Node node : view)
    for (std::size_t i = 0; i < node.inputs(); ++i) BOOST_TEST(node.input(i).node().has_value());
}

BOOST_AUTO_TEST_CASE(an_optional_input_that_is_absent_has_no_node) {
  Tape tape(Recording::everything);
  const Tensor y = affine(Tensor::ones({2, 3}), Tensor::ones({3, 2}));
  const TapeView view(tape);
  const TapeView::Node node = view[*view.find(y)];
  BOOST_TEST(node.inputs() == 3u);
  BOOST_TEST(!node.input(2).given());
}

BOOST_AUTO_TEST_CASE(operations_with_residuals_hold_their_value_alone) {
  const Tensor x = Tensor::arange(0, 16, 1, f64);
  Tape tape(Recording::everything);
  const Tensor y = max_pool2d(reshape(x, {1, 1, 4, 4}), 2);
  const TapeView view(tape);
  BOOST_TEST(view[*view.find(y)].value().to_vector<double>()[3] == 15);
}

BOOST_AUTO_TEST_CASE(a_pause_does_not_stop_it) {
  const Tensor x = Tensor::from({2, 3});
  Tape tape(Recording::everything);
  Tensor y;
  {
    const Pause pause;
    y = exp(x);
  }
  BOOST_TEST(TapeView(tape).find(y).has_value());
}

BOOST_AUTO_TEST_CASE(elements_that_are_handed_out_are_known) {
  const Tensor x = Tensor::from({2, 3});
  Tape tape(Recording::everything);
  {
    const NameScope scope("net");
    (void)sum(x).item();
  }
  (void)x.to_vector<float>();
  (void)x.copy();
  const std::vector<TapeView::Read> reads = TapeView(tape).reads();
  BOOST_REQUIRE(reads.size() == 3u);
  BOOST_TEST(reads[0].function == "item");
  BOOST_TEST(reads[0].scope == "net");
  BOOST_TEST(reads[0].tensor.item() == 5);
  BOOST_TEST(reads[1].function == "values");
  BOOST_TEST(reads[1].scope == "");
  BOOST_TEST(reads[2].function == "copy");
  const std::size_t before = TapeView(tape).reads().size();
  const Mark mark = tape.mark();
  (void)x.copy();
  tape.rewind(mark);
  BOOST_TEST(TapeView(tape).reads().size() == before);
  BOOST_TEST(TapeView(tape).reads()[0].scope == "net");
  tape.reset();
  BOOST_TEST(TapeView(tape).reads().empty());
}

BOOST_AUTO_TEST_CASE(what_an_operation_reads_within_is_its_own) {
  const Tensor x = Tensor::from({2, 3, 4});
  Tape tape(Recording::everything);
  const Tensor y = scatter_add(x, 0, Tensor::from({0, 2}, i64), Tensor::from({1, 1}));
  BOOST_TEST(y.to_vector<float>() == (std::vector<float>{3, 3, 5}));
  BOOST_TEST(TapeView(tape).reads().size() == 1u);  // that of this test
}

BOOST_AUTO_TEST_CASE(no_tape_opens_inside) {
  Tape tape(Recording::everything);
  BOOST_CHECK_EXCEPTION(Tape(), Error, test::mentions("inside of a tape that records everything"));
}

BOOST_AUTO_TEST_CASE(it_cannot_be_differentiated) {
  const Parameter p(Tensor::ones({2}));
  Tape tape(Recording::everything);
  const Tensor y = sum(p * 2.0);
  BOOST_CHECK_EXCEPTION(tape.backward(y), Error, test::mentions("records everything"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, y), Error, test::mentions("records everything"));
}

BOOST_AUTO_TEST_CASE(a_value_that_was_changed_is_not_given) {
  Tensor constant = Tensor::ones({2});
  Tape tape(Recording::everything);
  const Tensor y = constant + 1.0;
  constant.mutable_values<float>()[0] = 5;
  const TapeView view(tape);
  BOOST_CHECK_EXCEPTION(view[0].value(), MutatedSaved, test::mentions("changed"));
  BOOST_TEST(view[1].value().to_vector<float>()[0] == 2);
}

BOOST_AUTO_TEST_CASE(another_tape_holds_what_gradients_need_alone) {
  const Parameter p(Tensor::ones({2}));
  Tape tape;
  const Tensor y = exp(p.value());
  const Tensor z = p.value() + 1.0;
  const TapeView view(tape);
  BOOST_TEST(view[*view.find(y)].value().defined());  // exp saves its output
  BOOST_TEST(!view[*view.find(z)].value().defined());
  BOOST_TEST(!view[0].value().defined());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_everything_test
