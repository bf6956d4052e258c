// Losses of scores or probabilities of classes.
#include <utility>
#include <vector>

#include "both_rules.h"
#include "loss_support.h"

namespace class_loss_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// One of class targets: what they are for the loss, and the weights they stand for.
struct ClassTargets {
  const char* name;
  Tensor given;
  Numbers weights;
};

std::vector<ClassTargets> class_targets(const Shape& scores, Dtype dtype) {
  const std::int64_t classes = scores.dim(-1);
  const Shape rows = scores.removed(scores.rank() - 1);
  const Tensor labels = random(rows, i64, 0, static_cast<double>(classes - 1), 7);
  const Tensor hot = one_hot(labels, classes, dtype);
  const Tensor any = random(scores, dtype, 0.05, 1, 8);
  const Tensor soft = any / sum(any, -1, KeepDims::yes);
  return {{"indices", labels, numbers(hot)}, {"one-hot", hot, numbers(hot)}, {"soft", soft, numbers(soft)}};
}

const std::vector<Shape> kScores{{3}, {2}, {4, 3}, {1, 5}, {2, 3, 4}, {1700, 10}, {1, 17000}};

/// The loss -1/N sum t value(row of y), its gradients, and those of the gradients, row by row.
template <class Loss, class Value, class Slope>
void check_class_loss(Loss loss, double lo, double hi, Value value, Slope slope) {
  for (const Dtype dtype : {f32, f64})
    for (const Shape& shape : kScores)
      for (const ClassTargets& targets : class_targets(shape, dtype))
        BOOST_TEST_CONTEXT(to_string(shape) << " of " << name_of(dtype) << ", targets " << targets.name) {
          const Tensor y = random(shape, dtype, lo, hi);
          const auto rows = rows_along(shape, shape.rank() - 1);
          const auto n = static_cast<long double>(rows.size());
          const Numbers yv = numbers(y);
          long double expected = 0;
          Wide dy(static_cast<std::size_t>(shape.size())), dt(dy);
          for (const auto& at : rows) {
            const Numbers w = picked(targets.weights, at);
            const Wide v = value(picked(yv, at));
            const Wide d = slope(picked(yv, at), w);
            for (std::size_t c = 0; c < at.size(); ++c) {
              if (w[c] != 0) expected -= w[c] * v[c] / n;
              dy[at[c]] = 2 * d[c] / n;
              dt[at[c]] = -2 * v[c] / n;
            }
          }
          const double tolerance = tolerance_of(dtype, 1e-5, 1e-12);
          check_tensor(loss(y, targets.given), {}, {static_cast<double>(expected)}, tolerance);
          with_both_rules([&] {
            for (const bool track_targets : {false, true}) {
              if (track_targets && targets.given.dtype() == i64) continue;
              Tape tape;
              const Tensor ly = tape.watch(y);
              const Tensor lt = track_targets ? tape.watch(targets.given) : targets.given;
              const Gradients g = tape.backward(loss(ly, lt) * 2);
              check_tensor(g[ly], shape, rounded(dy), tolerance);
              if (track_targets) check_tensor(g[lt], shape, rounded(dt), tolerance);
            }
          });
        }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(class_loss)

BOOST_AUTO_TEST_CASE(cross_entropy_known_values) {
  const Tensor right = Tensor::from({0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0}, f64);
  const Tensor wrong = Tensor::from({0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0}, f64);
  const Tensor hot = Tensor::from({0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, f64);
  const Tensor label = Tensor::scalar(2, i64);
  for (const Tensor& t : {hot, label}) {
    check_tensor(cross_entropy(right, t), {}, {0.510825457099338}, 1e-15);
    check_tensor(cross_entropy(wrong, t), {}, {2.302584092994546}, 1e-15);
  }
  // a certain and wrong answer costs -ln 1e-7, not infinity
  check_tensor(cross_entropy(Tensor::from({{1, 0}}, f64), Tensor::from({1}, i64)), {}, {-std::log(1e-7)});
}

BOOST_AUTO_TEST_CASE(cross_entropy_values_and_gradients) {
  const auto value = [](const Numbers& y) {
    Wide v;
    for (const double p : y) v.push_back(std::log(p + 1e-7L));
    return v;
  };
  const auto slope = [](const Numbers& y, const Numbers& w) {
    Wide d;
    for (std::size_t c = 0; c < y.size(); ++c) d.push_back(-w[c] / (y[c] + 1e-7L));
    return d;
  };
  check_class_loss([](const Tensor& y, const Tensor& t) { return cross_entropy(y, t); }, 0.05, 1, value,
                   slope);
}

BOOST_AUTO_TEST_CASE(softmax_with_loss_values_and_gradients) {
  const auto slope = [](const Numbers& x, const Numbers& w) {
    const Wide p = softmax_of(x);
    const long double total = std::accumulate(w.begin(), w.end(), 0.0L);
    Wide d;
    for (std::size_t c = 0; c < x.size(); ++c) d.push_back(p[c] * total - w[c]);
    return d;
  };
  check_class_loss([](const Tensor& x, const Tensor& t) { return softmax_with_loss(x, t); }, -3, 3,
                   log_softmax_of, slope);
}

// For one sample the Hessian is (diag p - p p^T) sum t; the mixed derivative is p 1^T - I.
BOOST_AUTO_TEST_CASE(softmax_with_loss_second_order) {
  const Tensor x = random({5}, f64, -2, 2, 1);
  const Tensor v = random({5}, f64, -2, 2, 2);
  const Wide p = softmax_of(numbers(x));
  const Numbers vv = numbers(v);
  long double pv = 0;
  for (std::size_t i = 0; i < 5; ++i) pv += p[i] * vv[i];
  for (const ClassTargets& targets : class_targets({5}, f64)) BOOST_TEST_CONTEXT(targets.name) {
      const long double total = std::accumulate(targets.weights.begin(), targets.weights.end(), 0.0L);
      Numbers by_x, by_t;
      for (std::size_t i = 0; i < 5; ++i) {
        by_x.push_back(static_cast<double>(total * p[i] * (vv[i] - pv)));
        by_t.push_back(static_cast<double>(pv - vv[i]));
      }
      Tape tape;
      const Tensor leaf = tape.watch(x);
      const bool soft = targets.given.dtype() != i64;
      const Tensor t = soft ? tape.watch(targets.given) : targets.given;
      const Tensor d = tape.grad(softmax_with_loss(leaf, t), leaf, {.record = Record::yes});
      check_tensor(tape.grad(sum(d * v), leaf), {5}, by_x);
      if (soft) check_tensor(tape.grad(sum(d * v), t), {5}, by_t);
    }
}

BOOST_AUTO_TEST_CASE(targets_of_zero_add_nothing) {
  const Tensor x = Tensor::from({-kInf, 0, 1}, f64);
  const double expected = std::log(1 + std::exp(1)) - 1;
  Tape tape;
  const Tensor leaf = tape.watch(x);
  const Tensor loss = softmax_with_loss(leaf, Tensor::from({0, 0, 1}, f64));
  check_tensor(loss, {}, {expected});
  const double p = 1 / (1 + std::exp(1));
  check_tensor(tape.backward(loss)[leaf], {3}, {0, p, -p});
}

BOOST_AUTO_TEST_CASE(class_losses_errors) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&);
  for (const Loss loss : {Loss{&cross_entropy}, Loss{&softmax_with_loss}}) {
    const char* const name = loss == Loss{&cross_entropy} ? "cross_entropy" : "softmax_with_loss";
    const Tensor x = Tensor::zeros({4, 3});
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::from({0, 1, 3, 2}, i64)), ArgumentError,
                          mentions(name, "target 3 at [2]", "classes 0 to 2"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::from({0, -1, 0, 2}, i64)), ArgumentError,
                          mentions("target -1 at [1]"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({3}), Tensor::scalar(3, i64)), ArgumentError,
                          mentions("target 3 at []"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({2, 2, 3}), Tensor::from({0, 1, 2, 9}, {2, 2}, i64)),
                          ArgumentError, mentions("target 9 at [1, 1]"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::from({0, 1, 2}, i64)), ShapeError,
                          mentions(name, "targets [3]", "[4, 3]", "expect [4]"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::zeros({4, 1}, i64)), ShapeError, mentions("[4, 1]", "expect [4]"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::zeros({4, 3}, i64)), ShapeError, mentions("one-hot", "cast"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::zeros({4})), DtypeError,
                          mentions("[4]", "f32", "class indices must be i64"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::zeros({4, 2})), ShapeError,
                          mentions("targets [4, 2]", "expect [4, 3]"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor::zeros({4, 3}, f64)), DtypeError, mentions("f32", "f64"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({4, 3}, i64), Tensor::zeros({4}, i64)), DtypeError,
                          mentions("i64", "cast"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({}), Tensor::zeros({}, i64)), ShapeError, mentions("scalar"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({4, 0}), Tensor::zeros({4}, i64)), ArgumentError,
                          mentions("no classes"));
    BOOST_CHECK_EXCEPTION(loss(Tensor::zeros({0, 3}), Tensor::zeros({0}, i64)), ArgumentError,
                          mentions("no rows"));
    BOOST_CHECK_EXCEPTION(loss(x, Tensor()), ArgumentError, mentions(name, "input 1"));
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_classification_is_refused) {
  using Loss = Tensor (*)(const Tensor&, const Tensor&, const ClassLossOptions&);
  const std::vector<std::pair<const char*, Loss>> losses{
      {"cross_entropy", &cross_entropy}, {"softmax_with_loss", &softmax_with_loss}, {"nll_loss", &nll_loss}};
  const Tensor one = random({4, 1}, f64, 0, 1, 1), probabilities = random({2, 3}, f64, 0, 1, 2);
  const auto of = [](double first, double last) {
    return Tensor::from({{first, 1 - first, 0.0}, {0.0, 1.0, last}}, f64);
  };
  for (const auto& [name, loss] : losses)
    for (const ClassLossOptions& o : {ClassLossOptions{}, ClassLossOptions{.label_smoothing = 0.1}}) {
      const Tensor three = loss == Loss{&nll_loss} ? log(probabilities) : probabilities;
      BOOST_CHECK_EXCEPTION(loss(one, one, o), ArgumentError,
                            mentions(name, "[4, 1]", "one class", "mse_loss"));
      BOOST_CHECK_EXCEPTION(loss(one, Tensor::zeros({4}, i64), o), ArgumentError, mentions("one class"));
      BOOST_TEST(std::isfinite(loss(three, of(0.25, 0), o).item()));
      BOOST_TEST(std::isfinite(loss(three, of(0.25, -0.01), o).item()));
      BOOST_CHECK_EXCEPTION(
          loss(three, of(0.25, 1), o), ArgumentError,
          mentions(name, "row 1", "[2, 3]", "its sum is 2", "binary_cross_entropy_with_logits"));
      BOOST_CHECK_EXCEPTION(loss(three, of(-0.5, 0), o), ArgumentError, mentions("row 0", "-0.5"));
      BOOST_CHECK_EXCEPTION(loss(three, of(kNan, 0), o), ArgumentError, mentions("row 0"));
      BOOST_CHECK_EXCEPTION(loss(cast(three, f32), cast(of(-0.5, 0), f32), o), ArgumentError,
                            mentions("row 0"));
    }
  const Tensor y = Tensor::zeros({4, 1, 2});
  BOOST_TEST(softmax_with_loss(y, Tensor::zeros({4, 1}, i64)).item() == std::log(2.0F));
}

