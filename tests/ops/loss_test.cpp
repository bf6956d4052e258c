#include <algorithm>
#include <numeric>

#include <tapegrad/ops/define.h>

#include "both_rules.h"
#include "op_support.h"

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Numbers = std::vector<double>;
using Wide = std::vector<long double>;

Numbers rounded(const Wide& w) { return {w.begin(), w.end()}; }

Wide softmax_of(const Numbers& x) {
  const long double largest = *std::max_element(x.begin(), x.end());
  Wide y;
  for (const double v : x) y.push_back(std::exp(v - largest));
  const long double total = std::accumulate(y.begin(), y.end(), 0.0L);
  for (long double& v : y) v /= total;
  return y;
}

Wide log_softmax_of(const Numbers& x) {
  const long double largest = *std::max_element(x.begin(), x.end());
  long double total = 0;
  for (const double v : x) total += std::exp(v - largest);
  Wide y;
  for (const double v : x) y.push_back((v - largest) - std::log(total));
  return y;
}

/// The flat indices of each row of x along an axis.
std::vector<std::vector<std::size_t>> rows_along(const Shape& shape, std::size_t axis) {
  std::int64_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  std::vector<std::vector<std::size_t>> rows;
  if (shape.size() == 0) return rows;
  for (std::int64_t o = 0; o < shape.size() / (shape[axis] * inner); ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      rows.emplace_back();
      for (std::int64_t j = 0; j < shape[axis]; ++j)
        rows.back().push_back(static_cast<std::size_t>((o * shape[axis] + j) * inner + i));
    }
  return rows;
}

Numbers picked(const Numbers& x, const std::vector<std::size_t>& at) {
  Numbers row;
  for (const std::size_t i : at) row.push_back(x[i]);
  return row;
}

struct AlongAxis {
  Shape shape;
  std::size_t axis;
};
const std::vector<AlongAxis> kAlongAxis{{{1}, 0},       {{5}, 0},        {{3, 5}, 1},    {{3, 5}, 0},
                                        {{2, 3, 4}, 0}, {{2, 3, 4}, 1},  {{2, 3, 4}, 2}, {{7, 1}, 1},
                                        {{1, 7}, 0},    {{1700, 10}, 1}, {{40, 450}, 0}, {{1, 17000}, 1},
                                        {{0, 3}, 1},    {{2, 3, 0}, 1}};

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
  const Tensor soft = random(scores, dtype, 0, 1, 8);  // rows need not add up to one
  return {{"indices", labels, numbers(hot)}, {"one-hot", hot, numbers(hot)}, {"soft", soft, numbers(soft)}};
}

const std::vector<Shape> kScores{{3}, {1}, {4, 3}, {1, 5}, {2, 3, 4}, {1700, 10}, {1, 17000}};

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
          const double tolerance = dtype == f32 ? 1e-5 : 1e-12;
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

BOOST_AUTO_TEST_SUITE(loss)

// ---- softmax ----

BOOST_AUTO_TEST_CASE(softmax_known_values) {
  check_tensor(softmax(Tensor::from({0.3, 2.9, 4.0}, f64)), {3}, {0.01821127, 0.24519181, 0.73659691}, 1e-8);
  const Tensor large = softmax(Tensor::from({1010, 1000, 990}, f64));
  check_tensor(large, {3}, {9.99954600070331e-01, 4.53978686e-05, 2.06106005e-09}, 1e-12);
  check_tensor(softmax(Tensor::from({1010, 1000, 990}, f32)), {3},
               {9.999546e-01, 4.53978686e-05, 2.06106005e-09});
  check_tensor(softmax(Tensor::from({1e4, -1e4}, f32)), {2}, {1, 0});
  check_tensor(log_softmax(Tensor::from({1e4, -1e4, 1e4}, f32)), {3},
               {-std::log(2), -2e4 - std::log(2), -std::log(2)});
  check_tensor(softmax(Tensor::from({-kInf, 0, 0}, f64)), {3}, {0, 0.5, 0.5});
  for (const double v : numbers(softmax(Tensor::from({kNan, 0, 1}, f64)))) BOOST_TEST(std::isnan(v));
}

