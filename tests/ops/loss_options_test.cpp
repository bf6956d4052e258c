// Reductions, label smoothing, class weights and ignored samples, against PyTorch's formulas written out in long
// double: a term of the target's class and a term of the smoothing, each with its weights.

#include <functional>
#include <optional>

#include "loss_support.h"

namespace loss_options_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Long = long double;
using Function = std::function<Wide(const Wide&)>;

constexpr std::size_t kRows = 5, kClasses = 4;

/// Logarithms of softmax, or of probabilities + 1e-7.
Wide logarithms(bool logits, const Wide& x) {
  Wide logs;
  for (std::size_t n = 0; n < x.size() / kClasses; ++n) {
    Long total = 0;
    for (std::size_t c = 0; c < kClasses; ++c) total += std::exp(x[n * kClasses + c]);
    for (std::size_t c = 0; c < kClasses; ++c) {
      const Long v = x[n * kClasses + c];
      logs.push_back(logits ? v - std::log(total) : std::log(v + 1e-7L));
    }
  }
  return logs;
}

struct Case {
  Reduction reduction;
  double smoothing;
  bool weights;
  std::optional<std::int64_t> ignored;
};

const std::vector<double> kWeights{0.5, 2, 1.25, 0};

/// cross_entropy of PyTorch for class indices.
Wide with_indices(bool logits, const Wide& x, const std::vector<std::int64_t>& labels, const Case& o) {
  const Wide logs = logarithms(logits, x);
  const auto weight = [&](std::size_t c) { return o.weights ? static_cast<Long>(kWeights[c]) : 1; };
  const Long smoothing = static_cast<Long>(o.smoothing);
  Wide losses;
  Long counted = 0;
  for (std::size_t n = 0; n < kRows; ++n) {
    if (o.ignored && labels[n] == *o.ignored) {
      losses.push_back(0);
      continue;
    }
    const auto label = static_cast<std::size_t>(labels[n]);
    Long smooth = 0;
    for (std::size_t c = 0; c < kClasses; ++c) smooth -= weight(c) * logs[n * kClasses + c];
    const Long nll = -weight(label) * logs[n * kClasses + label];
    losses.push_back((1 - smoothing) * nll + smoothing / kClasses * smooth);
    counted += weight(label);
  }
  if (o.reduction == Reduction::none) return losses;
  const Long total = std::accumulate(losses.begin(), losses.end(), Long{0});
  return {o.reduction == Reduction::sum ? total : total / counted};
}

/// And for probabilities of the classes: its mean is over the samples, whatever their weights.
Wide with_probabilities(bool logits, const Wide& x, const Numbers& t, const Case& o) {
  const Wide logs = logarithms(logits, x);
  Wide losses;
  for (std::size_t n = 0; n < kRows; ++n) {
    Long loss = 0;
    for (std::size_t c = 0; c < kClasses; ++c) {
      const Long smooth = static_cast<Long>(t[n * kClasses + c]) * (1 - static_cast<Long>(o.smoothing)) +
                          static_cast<Long>(o.smoothing) / kClasses;
      loss -= (o.weights ? static_cast<Long>(kWeights[c]) : 1) * smooth * logs[n * kClasses + c];
    }
    losses.push_back(loss);
  }
  if (o.reduction == Reduction::none) return losses;
  const Long total = std::accumulate(losses.begin(), losses.end(), Long{0});
  return {o.reduction == Reduction::sum ? total : total / kRows};
}

/// The values of a loss and its gradient, by differences in long double: of the sum of the results, each times its
/// number.
void check_loss(const Function& expected, const std::function<Tensor(const Tensor&)>& loss, const Tensor& x) {
  const Numbers at = numbers(x);
  const Wide wide(at.begin(), at.end());
  const double tolerance = tolerance_of(x.dtype(), 2e-6, 1e-13);
  const auto weighed = [&](const Wide& v) {
    const Wide y = expected(v);
    Long total = 0;
    for (std::size_t i = 0; i < y.size(); ++i) total += static_cast<Long>(i + 1) * y[i];
    return total;
  };
  const Wide value = expected(wide);
  Tape tape;
  const Tensor leaf = tape.watch(x);
  const Tensor y = loss(leaf);
  check_tensor(y, value.size() == 1 ? Shape{} : Shape{static_cast<std::int64_t>(value.size())},
               rounded(value), tolerance);
  Numbers gradient, cotangent;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const Long step = 1e-7L;
    Wide up = wide, down = wide;
    up[i] += step, down[i] -= step;
    gradient.push_back(static_cast<double>((weighed(up) - weighed(down)) / (2 * step)));
  }
  for (std::size_t i = 0; i < value.size(); ++i) cotangent.push_back(static_cast<double>(i + 1));
  const Tensor g = tape.grad(y, leaf, {.cotangent = cast(Tensor::from(cotangent, y.shape()), x.dtype())});
  check_tensor(g, x.shape(), gradient, tolerance_of(x.dtype(), 1e-5, 1e-9));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loss_options)

