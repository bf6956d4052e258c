#include <cmath>
#include <limits>
#include <vector>

#include "both_rules.h"
#include "op_support.h"

namespace more_losses_test {

using namespace tapegrad;
using namespace tapegrad::test;

// l1_loss, binary_cross_entropy, nll_loss, and the weight of positive targets, against PyTorch's formulas in long
// double.

namespace {

using Long = long double;

Tensor doubles(const std::vector<double>& v) { return Tensor::from(v); }

/// With each reduction: the loss of terms[i], and its gradient for x of slopes[i].
template <class Loss>
void check_reductions(const Loss& loss, const Tensor& x, const std::vector<double>& terms,
                      const std::vector<double>& slopes, double tolerance = 1e-13) {
  const auto n = static_cast<double>(terms.size());
  double total = 0;
  for (const double t : terms) total += t;
  with_both_rules([&] {
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
      const bool each = reduction == Reduction::none;
      const double share = reduction == Reduction::mean ? 1 / n : 1;
      Tape tape;
      const Tensor leaf = tape.watch(x);
      const Tensor y = loss(leaf, reduction);
      check_tensor(y, each ? x.shape() : Shape{}, each ? terms : std::vector<double>{total * share},
                   tolerance);
      std::vector<double> expected = slopes;
      for (double& s : expected) s *= share;
      check_tensor(tape.grad(sum(y), leaf), x.shape(), expected, tolerance);
    }
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(more_losses)

BOOST_AUTO_TEST_CASE(absolute_differences) {
  const Tensor y = Tensor::from({1, -2, 3, 0.5}, f64), t = Tensor::from({0.5, 1, 3, -0.5}, f64);
  check_reductions([&](const Tensor& x, Reduction r) { return l1_loss(x, t, {.reduction = r}); }, y,
                   {0.5, 3, 0, 1}, {1, -1, 0, 1});
  check_tensor(l1_loss(y, t), {}, {4.5 / 4});
  BOOST_CHECK_EXCEPTION(l1_loss(y, Tensor::ones({3}, f64)), ShapeError, mentions("l1_loss", "[4]", "[3]"));
  BOOST_CHECK_EXCEPTION(l1_loss(y, Tensor::ones({4})), DtypeError, mentions("l1_loss", "f64", "f32"));
  BOOST_CHECK_EXCEPTION(l1_loss(Tensor::zeros({0}), Tensor::zeros({0})), ArgumentError, mentions("l1_loss"));
}

BOOST_AUTO_TEST_CASE(probabilities) {
  const std::vector<double> y{0.3, 0.999, 1e-9, 0.5, 0.75, 1e-30}, t{1, 0, 1, 0.25, 0.75, 0};
  std::vector<double> terms, slopes;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const Long p = y[i], q = t[i];
    terms.push_back(static_cast<double>(-(q * std::log(p) + (1 - q) * std::log1p(-p))));
    slopes.push_back(static_cast<double>((1 - q) / (1 - p) - q / p));
  }
  check_reductions(
      [&](const Tensor& x, Reduction r) { return binary_cross_entropy(x, doubles(t), {.reduction = r}); },
      doubles(y), terms, slopes);
  // Certainty: right, and wrong, where the loss is 100 and the gradient leads away.
  check_reductions(
      [](const Tensor& x, Reduction r) {
        return binary_cross_entropy(x, Tensor::from({0, 1, 1, 0}, f64), {.reduction = r});
      },
      Tensor::from({0, 1, 0, 1}, f64), {0, 0, 100, 100}, {1, -1, -1e12, 1e12});
  // The derivative for the target, and that of the derivative.
  Tape tape;
  const Tensor p = tape.watch(Tensor::from({0.3, 0.6}, f64)), q = tape.watch(Tensor::from({0.2, 1}, f64));
  const Tensor loss = binary_cross_entropy(p, q, {.reduction = Reduction::sum});
  check_tensor(tape.grad(loss, q), {2}, {std::log(0.7 / 0.3), std::log(0.4 / 0.6)});
  const Tensor slope = tape.grad(loss, p, {.record = Record::yes});
  check_tensor(tape.grad(sum(slope), p), {2}, {0.2 / 0.09 + 0.8 / 0.49, 1 / 0.36}, 1e-13);

  for (const double bad : {-1e-3, 1.001, std::numeric_limits<double>::infinity()})
    BOOST_CHECK_EXCEPTION(binary_cross_entropy(Tensor::from({0.5, bad}, f64), Tensor::ones({2}, f64)),
                          ArgumentError,
                          mentions("binary_cross_entropy", "element 1", "binary_cross_entropy_with_logits"));
  BOOST_TEST(
      std::isnan(binary_cross_entropy(Tensor::from({std::nan("")}, f64), Tensor::ones({1}, f64)).item()));
}

BOOST_AUTO_TEST_CASE(weights_of_positive_targets) {
  const std::vector<double> x{0.3, -40, 40, -2, 700, -700, 1.5, -0.1}, t{1, 1, 0, 0.25, 1, 0, 0, 0.5};
  const std::vector<double> weight{3, 0.5, 1, 0};  // of four classes, for two samples
  std::vector<double> terms, slopes;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Long v = x[i], q = t[i], p = weight[i % 4];
    const auto softplus = [](Long z) { return std::max(z, 0.0L) + std::log1p(std::exp(-std::abs(z))); };
    terms.push_back(static_cast<double>(p * q * softplus(-v) + (1 - q) * softplus(v)));
    slopes.push_back(static_cast<double>((1 - q) / (1 + std::exp(-v)) - p * q / (1 + std::exp(v))));
  }
  const Tensor logits = reshape(doubles(x), {2, 4}), targets = reshape(doubles(t), {2, 4});
  check_reductions(
      [&](const Tensor& z, Reduction r) {
        return binary_cross_entropy_with_logits(z, targets, {.reduction = r, .pos_weight = doubles(weight)});
      },
      logits, terms, slopes);
  // The example of PyTorch's BCEWithLogitsLoss.
  const Tensor ones = Tensor::ones({10, 64});
  BOOST_TEST(
      std::abs(binary_cross_entropy_with_logits(ones * 1.5, ones, {.pos_weight = Tensor::ones({64})}).item() -
               0.2014) < 5e-5);
  // A weight of 1 changes nothing; an infinite logit that agrees costs nothing.
  check_tensor(binary_cross_entropy_with_logits(logits, targets, {.pos_weight = Tensor::scalar(1, f64)}), {},
               {binary_cross_entropy_with_logits(logits, targets).item()}, 1e-14);
  constexpr double kInf = std::numeric_limits<double>::infinity();
  check_reductions(
      [](const Tensor& z, Reduction r) {
        return binary_cross_entropy_with_logits(z, Tensor::from({1, 0}, f64),
                                                {.reduction = r, .pos_weight = Tensor::scalar(2, f64)});
      },
      Tensor::from({kInf, -kInf}, f64), {0, 0}, {0, 0});

  const auto with = [&](const Tensor& w) {
    return binary_cross_entropy_with_logits(logits, targets, {.pos_weight = w});
  };
  BOOST_CHECK_EXCEPTION(with(Tensor::ones({3}, f64)), ShapeError, mentions("pos_weight", "[3]", "[2, 4]"));
  BOOST_CHECK_EXCEPTION(with(Tensor::ones({4})), DtypeError, mentions("pos_weight", "f32"));
  for (const double bad : {-1.0, kInf, std::nan("")})
    BOOST_CHECK_EXCEPTION(with(Tensor::from({1, bad, 1, 1}, f64)), ArgumentError,
                          mentions("binary_cross_entropy_with_logits", "pos_weight"));
}

BOOST_AUTO_TEST_CASE(logarithms_of_probabilities) {
  const Tensor x = random({5, 4});
  const Tensor labels = Tensor::from({0, 3, 1, 1, 2}, i64);
  const Tensor soft = softmax(random({5, 4}, f64, -2, 2, 9));
  const std::vector<ClassLossOptions> all{
      {},
      {.reduction = Reduction::sum},
      {.reduction = Reduction::none},
      {.label_smoothing = 0.2},
      {.weight = Tensor::from({0.5, 2, 1.25, 0}, f64)},
      {.reduction = Reduction::none, .weight = Tensor::from({0.5, 2, 1.25, 0}, f64), .ignore_index = 1},
      {.ignore_index = 1}};
  for (const ClassLossOptions& o : all)
    for (const Tensor& t : {labels, soft}) {
      if (o.ignore_index && t.dtype() != i64) continue;
      const auto two_steps = [&](const Tensor& z) { return sum(nll_loss(log_softmax(z), t, o)); };
      const auto one_step = [&](const Tensor& z) { return sum(softmax_with_loss(z, t, o)); };
      const Tensor expected = softmax_with_loss(x, t, o);
      check_tensor(nll_loss(log_softmax(x), t, o), expected.shape(), numbers(expected), 1e-13);
      for (const int order : {1, 2})
        check_tensor(derivative(two_steps, x, order), x.shape(), numbers(derivative(one_step, x, order)),
                     1e-12);
    }
  // By hand: -(y[0, 2] + y[1, 0]) / 2; a target of 0 beside -infinity adds nothing.
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const Tensor y = Tensor::from({{-1, -kInf, -0.5}, {-3, -2, -kInf}}, f64);
  const Tensor t = Tensor::from({2, 0}, i64);
  check_tensor(nll_loss(y, t), {}, {1.75});
  check_tensor(derivative([&](const Tensor& z) { return nll_loss(z, t); }, y), {2, 3},
               {0, 0, -0.5, -0.5, 0, 0});
  BOOST_CHECK_EXCEPTION(nll_loss(y, Tensor::from({3, 0}, i64)), ArgumentError, mentions("nll_loss", "3"));
  BOOST_CHECK_EXCEPTION(nll_loss(y, Tensor::from({0}, i64)), ShapeError, mentions("nll_loss", "[2, 3]"));
}

BOOST_AUTO_TEST_CASE(a_pos_weight_of_zero_leaves_an_infinite_logit_out) {
  const Tensor logits = Tensor::from({-std::numeric_limits<double>::infinity(), 0}, f64),
               targets = Tensor::ones({2}, f64);
  const auto loss = [&](const Tensor& z) {
    return binary_cross_entropy_with_logits(z, targets, {.pos_weight = Tensor::zeros({2}, f64)});
  };
  BOOST_TEST(loss(logits).item() == 0);
  check_tensor(derivative(loss, logits), {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(a_pos_weight_of_one_leaves_all_gradients) {
  const Tensor targets = Tensor::from({0, 0.5, 1}, f64), logits = Tensor::from({-2, 0.3, 1.5}, f64);
  const auto gradients = [&](const BinaryLossOptions& options) {
    Tape tape;
    const Tensor x = tape.watch(logits), t = tape.watch(targets);
    const std::vector<Tensor> first =
        tape.grad(binary_cross_entropy_with_logits(x, t, options), {x, t}, {.record = Record::yes});
    return std::vector{first[0].detach(), first[1].detach(), tape.grad(sum(first[0]), t)};
  };
  const std::vector<Tensor> plain = gradients({}),
                            weighed = gradients({.pos_weight = Tensor::from({1}, f64)});
  for (std::size_t i = 0; i < 3; ++i) check_tensor(weighed[i], {3}, numbers(plain[i]), 1e-14);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace more_losses_test