BOOST_AUTO_TEST_CASE(softmax_values_and_gradients) {
  for (const Dtype dtype : {f32, f64})
    for (const AlongAxis& c : kAlongAxis)
      BOOST_TEST_CONTEXT(to_string(c.shape) << " along " << c.axis << " of " << name_of(dtype)) {
        const Tensor x = random(c.shape, dtype, -3, 3, 1);
        const Tensor g = random(c.shape, dtype, -1, 1, 2);
        const auto size = static_cast<std::size_t>(c.shape.size());
        const Numbers xv = numbers(x), gv = numbers(g);
        Wide y(size), l(size), dy(size), dl(size);
        for (const auto& at : rows_along(c.shape, c.axis)) {
          const Numbers gr = picked(gv, at);
          const Wide p = softmax_of(picked(xv, at));
          const Wide q = log_softmax_of(picked(xv, at));
          long double inner = 0, total = 0;
          for (std::size_t j = 0; j < at.size(); ++j) {
            inner += p[j] * gr[j];
            total += gr[j];
          }
          for (std::size_t j = 0; j < at.size(); ++j) {
            y[at[j]] = p[j];
            l[at[j]] = q[j];
            dy[at[j]] = 2 * p[j] * (gr[j] - inner);
            dl[at[j]] = 2 * (gr[j] - p[j] * total);
          }
        }
        const double tolerance = dtype == f32 ? 2e-5 : 1e-12;
        const auto axis = static_cast<std::int64_t>(c.axis);
        check_tensor(softmax(x, axis), c.shape, rounded(y), tolerance);
        check_tensor(log_softmax(x, axis - static_cast<std::int64_t>(c.shape.rank())), c.shape, rounded(l),
                     tolerance);
        with_both_rules([&] {
          Tape tape;
          const Tensor leaf = tape.watch(x);  // used twice: the second gradient is added to the first
          const Gradients a = tape.backward(softmax(leaf, axis) + softmax(leaf, axis), g);
          check_tensor(a[leaf], c.shape, rounded(dy), tolerance);
          tape.reset();
          const Tensor again = tape.watch(x);
          const Gradients b = tape.backward(log_softmax(again, axis) + log_softmax(again, axis), g);
          check_tensor(b[again], c.shape, rounded(dl), tolerance);
        });
      }
}

// d/dx of log_softmax is the Jacobian I - 1 p^T; differentiated again, -(diag p - p p^T) for each row of it.
BOOST_AUTO_TEST_CASE(softmax_second_order) {
  const Tensor x = random({5}, f64, -2, 2, 1);
  const Tensor g = random({5}, f64, -2, 2, 2);
  const Tensor v = random({5}, f64, -2, 2, 3);
  const Wide p = softmax_of(numbers(x));
  const Numbers gv = numbers(g), vv = numbers(v);
  long double total = 0, pv = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    total += gv[i];
    pv += p[i] * vv[i];
  }
  Numbers expected;
  for (std::size_t i = 0; i < 5; ++i) expected.push_back(static_cast<double>(-total * p[i] * (vv[i] - pv)));
  Tape tape;
  const Tensor leaf = tape.watch(x);
  const Tensor d = tape.grad(log_softmax(leaf), leaf, {.cotangent = g, .record = Record::yes});
  check_tensor(tape.grad(sum(d * v), leaf), {5}, expected);
  // softmax is the exponential of log_softmax, to any order
  const auto third = [&](auto&& f) {
    Tape t;
    const Tensor z = t.watch(x);
    Tensor y = sum(f(z) * g);
    for (int i = 0; i < 2; ++i) y = sum(square(t.grad(y, z, {.record = Record::yes})));
    return numbers(t.grad(y, z));
  };
  check_tensor(Tensor::from(third([](const Tensor& z) { return softmax(z); })), {5},
               third([](const Tensor& z) { return exp(z - logsumexp(z)); }), 1e-11);
}

BOOST_AUTO_TEST_CASE(softmax_errors) {
  BOOST_CHECK_EXCEPTION(softmax(Tensor::zeros({3, 0})), ArgumentError,
                        mentions("softmax", "axis 1", "[3, 0]", "empty"));
  BOOST_CHECK_EXCEPTION(log_softmax(Tensor::zeros({0})), ArgumentError, mentions("log_softmax", "empty"));
  BOOST_CHECK_EXCEPTION(softmax(Tensor::zeros({3}), 1), ArgumentError, mentions("softmax", "axis 1"));
  BOOST_CHECK_EXCEPTION(softmax(Tensor::zeros({})), ArgumentError, mentions("softmax", "scalar"));
  BOOST_CHECK_EXCEPTION(softmax(Tensor::zeros({3}, i64)), DtypeError, mentions("softmax", "i64", "cast"));
  BOOST_CHECK_EXCEPTION(softmax(Tensor()), ArgumentError, mentions("softmax", "undefined"));
}

// ---- pairs ----

