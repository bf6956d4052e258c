/// The numbers printed in and about Saito: Deep Learning from Scratch, 2016, chapters 2 to 4: what networks
/// and losses give.
#include <tapegrad/ops/functional/derivatives.h>

#include "book_support.h"

namespace book_forward_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(book_forward)

// ---- chapter 2: perceptrons ----

namespace {

/// 1 where w . x + b > 0.
Tensor perceptron(const Tensor& x, const Tensor& w, double b) { return step(matmul(x, w) + b); }
Tensor and_gate(const Tensor& x) { return perceptron(x, f64s({0.5, 0.5}), -0.7); }
Tensor nand_gate(const Tensor& x) { return perceptron(x, f64s({-0.5, -0.5}), 0.7); }
Tensor or_gate(const Tensor& x) { return perceptron(x, f64s({0.5, 0.5}), -0.2); }
Tensor xor_gate(const Tensor& x) { return and_gate(stack({nand_gate(x), or_gate(x)}, -1)); }

}  // namespace

BOOST_AUTO_TEST_CASE(gates) {
  const Tensor x = f64s({{0, 0}, {1, 0}, {0, 1}, {1, 1}});
  check_printed(and_gate(x), {0, 0, 0, 1}, 0);
  check_printed(nand_gate(x), {1, 1, 1, 0}, 0);
  check_printed(or_gate(x), {0, 1, 1, 1}, 0);
  check_printed(xor_gate(x), {0, 1, 1, 0}, 0);
  check_printed(xor_gate(f64s({1, 0})), {1}, 0);
}

// ---- chapter 3: forward ----

BOOST_AUTO_TEST_CASE(three_layers) {
  const Tensor w1 = f64s({{0.1, 0.3, 0.5}, {0.2, 0.4, 0.6}});
  const Tensor w2 = f64s({{0.1, 0.4}, {0.2, 0.5}, {0.3, 0.6}});
  const Tensor w3 = f64s({{0.1, 0.3}, {0.2, 0.4}});
  const Tensor b1 = f64s({0.1, 0.2, 0.3});
  const Tensor b2 = f64s({0.1, 0.2});
  const Tensor b3 = f64s({0.1, 0.2});
  // One sample, and the same as a batch of two.
  for (const Tensor& x : {f64s({1, 0.5}), f64s({{1, 0.5}, {1, 0.5}})}) {
    const auto printed = [&](const Tensor& t, const std::vector<double>& row) {
      std::vector<double> all = row;
      if (x.rank() == 2) all.insert(all.end(), row.begin(), row.end());
      check_printed(t, all);
    };
    const Tensor a1 = affine(x, w1, b1);
    printed(a1, {0.3, 0.7, 1.1});
    const Tensor z1 = sigmoid(a1);
    printed(z1, {0.57444252, 0.66818777, 0.75026011});
    const Tensor a2 = affine(z1, w2, b2);
    printed(a2, {0.51615984, 1.21402696});
    printed(identity(affine(sigmoid(a2), w3, b3)), {0.31682708, 0.69627909});
  }
}

BOOST_AUTO_TEST_CASE(softmax_and_its_stability) {
  const Tensor y = softmax(f64s({0.3, 2.9, 4.0}));
  check_printed(y, {0.01821127, 0.24519181, 0.73659691});
  check_printed(sum(y), {1}, 1e-15);
  const Tensor large = softmax(f64s({1010, 1000, 990}));
  check_printed(large, {9.99954600e-01, 4.53978686e-05, 2.06106005e-09});
  check_printed(large, numbers(softmax(f64s({20, 10, 0}))), 0);
}

// ---- chapter 4: losses ----

namespace {
const std::initializer_list<double> kMostlyTwo{0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0};
const std::initializer_list<double> kMostlySeven{0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0};
}  // namespace

BOOST_AUTO_TEST_CASE(losses_of_one_sample_in_both_forms_of_the_target) {
  const Tensor hot = f64s({0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  const Tensor index = Tensor::scalar(2, i64);
  for (const Tensor& t : {hot, index}) {
    check_printed(sum_squared_error(f64s(kMostlyTwo), t), {0.0975}, 1e-16);
    check_printed(sum_squared_error(f64s(kMostlySeven), t), {0.5975}, 2e-16);
    check_printed(cross_entropy(f64s(kMostlyTwo), t), {0.510825457099338}, 1e-15);
    check_printed(cross_entropy(f64s(kMostlySeven), t), {2.302584092994546}, 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(losses_average_over_the_batch) {
  const Tensor y = f64s({kMostlyTwo, kMostlySeven});
  const Tensor indices = Tensor::from({2, 7}, i64);
  for (const Tensor& t : {one_hot(indices, 10, f64), indices}) {
    check_printed(sum_squared_error(y, t), {0.0975}, 1e-16);
    check_printed(cross_entropy(y, t), {0.510825457099338}, 1e-15);
  }
  const Tensor both_two = Tensor::from({2, 2}, i64);
  for (const Tensor& t : {one_hot(both_two, 10, f64), both_two}) {
    check_printed(sum_squared_error(y, t), {(0.0975 + 0.5975) / 2}, 1e-16);
    check_printed(cross_entropy(y, t), {(0.510825457099338 + 2.302584092994546) / 2}, 1e-15);
    // Any shape in front of the classes is a batch.
    check_printed(
        sum_squared_error(reshape(y, {1, 2, 10}), reshape(t, t.rank() == 2 ? Shape{1, 2, 10} : Shape{1, 2})),
        {(0.0975 + 0.5975) / 2}, 1e-16);
  }
}

BOOST_AUTO_TEST_CASE(cross_entropy_of_a_right_an_unsure_and_an_even_answer) {
  const Tensor t = f64s({0, 1, 0});
  check_printed(cross_entropy(t, t), {-9.999999505838704e-08}, 1e-22);
  check_printed(cross_entropy(f64s({0.1, 0.7, 0.2}), t), {0.3566748010815999}, 1e-16);
  check_printed(cross_entropy(f64s({0.1, 0.5, 0.4}), t), {0.6931469805599654}, 2e-16);
}

BOOST_AUTO_TEST_CASE(the_half_sum_of_squares_has_the_gradient_of_its_formula_and_says_what_does_not_fit) {
  const Tensor y = random({4, 3});
  const Tensor labels = Tensor::from({0, 2, 1, 1}, i64);
  const Tensor hot = one_hot(labels, 3, f64);
  for (const Tensor& t : {hot, labels}) {
    const auto loss = [&](const Tensor& v) { return sum_squared_error(v, t); };
    check_tensor(gradient(loss, y), {4, 3}, numbers((y - hot) / 4));
    check_tensor(hvp(loss, y, y), {4, 3}, numbers(y / 4));
  }
  check_tensor(gradient([&](const Tensor& t) { return sum_squared_error(y, t); }, hot), {4, 3},
               numbers((hot - y) / 4));
  BOOST_CHECK_EXCEPTION(sum_squared_error(y, Tensor::from({0, 3, 1, 1}, i64)), ArgumentError,
                        mentions("sum_squared_error", "target 3", "0 to 2"));
  BOOST_CHECK_EXCEPTION(sum_squared_error(y, Tensor::zeros({4, 2}, f64)), ShapeError,
                        mentions("sum_squared_error", "[4, 2]", "[4, 3]"));
  BOOST_CHECK_EXCEPTION(sum_squared_error(y, Tensor::zeros({4, 3})), DtypeError, mentions("f32", "f64"));
  BOOST_CHECK_THROW(sum_squared_error(Tensor::zeros({0, 3}), Tensor::zeros({0, 3})), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace book_forward_test
