// Softmax and its logarithm.
#include "both_rules.h"
#include "loss_support.h"

namespace softmax_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct AlongAxis {
  Shape shape;
  std::size_t axis;
};
const std::vector<AlongAxis> kAlongAxis{{{1}, 0},       {{5}, 0},        {{3, 5}, 1},    {{3, 5}, 0},
                                        {{2, 3, 4}, 0}, {{2, 3, 4}, 1},  {{2, 3, 4}, 2}, {{7, 1}, 1},
                                        {{1, 7}, 0},    {{1700, 10}, 1}, {{40, 450}, 0}, {{1, 17000}, 1},
                                        {{0, 3}, 1},    {{2, 3, 0}, 1}};

}  // namespace

BOOST_AUTO_TEST_SUITE(softmax_op)

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
        const double tolerance = tolerance_of(dtype, 2e-5, 1e-12);
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

BOOST_AUTO_TEST_SUITE_END()

}  // namespace softmax_op_test