BOOST_AUTO_TEST_CASE(squared_error_known_values) {
  const Tensor t = Tensor::from({0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, f64);
  const Tensor right = Tensor::from({0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0}, f64);
  const Tensor wrong = Tensor::from({0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0}, f64);
  check_tensor(half_sum_squared_error(right, t), {}, {0.0975});
  check_tensor(half_sum_squared_error(wrong, t), {}, {0.5975});
  check_tensor(mse_loss(right, t), {}, {0.0195});
  check_tensor(mse_loss(Tensor::from({{1, 2}, {3, 4}}), Tensor::from({{1, 0}, {0, 4}})), {}, {13.0 / 4});
  check_tensor(half_sum_squared_error(Tensor::zeros({0}), Tensor::zeros({0})), {}, {0});
  check_tensor(huber_loss(Tensor::from({0, 1, 3, -4}, f64), Tensor::zeros({4}, f64), 2), {},
               {(0.5 + 4 + 6) / 4});
}

BOOST_AUTO_TEST_CASE(pair_losses_values_and_gradients) {
  struct Pair {
    const char* name;
    Tensor (*loss)(const Tensor&, const Tensor&);
    bool mean;
    long double (*value)(long double y, long double t);
    long double (*dy)(long double y, long double t);
    long double (*dt)(long double y, long double t);
  };
  using Real = long double;
  const std::vector<Pair> pairs{
      {"mse", mse_loss, true, [](Real y, Real t) { return (y - t) * (y - t); },
       [](Real y, Real t) { return 2 * (y - t); }, [](Real y, Real t) { return 2 * (t - y); }},
      {"half_sum", half_sum_squared_error, false, [](Real y, Real t) { return (y - t) * (y - t) / 2; },
       [](Real y, Real t) { return y - t; }, [](Real y, Real t) { return t - y; }},
      {"huber", [](const Tensor& y, const Tensor& t) { return huber_loss(y, t, 0.75); }, true,
       [](Real y, Real t) {
         const Real d = std::abs(y - t);
         return d <= 0.75L ? d * d / 2 : 0.75L * (d - 0.375L);
       },
       [](Real y, Real t) { return std::clamp(y - t, -0.75L, 0.75L); },
       [](Real y, Real t) { return std::clamp(t - y, -0.75L, 0.75L); }},
      {"bce", binary_cross_entropy_with_logits, true,
       [](Real x, Real t) {
         return -t * std::log(1 / (1 + std::exp(-x))) - (1 - t) * std::log(1 / (1 + std::exp(x)));
       },
       [](Real x, Real t) { return 1 / (1 + std::exp(-x)) - t; }, [](Real x, Real) { return -x; }},
  };
  const std::vector<Shape> shapes{{}, {1}, {7}, {3, 5}, {2, 3, 4}, {515}, {17000}};
  for (const Dtype dtype : {f32, f64})
    for (const Pair& pair : pairs)
      for (const Shape& shape : shapes)
        BOOST_TEST_CONTEXT(pair.name << " of " << to_string(shape) << " " << name_of(dtype)) {
          const Tensor y = random(shape, dtype, -2, 2, 1);
          const Tensor t = random(shape, dtype, 0, 1, 2);
          const Numbers yv = numbers(y), tv = numbers(t);
          const long double n = pair.mean ? static_cast<long double>(yv.size()) : 1;
          long double expected = 0;
          Wide dy, dt;
          for (std::size_t i = 0; i < yv.size(); ++i) {
            expected += pair.value(yv[i], tv[i]) / n;
            dy.push_back(2 * pair.dy(yv[i], tv[i]) / n);
            dt.push_back(2 * pair.dt(yv[i], tv[i]) / n);
          }
          check_tensor(pair.loss(y, t), {}, {static_cast<double>(expected)});
          with_both_rules([&] {
            Tape tape;
            const Tensor ly = tape.watch(y);
            const Tensor lt = tape.watch(t);
            const Gradients g = tape.backward(pair.loss(ly, lt) + pair.loss(ly, lt));
            check_tensor(g[ly], shape, rounded(dy));
            check_tensor(g[lt], shape, rounded(dt));
            tape.reset();
            const Tensor alone = tape.watch(t);
            check_tensor(tape.backward(pair.loss(y, alone) * 2)[alone], shape, rounded(dt));
          });
        }
}

BOOST_AUTO_TEST_CASE(pair_losses_second_order) {
  const auto second = [](auto&& loss, const Tensor& y, const Tensor& t) {
    Tape tape;
    const Tensor ly = tape.watch(y);
    const Tensor lt = tape.watch(t);
    const Tensor d = tape.grad(loss(ly, lt), ly, {.record = Record::yes});
    const std::vector<Tensor> h = tape.grad(sum(d), {ly, lt});
    return std::vector<Numbers>{numbers(h[0]), numbers(h[1])};
  };
  const Tensor y = Tensor::from({-3, -0.5, 0.25, 2}, f64);
  const Tensor t = Tensor::from({0, 0.5, 0, 0.75}, f64);
  BOOST_TEST(
      (second(mse_loss, y, t) == std::vector<Numbers>{{0.5, 0.5, 0.5, 0.5}, {-0.5, -0.5, -0.5, -0.5}}));
  BOOST_TEST((second(half_sum_squared_error, y, t) == std::vector<Numbers>{{1, 1, 1, 1}, {-1, -1, -1, -1}}));
  const auto huber = [](const Tensor& a, const Tensor& b) { return huber_loss(a, b, 1.1); };
  BOOST_TEST((second(huber, y, t) == std::vector<Numbers>{{0, 0.25, 0.25, 0}, {0, -0.25, -0.25, 0}}));
  const std::vector<Numbers> bce = second(binary_cross_entropy_with_logits, y, t);
  for (std::size_t i = 0; i < 4; ++i) {
    const double s = 1 / (1 + std::exp(-numbers(y)[i]));
    BOOST_TEST(near(bce[0][i], s * (1 - s) / 4, 1e-15));
    BOOST_TEST(bce[1][i] == -0.25);
  }
}

BOOST_AUTO_TEST_CASE(logits_of_any_size_are_stable) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor x = Tensor::from({-1e4, 1e4, -1e4, 1e4}, dtype);
    const Tensor t = Tensor::from({0, 1, 1, 0}, dtype);
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor loss = binary_cross_entropy_with_logits(leaf, t);
    check_tensor(loss, {}, {5e3});
    check_tensor(tape.backward(loss)[leaf], {4}, {0, 0, -0.25, 0.25});
    tape.reset();
    const Tensor scores = tape.watch(Tensor::from({{1e4, -1e4, 0}, {-1e4, 1e4, 1e4}}, dtype));
    const Tensor of_classes = softmax_with_loss(scores, Tensor::from({1, 2}, i64));
    check_tensor(of_classes, {}, {(2e4 + std::log(2)) / 2});
    check_tensor(tape.backward(of_classes)[scores], {2, 3}, {0.5, -0.5, 0, 0, 0.25, -0.25});
  }
}

