#include <array>
#include <cmath>
#include <functional>
#include <string>

#include "op_support.h"

namespace range_test {

using namespace tapegrad;
using namespace tapegrad::test;

// Values, gradients and Hessians over all magnitudes that a double has, against closed formulas in long double.
//
// What is not asked, as no number of the dtype shows it: a result beyond its range may be infinite or NaN, as may a
// Hessian one element of which lies beyond it; one below the range may be off by as much as a subnormal number is
// rounded. A variance leaves the range where its square root does not.
namespace {

using Real = long double;
using Row = std::array<Real, 3>;

/// What is expected of a function of three numbers.
struct Expected {
  Real value;
  Row gradient;
  std::array<Row, 3> hessian;
};

/// 110 magnitudes from the smallest subnormal number to 1e300, with both signs.
std::vector<double> magnitudes() {
  std::vector<double> all;
  for (int i = 0; i < 110; ++i) {
    const double exponent = -323.3 + i * (300 + 323.3) / 109;
    const double m = i == 0 ? 5e-324 : std::pow(10.0, exponent);
    all.push_back(m), all.push_back(-m);
  }
  return all;
}

/// The numbers as the dtype holds them.
Tensor row_of(double a, double b, double c, Dtype dtype) {
  return cast(Tensor::from(std::vector{a, b, c}), dtype);
}
Row exact(const Tensor& x) {
  const std::vector<double> v = numbers(x);
  return {v[0], v[1], v[2]};
}

class Scan {
 public:
  Scan(std::string what, Dtype dtype)
      : what_(std::move(what)),
        tolerance_(dtype == f32 ? 3e-5L : 1e-12L),
        largest_(dtype == f32 ? 3.4e38L : 1.79e308L),
        smallest_(dtype == f32 ? 1.5e-44L : 5e-323L) {}

  void compare(const std::string& where, double have, Real expected, Real scale = 0) {
    if (std::abs(expected) > largest_ && !(std::abs(have) < static_cast<double>(largest_))) return;
    const Real allowed = tolerance_ * std::max(std::abs(expected), scale) + 4 * smallest_;
    ++compared_;
    if (std::isfinite(have) && std::abs(have - expected) <= allowed) return;
    if (++wrong_ <= 5)
      BOOST_ERROR(what_ << ", " << where << ": " << have << ", not " << static_cast<double>(expected));
  }
  /// f and its two derivatives at x. Elements are compared beside the largest where they are differences.
  void at(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const Expected& e,
          bool by_largest) {
    const std::string where = "at " + std::to_string(numbers(x)[0]) + " (" + hex(numbers(x)[0]) + ")";
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor y = f(leaf);
    compare(where + ", value", y.item(), e.value);
    const Tensor g = tape.grad(y, leaf, {.record = Record::yes});
    const Tensor fused = tape.grad(y, leaf, {});
    Real largest = 0, of_hessian = 0;
    for (const Real v : e.gradient) largest = std::max(largest, by_largest ? std::abs(v) : Real{0});
    for (const Row& r : e.hessian)
      for (const Real v : r) of_hessian = std::max(of_hessian, std::abs(v));
    for (std::size_t i = 0; i < 3; ++i) {
      compare(where + ", recorded gradient", numbers(g)[i], e.gradient[i], largest);
      compare(where + ", gradient", numbers(fused)[i], e.gradient[i], largest);
      if (of_hessian > largest_) continue;
      std::vector<double> unit(3);
      unit[i] = 1;
      const Tensor cotangent = cast(Tensor::from(unit), x.dtype());
      const Tensor row = tape.grad(g, leaf, {.cotangent = cotangent});
      for (std::size_t j = 0; j < 3; ++j)
        compare(where + ", second derivative", numbers(row)[j], e.hessian[i][j], by_largest ? of_hessian : 0);
    }
  }
  void finish() const {
    BOOST_TEST(compared_ > 400, what_ << ": only " << compared_ << " comparisons");
    BOOST_TEST(wrong_ == 0, what_ << ": " << wrong_ << " of " << compared_ << " are wrong");
  }

