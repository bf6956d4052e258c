#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/train/metrics.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace metrics_test {

using namespace tapegrad;
using nn::accuracy;
using nn::count_correct;
using tapegrad::test::mentions;

BOOST_AUTO_TEST_SUITE(metrics)

BOOST_AUTO_TEST_CASE(class_indices_are_compared_with_the_greatest_score) {
  const Tensor scores = Tensor::from({{0.1, 0.7, 0.2}, {5, 4, 3}, {-3, -2, -1}, {0, 1, 0}});
  BOOST_TEST(accuracy(scores, Tensor::from({1, 0, 2, 1}, i64)) == 1.0);
  BOOST_TEST(accuracy(scores, Tensor::from({1, 1, 2, 2}, i64)) == 0.5);
  BOOST_TEST(accuracy(scores, Tensor::from({0, 1, 0, 0}, i64)) == 0.0);
  BOOST_TEST(count_correct(scores, Tensor::from({1, 0, 0, 1}, i64)) == 3);
}

BOOST_AUTO_TEST_CASE(one_class_would_always_be_right) {
  const Tensor scores = Tensor::from({5, -5, 5, -5}, Shape{4, 1});
  for (const Tensor& labels : {Tensor::from({0, 1, 0, 1}, Shape{4, 1}), Tensor::from({0, 0, 0, 0}, i64)})
    BOOST_CHECK_EXCEPTION(accuracy(scores, labels), ArgumentError,
                          mentions("scores [4, 1] are of one class", "binary_accuracy"));
}

BOOST_AUTO_TEST_CASE(scores_of_two_classes_are_compared_with_yes_or_no) {
  const Tensor scores = Tensor::from({5, -5, 0, 1e-3}, Shape{4, 1});
  BOOST_TEST(nn::binary_accuracy(scores, Tensor::from({0, 1, 1, 0}, Shape{4, 1})) == 0.0);
  BOOST_TEST(nn::binary_accuracy(scores, Tensor::from({1, 0, 0, 1}, Shape{4, 1})) == 1.0);
  BOOST_TEST(nn::binary_accuracy(scores, Tensor::from({0.6, 0.4, 0.5, 0.1}, Shape{4, 1})) == 0.75);
  const Tensor p = Tensor::from({0.9, 0.2});
  BOOST_TEST(nn::binary_accuracy(p - 0.5, Tensor::from({1, 0})) == 1.0);
  BOOST_TEST(nn::binary_accuracy(Tensor::scalar(std::nan("")), Tensor::scalar(1)) == 0.0);
  BOOST_CHECK_EXCEPTION(nn::binary_accuracy(scores, Tensor::from({1, 0, 0, 1})), ShapeError,
                        mentions("[4, 1]", "[4]"));
  BOOST_CHECK_EXCEPTION(nn::binary_accuracy(scores, Tensor::from({1, 0, 0, 1}, i64)), DtypeError,
                        mentions("binary_accuracy"));
  BOOST_CHECK_EXCEPTION(nn::binary_accuracy(Tensor::zeros({0}), Tensor::zeros({0})), ArgumentError,
                        mentions("nothing to judge"));
}

BOOST_AUTO_TEST_CASE(one_hot_labels_of_any_dtype_are_taken) {
  const Tensor scores = Tensor::from({{0.1, 0.9}, {0.8, 0.2}, {0.3, 0.7}}, f64);
  for (const Dtype dtype : {f32, f64, i64})
    BOOST_TEST(count_correct(scores, Tensor::from({{0, 1}, {0, 1}, {0, 1}}, dtype)) == 2);
}

BOOST_AUTO_TEST_CASE(of_equal_scores_the_first_counts) {
  const Tensor scores = Tensor::from({{1, 1, 1}, {0, 2, 2}}, i64);
  BOOST_TEST(accuracy(scores, Tensor::from({0, 1}, i64)) == 1.0);
}

BOOST_AUTO_TEST_CASE(a_nan_counts_as_the_greatest) {
  const double nan = std::nan("");
  const Tensor scores = Tensor::from({{1, nan, 9}, {nan, nan, 1}, {-HUGE_VAL, -HUGE_VAL, nan}});
  BOOST_TEST(accuracy(scores, Tensor::from({1, 0, 2}, i64)) == 1.0);
}

BOOST_AUTO_TEST_CASE(tracked_and_stale_scores_are_read_under_any_tape) {
  const Tensor labels = Tensor::from({1, 1}, i64);
  Tensor scores;
  {
    Tape tape;
    scores = tape.watch(Tensor::from({{1, 2}, {4, 3}}));
    BOOST_TEST(accuracy(scores, labels) == 0.5);
    BOOST_TEST(tape.size() == 1U);  // nothing was recorded
  }
  Tape another;
  BOOST_TEST(accuracy(scores, labels) == 0.5);
}

BOOST_AUTO_TEST_CASE(wrong_inputs_are_refused) {
  const Tensor scores = Tensor::zeros({2, 3});
  const auto labels = [](std::initializer_list<double> v) { return Tensor::from(v, i64); };
  BOOST_CHECK_EXCEPTION(accuracy(scores, labels({0, 1, 2})), ShapeError, mentions("[2, 3]", "[3]"));
  BOOST_CHECK_THROW(accuracy(scores, Tensor::zeros({3, 2})), ShapeError);
  BOOST_CHECK_THROW(accuracy(Tensor::zeros({2}), labels({0, 1})), ShapeError);
  BOOST_CHECK_THROW(accuracy(Tensor::zeros({2, 0}), labels({0, 1})), ShapeError);
  BOOST_CHECK_THROW(accuracy(scores, Tensor::scalar(1, i64)), ShapeError);
  BOOST_CHECK_EXCEPTION(accuracy(scores, Tensor::zeros({2})), DtypeError, mentions("i64", "f32"));
  BOOST_CHECK_EXCEPTION(accuracy(scores, labels({0, 3})), ArgumentError,
                        mentions("label 3", "row 1", "0 ... 2"));
  BOOST_CHECK_THROW(accuracy(scores, labels({-1, 0})), ArgumentError);
  BOOST_CHECK_EXCEPTION(accuracy(Tensor::zeros({0, 3}), Tensor::zeros({0}, i64)), ArgumentError,
                        mentions("no rows"));
  BOOST_CHECK_THROW(accuracy(Tensor(), labels({0})), ArgumentError);
  BOOST_CHECK_THROW(accuracy(scores, Tensor()), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace metrics_test
