#include <limits>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/tensor/triangle.h>

#include "op_support.h"

namespace triangle_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(triangle)

BOOST_AUTO_TEST_CASE(a_triangle_is_what_its_condition_says) {
  for (const Dtype dtype : {f32, f64, i64})
    for (const Shape& shape :
         {Shape{1, 1}, Shape{3, 5}, Shape{5, 3}, Shape{2, 3, 4, 4}, Shape{0, 3}, Shape{3, 0}})
      for (const std::int64_t d : {-7, -2, -1, 0, 1, 3, 8}) {
        const Tensor x = random(shape, dtype);
        const std::int64_t m = shape.dim(-2), n = shape.dim(-1);
        std::vector<double> lower = numbers(x), upper = lower;
        for (std::size_t k = 0; k < lower.size(); ++k) {
          const std::int64_t place = static_cast<std::int64_t>(k) % (m * n), i = place / n, j = place % n;
          (j - i <= d ? upper : lower)[k] *= j - i == d ? 1 : 0;
        }
        check_tensor(tril(x, d), shape, lower);
        check_tensor(triu(x, d), shape, upper);
      }
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();
  const Tensor x = Tensor::ones({2, 2});
  check_tensor(tril(x, kFar), {2, 2}, {1, 1, 1, 1});
  check_tensor(triu(x, kFar), {2, 2}, {0, 0, 0, 0});
  check_tensor(tril(x, -kFar - 1), {2, 2}, {0, 0, 0, 0});
  check_tensor(triu(x, -kFar - 1), {2, 2}, {1, 1, 1, 1});
}

BOOST_AUTO_TEST_CASE(what_is_replaced_has_no_part_in_a_gradient) {
  const Tensor x = Tensor::from({{4, kNan}, {9, 16}}, f64);
  check_tensor(tril(x), {2, 2}, {4, 0, 9, 16});
  check_tensor(derivative([](const Tensor& t) { return square(tril(t)); }, x), {2, 2}, {8, 0, 18, 32});
  check_tensor(derivative([](const Tensor& t) { return triu(sqrt(t)); }, transpose(x)), {2, 2},
               {0.25, 1. / 6, 0, 0.125});
  for (const Tensor& at : {random({3, 4}, f64), 1e30 * random({2, 3, 3}, f64)})
    for (const std::int64_t d : {-1, 0, 2}) {
      const double scale = 1 / max(abs(at)).item();
      const auto f = [=](const Tensor& t) { return sin(tril(scale * t, d)) + square(triu(scale * t, d)); };
      const auto report = gradcheck::check(f, {at}, {.order = 2});
      BOOST_TEST(report.ok(), report.text());
    }
}

BOOST_AUTO_TEST_CASE(what_is_no_matrix_is_named) {
  BOOST_CHECK_EXCEPTION(tril(Tensor::zeros({3})), ShapeError, mentions("tril", "[3]", "two axes"));
  BOOST_CHECK_EXCEPTION(triu(Tensor::scalar(1)), ShapeError, mentions("triu", "[]"));
  BOOST_CHECK_EXCEPTION(triu(Tensor()), ArgumentError, mentions("triu", "undefined"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace triangle_test