 private:
  static std::string hex(double v) {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%a", v);
    return text.data();
  }
  std::string what_;
  Real tolerance_, largest_, smallest_;
  int compared_ = 0, wrong_ = 0;
};

/// f over rows a(m), b(m), c(m) of each magnitude m that the dtype holds.
void scan(const std::string& what, const std::function<Tensor(const Tensor&)>& f,
          const std::function<Row(double)>& row, const std::function<Expected(const Row&)>& expected,
          bool by_largest = false) {
  for (const Dtype dtype : {f64, f32}) {
    Scan s(what + (dtype == f32 ? " f32" : " f64"), dtype);
    for (const double m : magnitudes()) {
      const Row r = row(m);
      const Tensor x =
          row_of(static_cast<double>(r[0]), static_cast<double>(r[1]), static_cast<double>(r[2]), dtype);
      if (dtype == f32 && (std::abs(m) > 1e37 || std::abs(m) < 2e-45)) continue;
      s.at(f, x, expected(exact(x)), by_largest);
    }
    s.finish();
  }
}

Row three(double m) { return {m, -m / 2, m / 4}; }
Row one_long(double m) { return {m, m * 1e-8, -m * 3e-6}; }
Row logits(double m) { return {m, 0, -m / 2}; }

Expected of_norm(const Row& x) {
  Expected e{};
  for (const Real v : x) e.value += v * v;
  e.value = std::sqrt(e.value);
  for (std::size_t i = 0; i < 3; ++i) {
    e.gradient[i] = x[i] / e.value;
    for (std::size_t j = 0; j < 3; ++j)
      e.hessian[i][j] = i == j ? 0 : -x[i] / e.value * (x[j] / e.value) / e.value;
    for (std::size_t j = 0; j < 3; ++j)  // 1 - x_i^2 / y^2, which cancels
      if (j != i) e.hessian[i][i] += x[j] / e.value * (x[j] / e.value) / e.value;
  }
  return e;
}

Row deviations(const Row& x) {
  const Real mean = (x[0] + x[1] + x[2]) / 3;
  return {x[0] - mean, x[1] - mean, x[2] - mean};
}
Expected of_var(const Row& x) {
  Expected e{};
  const Row d = deviations(x);
  for (std::size_t i = 0; i < 3; ++i) {
    e.value += d[i] * d[i] / 3;
    e.gradient[i] = 2 * d[i] / 3;
    for (std::size_t j = 0; j < 3; ++j) e.hessian[i][j] = 2 * ((i == j ? 1 : 0) - 1 / Real{3}) / 3;
  }
  return e;
}
Expected of_std(const Row& x) {
  Expected e{};
  const Row d = deviations(x);
  const Real y = e.value = std::sqrt(of_var(x).value);
  for (std::size_t i = 0; i < 3; ++i) {
    e.gradient[i] = d[i] / (3 * y);
    for (std::size_t j = 0; j < 3; ++j)
      e.hessian[i][j] = ((i == j ? 1 : 0) - 1 / Real{3}) / (3 * y) - d[i] / y * (d[j] / y) / (9 * y);
  }
  return e;
}

/// The probabilities, and for each the sum of the others.
struct Probabilities {
  Row p{}, others{};
  Real log_sum = 0;  // of the exponentials, the largest of which is 1
  std::size_t first = 0;

  explicit Probabilities(const Row& x) {
    for (std::size_t i = 1; i < 3; ++i)
      if (x[i] > x[first]) first = i;
    Row e{};
    Real rest = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      e[i] = std::exp(x[i] - x[first]);
      if (i != first) rest += e[i];
    }
    log_sum = std::log1p(rest);
    for (std::size_t i = 0; i < 3; ++i) {
      p[i] = e[i] / (1 + rest);
      for (std::size_t j = 0; j < 3; ++j) others[i] += i == j ? 0 : e[j] / (1 + rest);
    }
  }
  std::array<Row, 3> hessian() const {
    std::array<Row, 3> h{};
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) h[i][j] = i == j ? p[i] * others[i] : -p[i] * p[j];
    return h;
  }
};