BOOST_AUTO_TEST_CASE(losses_of_classes) {
  for (const Dtype dtype : {f32, f64})
    for (const bool logits : {true, false})
      for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none})
        for (const double smoothing : {0.0, 0.1, 1.0})
          for (const bool weights : {false, true})
            for (const bool ignore : {false, true}) {
              const Case o{reduction, smoothing, weights,
                           ignore ? std::optional<std::int64_t>(-100) : std::nullopt};
              BOOST_TEST_CONTEXT((logits ? "softmax_with_loss" : "cross_entropy")
                                 << " reduction " << static_cast<int>(reduction) << " smoothing " << smoothing
                                 << " weights " << weights << " ignored " << ignore) {
                const Tensor x = random({5, 4}, dtype, logits ? -2 : 0.1, logits ? 2 : 0.9);
                ClassLossOptions options{
                    .reduction = reduction, .label_smoothing = smoothing, .ignore_index = o.ignored};
                if (weights) options.weight = cast(Tensor::from(kWeights), dtype);
                const auto loss = [&](const Tensor& t) {
                  return [&, t](const Tensor& v) {
                    return logits ? softmax_with_loss(v, t, options) : cross_entropy(v, t, options);
                  };
                };
                std::vector<std::int64_t> labels{1, 3, 0, 1, 2};
                if (ignore) labels[0] = labels[3] = -100;
                check_loss([&](const Wide& v) { return with_indices(logits, v, labels, o); },
                           loss(Tensor::from(labels)), x);
                if (ignore) continue;
                const Tensor any = random({5, 4}, dtype, 0, 1, 3);
                const Tensor t = any / sum(any, -1, KeepDims::yes);
                const Numbers probabilities = numbers(t);
                check_loss([&](const Wide& v) { return with_probabilities(logits, v, probabilities, o); },
                           loss(t), x);
              }
            }
}

BOOST_AUTO_TEST_CASE(losses_of_pairs) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor t = random({6}, dtype, 0, 1, 5), x = random({6}, dtype, -2, 2, 6);
    const Numbers target = numbers(t);
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
      const auto expected = [&](const std::function<Long(Long, Long)>& of_one) {
        return [&, of_one](const Wide& v) -> Wide {
          Wide losses;
          for (std::size_t i = 0; i < v.size(); ++i)
            losses.push_back(of_one(v[i], static_cast<Long>(target[i])));
          if (reduction == Reduction::none) return losses;
          const Long total = std::accumulate(losses.begin(), losses.end(), Long{0});
          return {reduction == Reduction::sum ? total : total / 6};
        };
      };
      const LossOptions o{.reduction = reduction};
      check_loss(
          expected([](Long a, Long b) { return (a - b) * (a - b); }),
          [&](const Tensor& v) { return mse_loss(v, t, o); }, x);
      check_loss(
          expected([](Long a, Long b) {
            const Long d = std::abs(a - b);
            return d <= 0.75L ? d * d / 2 : 0.75L * (d - 0.375L);
          }),
          [&](const Tensor& v) { return huber_loss(v, t, 0.75, o); }, x);
      check_loss(
          expected([](Long a, Long b) {
            return -b * std::log(1 / (1 + std::exp(-a))) - (1 - b) * std::log(1 / (1 + std::exp(a)));
          }),
          [&](const Tensor& v) { return binary_cross_entropy_with_logits(v, t, {.reduction = o.reduction}); },
          x);
    }
  }
  const Tensor y = Tensor::from({{1, 2}, {3, 5}}, f64), t = Tensor::from({{0, 2}, {1, 1}}, f64);
  check_tensor(sum_squared_error(y, t, {.reduction = Reduction::none}), {2}, {0.5, 10});
  check_tensor(sum_squared_error(y, t, {.reduction = Reduction::sum}), {}, {10.5});
  check_tensor(sum_squared_error(y, t, LossOptions{}), {}, {5.25});
  check_tensor(mse_loss(Tensor::zeros({0}), Tensor::zeros({0}), {.reduction = Reduction::sum}), {}, {0});
}