BOOST_AUTO_TEST_CASE(pair_losses_errors) {
  const Tensor y = Tensor::zeros({4, 3});
  BOOST_CHECK_EXCEPTION(mse_loss(y, Tensor::zeros({4})), ShapeError,
                        mentions("mse_loss", "[4, 3]", "[4]", "not broadcast"));
  BOOST_CHECK_EXCEPTION(half_sum_squared_error(y, Tensor::zeros({4, 1})), ShapeError,
                        mentions("half_sum_squared_error"));
  BOOST_CHECK_EXCEPTION(huber_loss(y, Tensor::zeros({3, 4})), ShapeError, mentions("huber_loss"));
  BOOST_CHECK_EXCEPTION(mse_loss(y, Tensor::zeros({4, 3}, f64)), DtypeError, mentions("f32", "f64"));
  BOOST_CHECK_EXCEPTION(mse_loss(Tensor::zeros({4}, i64), Tensor::zeros({4}, i64)), DtypeError,
                        mentions("i64"));
  BOOST_CHECK_EXCEPTION(binary_cross_entropy_with_logits(y, Tensor::zeros({4, 3}, i64)), DtypeError,
                        mentions("i64"));
  BOOST_CHECK_EXCEPTION(mse_loss(Tensor::zeros({0, 3}), Tensor::zeros({0, 3})), ArgumentError,
                        mentions("[0, 3]"));
  for (const double delta : {0.0, -1.0, kNan, kInf})
    BOOST_CHECK_EXCEPTION(huber_loss(y, y, delta), ArgumentError, mentions("huber_loss", "delta"));
}

// ---- classes ----

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
  check_class_loss(cross_entropy, 0.05, 1, value, slope);
}

BOOST_AUTO_TEST_CASE(softmax_with_loss_values_and_gradients) {
  const auto slope = [](const Numbers& x, const Numbers& w) {
    const Wide p = softmax_of(x);
    const long double total = std::accumulate(w.begin(), w.end(), 0.0L);
    Wide d;
    for (std::size_t c = 0; c < x.size(); ++c) d.push_back(p[c] * total - w[c]);
    return d;
  };
  check_class_loss(softmax_with_loss, -3, 3, log_softmax_of, slope);
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
  for (const Loss loss : {&cross_entropy, &softmax_with_loss}) {
    const char* const name = loss == &cross_entropy ? "cross_entropy" : "softmax_with_loss";
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

BOOST_AUTO_TEST_SUITE_END()
