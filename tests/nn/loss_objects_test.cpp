// Losses as objects: they are their functions, and SoftmaxWithLoss refuses what is no classification.

#include <vector>

#include <tapegrad/nn/losses.h>
#include <tapegrad/ops/neural/loss.h>

#include "op_support.h"

namespace loss_objects_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(loss_objects)

BOOST_AUTO_TEST_CASE(they_are_their_functions) {
  const Tensor y = random({4, 3}, f64, -2, 2, 1);
  const Tensor t = Tensor::from(std::vector<std::int64_t>{0, 2, 1, 1});
  BOOST_TEST(nn::SoftmaxWithLoss()(y, t).item() == softmax_with_loss(y, t).item());
  BOOST_TEST(nn::MSELoss()(y, y * 0).item() == mse_loss(y, y * 0).item());
  BOOST_TEST(nn::MSELoss()(Tensor::from({3, 5}, f64), Tensor::from({1, 1}, f64)).item() == 10);
}

BOOST_AUTO_TEST_CASE(what_is_no_classification_is_refused) {
  const nn::SoftmaxWithLoss loss;
  const Tensor one = random({4, 1}, f64, -2, 2, 1), three = random({2, 3}, f64, -2, 2, 2);
  const auto of = [](double first, double last) {
    return Tensor::from({{first, 1 - first, 0.0}, {0.0, 1.0, last}}, f64);
  };
  BOOST_CHECK_EXCEPTION(loss(one, one), ArgumentError, mentions("[4, 1]", "one class", "MSELoss"));
  BOOST_CHECK_EXCEPTION(loss(one, Tensor::zeros({4}, i64)), ArgumentError, mentions("one class"));
  BOOST_TEST(loss(three, of(0.25, 0)).item() == softmax_with_loss(three, of(0.25, 0)).item());
  BOOST_CHECK_EXCEPTION(loss(three, of(0.25, 1)), ArgumentError, mentions("row 1", "its sum is 2"));
  BOOST_CHECK_EXCEPTION(loss(three, of(-0.5, 0)), ArgumentError, mentions("row 0", "-0.5"));
  BOOST_CHECK_EXCEPTION(loss(three, of(kNan, 0)), ArgumentError, mentions("row 0"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace loss_objects_test
