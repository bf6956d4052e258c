#include <array>
#include <cmath>

#include "op_support.h"

namespace hypot_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

// Derivatives of hypot up to the third, of operands of very different sizes, against formulas in long double.

namespace {

using Real = long double;

/// d^i/da d^j/db of hypot for i + j = 3, with i derivatives for a.
Real third(Real a, Real b, int i) {
  const Real h = std::sqrt(a * a + b * b), c = a / h, s = b / h;
  switch (i) {
    case 3:
      return -3 * c * s * s / h / h;
    case 2:
      return s * (3 * c * c - 1) / h / h;
    case 1:
      return c * (3 * s * s - 1) / h / h;
    default:
      return -3 * s * c * c / h / h;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hypot_op)

BOOST_AUTO_TEST_CASE(third_derivatives_of_operands_of_any_size) {
  const std::array<double, 10> sizes{3e-320, 1e-300, 2e-200, 1e-100, 3e-8, 0.7, 5e7, 1e100, 1e200, 3e300};
  int compared = 0;
  for (const Dtype dtype : {f64, f32})
    for (const double a0 : sizes)
      for (const double b0 : sizes) {
        const auto near = [&](double v) { return dtype == f64 ? v : std::pow(v, 0.12); };
        Tape tape;
        const Tensor a = tape.watch(Tensor::scalar(near(a0), dtype));
        const Tensor b = tape.watch(Tensor::scalar(-near(b0), dtype));
        const auto d = [&](const Tensor& y, const Tensor& x) {
          return tape.grad(y, x, {.record = Record::yes});
        };
        const Tensor h = hypot(a, b);
        const Tensor ha = d(h, a), hb = d(h, b);
        const Tensor haa = d(ha, a), hab = d(ha, b), hbb = d(hb, b);
        const auto check = [&](const char* what, const Tensor& have, int i) {
          const Real expected = third(a.item(), b.item(), i);
          const Real least = dtype == f64 ? 1e-300L : 1e-35L, most = dtype == f64 ? 1e305L : 1e37L;
          if (std::abs(expected) < least || std::abs(expected) > most) return;
          ++compared;
          BOOST_TEST(std::abs(have.item() / expected - 1) < (dtype == f64 ? 1e-13L : 1e-5L),
                     what << " at " << a.item() << ", " << b.item() << ": " << have.item() << ", not "
                          << static_cast<double>(expected));
        };
        check("aaa", d(haa, a), 3);
        check("aab", d(haa, b), 2);
        check("aba", d(hab, a), 2);
        check("abb", d(hab, b), 1);
        check("bba", d(hbb, a), 1);
        check("bbb", d(hbb, b), 0);
      }
  BOOST_TEST(compared > 300);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace hypot_op_test