BOOST_AUTO_TEST_CASE(without_options_nothing_changes) {
  const Tensor x = random({5, 4}, f32), t = Tensor::from(std::vector<std::int64_t>{1, 3, 0, 1, 2});
  Tape tape;
  const Tensor leaf = tape.watch(x);
  const std::size_t before = tape.size();
  const Tensor y = softmax_with_loss(leaf, t, ClassLossOptions{});
  BOOST_TEST(tape.size() == before + 1);
  BOOST_TEST(y.item() == softmax_with_loss(x, t).item());
}

BOOST_AUTO_TEST_CASE(infinite_logits_and_targets_that_are_differentiated) {
  const Tensor x = Tensor::from({{-kInf, 0, 1}}, f64);
  const Tensor t = Tensor::from({{0, 1, 0}}, f64);
  check_tensor(softmax_with_loss(x, t, {.reduction = Reduction::none}), {1},
               {1 + std::log1p(std::exp(-1.0))});
  // The gradient of a target of 0 is not 0.
  const Tensor logits = Tensor::from({{0.5, 0, 1}}, f64);
  const auto loss = [&](const Tensor& v) {
    return softmax_with_loss(logits, v, {.reduction = Reduction::none});
  };
  check_tensor(derivative(loss, t), {1, 3}, numbers(-log_softmax(logits)));
}

BOOST_AUTO_TEST_CASE(second_order) {
  const Tensor x = random({3, 4}), labels = Tensor::from({2, 0, 1}, i64);
  const ClassLossOptions o{.label_smoothing = 0.2, .weight = Tensor::from({1, 2, 0.5, 1}, f64)};
  const auto by_parts = [&](const Tensor& v) {
    return sum(softmax_with_loss(
               v, labels, {.reduction = Reduction::none, .label_smoothing = 0.2, .weight = o.weight})) /
           3.5;
  };
  const Tensor h = hessian([&](const Tensor& v) { return softmax_with_loss(v, labels, o); }, x);
  check_tensor(h, h.shape(), numbers(hessian(by_parts, x)), 1e-12);
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({2, 3}), labels = Tensor::from({0, 2}, i64), t = Tensor::ones({2, 3});
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, labels, {.label_smoothing = 1.5}), ArgumentError,
                        mentions("softmax_with_loss", "label_smoothing", "1.5"));
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, t, {.ignore_index = 0}), ArgumentError,
                        mentions("ignore_index"));
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, labels, {.weight = Tensor::ones({2})}), ShapeError,
                        mentions("weight", "[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, labels, {.weight = Tensor::ones({3}, f64)}), DtypeError,
                        mentions("weight", "f64"));
  for (const Reduction r : {Reduction::mean, Reduction::sum, Reduction::none})
    for (const double w :
         {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      const ClassLossOptions o{.reduction = r, .weight = Tensor::from({1, 1, w})};
      BOOST_CHECK_EXCEPTION(softmax_with_loss(x, labels, o), ArgumentError,
                            mentions("softmax_with_loss", "weight of class 2", fmt::format("{}", w)));
      BOOST_CHECK_EXCEPTION(cross_entropy(x, t, o), ArgumentError,
                            mentions("cross_entropy", "weight of class 2"));
    }
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, Tensor::from({2, 2}, i64), {.ignore_index = 2}), ArgumentError,
                        mentions("all targets"));
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, Tensor::from({2, -1}, i64), {.label_smoothing = 0.1}),
                        ArgumentError, mentions("target -1"));
  BOOST_CHECK_EXCEPTION(cross_entropy(x, Tensor::from({2, 3}, i64), {.ignore_index = -1}), ArgumentError,
                        mentions("cross_entropy", "target 3"));
  BOOST_CHECK_EXCEPTION(softmax_with_loss(x, Tensor::ones({4}), {.label_smoothing = 0.1}), ShapeError,
                        mentions("targets", "[4]"));
  for (const Reduction r : {Reduction::sum, Reduction::none}) {
    BOOST_CHECK_EXCEPTION(mse_loss(x, labels, {.reduction = r}), DtypeError, mentions("mse_loss"));
    BOOST_CHECK_EXCEPTION(mse_loss(x, Tensor::ones({3}), {.reduction = r}), ShapeError,
                          mentions("not broadcast"));
  }
  BOOST_CHECK_THROW(huber_loss(x, x, 0, {.reduction = Reduction::sum}), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace loss_options_test