BOOST_AUTO_TEST_CASE(probabilities_are_not_logarithms) {
  const Tensor t = Tensor::from({0}, i64);
  BOOST_CHECK_EXCEPTION(nll_loss(Tensor::from({{0.25, 0.75}}), t), ArgumentError,
                        mentions("nll_loss", "[1, 2]", "0.75", "above 0", "log_softmax"));
  BOOST_TEST(nll_loss(Tensor::from({{1e-7, -3}}), t).item() <= 0);
  BOOST_TEST(std::isnan(nll_loss(Tensor::from({{kNan, -3}}), t).item()));
}

BOOST_AUTO_TEST_CASE(logits_are_not_probabilities) {
  const Tensor target = cast(Tensor::from({1}), i64);
  for (const double p : {-3.0, 2.5, -1e-3, 1.01})
    BOOST_CHECK_EXCEPTION(
        cross_entropy(Tensor::from({{0.25, 0.5, p}}), target), ArgumentError, [](const Error& e) {
          const std::string text = e.what();
          return text.find("cross_entropy") != text.npos && text.find("[0, 2]") != text.npos &&
                 text.find("softmax_with_loss") != text.npos;
        });
  // Probabilities that were rounded are taken, and a NaN shows.
  BOOST_TEST(std::isfinite(cross_entropy(Tensor::from({{1 + 1e-6, 1 + 1e-6, -1e-9}}), target).item()));
  BOOST_TEST(std::isnan(cross_entropy(Tensor::from({{0.5, kNan, 0.5}}), target).item()));
}