Expected of_logsumexp(const Row& x) {
  const Probabilities q(x);
  return {x[q.first] + q.log_sum, q.p, q.hessian()};
}
Expected of_class(const Row& x, std::size_t t) {
  const Probabilities q(x);
  Expected e{(x[q.first] - x[t]) + q.log_sum, q.p, q.hessian()};
  e.gradient[t] = -q.others[t];
  return e;
}
Expected of_probability(const Row& x, std::size_t k) {
  const Probabilities q(x);
  Expected e{q.p[k], {}, {}};
  const std::array<Row, 3> slope = q.hessian();
  e.gradient = slope[k];
  // d/dx_j of p_k (delta_ik - p_i)
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      e.hessian[i][j] = slope[k][j] * (i == k ? q.others[k] : -q.p[i]) - q.p[k] * slope[i][j];
  return e;
}
Expected of_binary(const Row& x, const Row& t) {
  Expected e{};
  for (std::size_t i = 0; i < 3; ++i) {
    const Real small = std::exp(-std::abs(x[i])), larger = 1 / (1 + small), smaller = small / (1 + small);
    const Real s = x[i] > 0 ? larger : smaller, rest = x[i] > 0 ? smaller : larger;
    e.value += ((x[i] > 0 ? 1 - t[i] : t[i]) * std::abs(x[i]) + std::log1p(small)) / 3;
    e.gradient[i] = ((1 - t[i]) * s - t[i] * rest) / 3;
    e.hessian[i][i] = s * rest / 3;
  }
  return e;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(range)

BOOST_AUTO_TEST_CASE(lengths_and_deviations) {
  scan(
      "norm", [](const Tensor& x) { return norm(x); }, three, of_norm);
  scan(
      "norm of a long one", [](const Tensor& x) { return norm(x); }, one_long, of_norm);
  scan(
      "std", [](const Tensor& x) { return stddev(x); }, three, of_std, true);
  scan(
      "var", [](const Tensor& x) { return var(x); }, three, of_var, true);
}

BOOST_AUTO_TEST_CASE(exponentials) {
  scan(
      "logsumexp", [](const Tensor& x) { return logsumexp(x); }, logits, of_logsumexp);
  for (const std::size_t k : {0u, 1u, 2u}) {
    const auto n = static_cast<std::int64_t>(k);
    scan(
        "softmax", [n](const Tensor& x) { return sum(slice(softmax(x), 0, n, n + 1)); }, logits,
        [k](const Row& x) { return of_probability(x, k); }, true);
    scan(
        "softmax_with_loss",
        [n](const Tensor& x) { return softmax_with_loss(x, Tensor::scalar(static_cast<double>(n), i64)); },
        logits, [k](const Row& x) { return of_class(x, k); });
    scan(
        "softmax_with_loss of a vector",
        [n](const Tensor& x) {
          return softmax_with_loss(x, one_hot(Tensor::scalar(static_cast<double>(n), i64), 3, x.dtype()));
        },
        logits, [k](const Row& x) { return of_class(x, k); });
  }
  for (const Row& t : {Row{0, 0, 0}, Row{1, 1, 1}, Row{0.25L, 0.5L, 0.75L}}) {
    const auto target = [t](Dtype dtype) {
      return row_of(static_cast<double>(t[0]), static_cast<double>(t[1]), static_cast<double>(t[2]), dtype);
    };
    scan(
        "binary_cross_entropy_with_logits",
        [&](const Tensor& x) { return binary_cross_entropy_with_logits(x, target(x.dtype())); }, three,
        [t](const Row& x) { return of_binary(x, t); },
        t[0] != t[1]);  // s(x) - t cancels where a soft target is met
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace range_test
