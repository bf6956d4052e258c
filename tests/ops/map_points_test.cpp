#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <tapegrad/ops/map.h>
#include <tapegrad/ops/map_sum.h>

#include "kernel_support.h"
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

// Where a derivative of 0 meets an infinite one, it is 0 at every place of a block, and no element beside is touched.
BOOST_AUTO_TEST_CASE(a_derivative_of_zero_wins_at_any_place) {
  const auto one = [](auto v) { return step(v) * log(v) + v * v; };
  const auto two = [](auto v, auto u) { return step(v) * log(v) * u + v * v / u; };
  const auto check = [&](Dtype dtype, std::int64_t n, std::int64_t place) {
    const auto all_but_place = [&](double elsewhere) {
      std::vector<double> values(static_cast<std::size_t>(n), elsewhere);
      values[static_cast<std::size_t>(place)] = 0;
      return values;
    };
    Tape tape;
    const Tensor x = tape.watch(cast(Tensor::from(all_but_place(2)), dtype));
    const Tensor u = tape.watch(Tensor::full({n}, 2, dtype));
    check_tensor(tape.grad(map_sum(one, x), x), {n}, all_but_place(4.5));
    check_tensor(tape.grad(sum(map(one, x)), x), {n}, all_but_place(4.5));
    check_tensor(tape.grad(map_sum(two, x, u), {x, u})[0], {n}, all_but_place(3));
    check_tensor(tape.grad(map_sum(two, x, u), x), {n}, all_but_place(3));
  };
  for_each_isa([&] {
    for (const Dtype dtype : {f32, f64})
      for (const std::int64_t n : {1, 5, 7, 8, 63, 64, 65, 600, 3000})
        for (const std::int64_t place : {std::int64_t{0}, n / 2, n - 1})
          BOOST_TEST_CONTEXT(place << " of " << n << ' ' << name_of(dtype)) check(dtype, n, place);
  });
}

BOOST_AUTO_TEST_CASE(a_gradient_of_zero_wins_and_nothing_stays_nothing) {
  for (const std::int64_t n : {3, 70}) {
    Tape tape;
    const Tensor x = tape.watch(Tensor::zeros({n}, f64));
    std::vector<double> incoming(static_cast<std::size_t>(n), 1);
    incoming[0] = 0.0;
    incoming[1] = -0.0;
    const Tensor root = map([](auto v) { return sqrt(v); }, x);
    const std::vector<double> g =
        tape.grad(root, x, {.cotangent = Tensor::from(incoming)}).to_vector<double>();
    // A 0 of a constant cotangent leaves its element out: both are nothing.
    BOOST_TEST((g[0] == 0 && std::signbit(g[0])));
    BOOST_TEST((g[1] == 0 && std::signbit(g[1])));
    for (std::size_t i = 2; i < g.size(); ++i) BOOST_TEST(std::isinf(g[i]));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_points_test