BOOST_AUTO_TEST_CASE(masks_of_infinity) {
  const Tensor x = Tensor::from({{1, -kInf, 2, 0}}, f64);
  const Tensor without = Tensor::from({{1, 2, 0}}, f64);
  const Tensor target = cast(Tensor::from({2}), i64), of_three = cast(Tensor::from({1}), i64);
  with_both_rules([&] {
    for (const int order : {1, 2}) {
      const std::vector<double> g = numbers(
          derivative([&](const Tensor& v) { return square(softmax_with_loss(v, target)); }, x, order));
      const std::vector<double> expected = numbers(derivative(
          [&](const Tensor& v) { return square(softmax_with_loss(v, of_three)); }, without, order));
      BOOST_TEST(g[1] == 0);
      for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(near(g[i ? i + 1 : 0], expected[i], 1e-14));
      const std::vector<double> s = numbers(derivative(
          [&](const Tensor& v) { return sum(slice(softmax(v), 1, 2, 3)) + logsumexp(v); }, x, order));
      BOOST_TEST(s[1] == 0);
      for (const double v : s) BOOST_TEST(std::isfinite(v));
    }
  });
  const Tensor nothing = Tensor::full({1, 3}, -kInf, f64);
  BOOST_TEST(std::isnan(softmax_with_loss(nothing, of_three).item()));
  for (const double v : numbers(softmax(nothing))) BOOST_TEST(std::isnan(v));
  for (const double v : numbers(log_softmax(nothing))) BOOST_TEST(std::isnan(v));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace class_loss_test
