// Losses as objects: they are their functions, and refuse what those refuse.

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
  BOOST_CHECK_EXCEPTION(nn::SoftmaxWithLoss()(Tensor::zeros({4, 1}), Tensor::zeros({4, 1})), ArgumentError,
                        mentions("[4, 1]", "one class", "MSELoss"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace loss_objects_test
