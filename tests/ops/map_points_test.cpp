#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <tapegrad/ops/map.h>

#include "op_support.h"

namespace map_points_test {

using namespace tapegrad;
using namespace tapegrad::test;

// A function inside a map has the derivatives of the operation also where these are singular: at zeros of both signs,
// at infinities, at the smallest and at the largest numbers.

namespace {

/// Value, gradient by the loops, and recorded gradients up to the third.
template <class F>
std::vector<double> derivatives_at(const F& f, double at, Dtype dtype) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::scalar(at, dtype));
  Tensor y = f(x);
  std::vector<double> all{y.item()};
  if (!y.tracked()) return all;
  all.push_back(tape.grad(y, x, {}).item());
  for (int order = 1; order <= 3 && y.tracked(); ++order) {
    y = tape.grad(y, x, {.record = Record::yes});
    all.push_back(y.item());
  }
  return all;
}

template <class F>
void same_in_a_map(const char* name, const F& f) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Dtype dtype : {f64, f32})
    for (const double at :
         {-0., 0., kInfinity, -kInfinity, std::nan(""), 1., -1., 1e-44, -1e-44, 3e37, -3e37}) {
      const std::vector<double> single = derivatives_at(f, at, dtype);
      const std::vector<double> mapped =
          derivatives_at([&](const Tensor& x) { return map(f, x); }, at, dtype);
      // Of what is NaN only the value is compared.
      const std::size_t numbers = std::isnan(single[0]) ? 1 : std::min(single.size(), mapped.size());
      for (std::size_t i = 0; i < numbers; ++i) {
        const double a = single[i], b = mapped[i];
        const double rounding = dtype == f64 ? 1e-14 : 1e-5;
        BOOST_TEST((a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= rounding * std::abs(a)),
                   name << (dtype == f64 ? " f64" : " f32") << " at " << at << ", number " << i << ": " << b
                        << " in a map, not " << a);
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(map_points)

BOOST_AUTO_TEST_CASE(functions_of_one_number_at_their_singular_points) {
#define TAPEGRAD_ROW(function, Op, ...) same_in_a_map(#function, [](auto x) { return function(x); });
  TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
  TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_points_test
