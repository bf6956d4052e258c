// Means and deviations keep their digits far from zero and at any size.

#include <algorithm>
#include <vector>

#include "both_rules.h"
#include "op_support.h"

namespace deviations_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(deviations)

BOOST_AUTO_TEST_CASE(equal_elements_have_no_deviation) {
  for (const Dtype dtype : {f64, f32})
    for (const double value : {0.1, -14.62, 1e8 + 0.1, 1e-30, 1e30})
      for (const std::int64_t n : {2, 3, 7, 1000, 70001}) {
        const Tensor x = Tensor::full({2, n}, value, dtype);
        for (const double v : numbers(stddev(x, 1))) BOOST_TEST(v == 0);
        for (const double v : numbers(var(x, 1))) BOOST_TEST(v == 0);
        with_both_rules([&] {
          const Tensor g = derivative([](const Tensor& t) { return sum(stddev(t, 1) + var(t, 1)); }, x);
          BOOST_TEST(max(abs(g)).item() == 0);
        });
      }
}

BOOST_AUTO_TEST_CASE(gradients_of_deviations_cancel) {
  // Far from zero the mean is rounded by more than that.
  for (const double centre : {0.0, 3.0, 1e3, 1e7})
    with_both_rules([&] {
      const Tensor x = random({1000}, f64) + centre;
      const Tensor g = derivative([](const Tensor& t) { return stddev(t); }, x);
      BOOST_TEST(std::abs(sum(g).item()) <= 1e-14 * sum(abs(g)).item());
    });
}

BOOST_AUTO_TEST_CASE(means_whose_sums_leave_the_range) {
  const Tensor huge = Tensor::from({{1.5e308, 1.5e308}, {1.5e308, -1e308}, {1, 2}}, f64);
  check_tensor(mean(huge, 1), {3}, {1.5e308, 0.25e308, 1.5});
  check_tensor(mean(Tensor::full({100}, 1e38)), {}, {1e38});
  BOOST_TEST(mean(Tensor::from({kInf, 1}, f64)).item() == kInf);
  check_tensor(stddev(Tensor::from({{1e300, 3e300}, {1e-300, 3e-300}, {1, 3}}, f64), 1) /
                   Tensor::from({1e300, 1e-300, 1}, f64),
               {3}, {1, 1, 1});
  // What a row is does not depend on the rows beside it, not in a bit.
  const Tensor row = random({1, 501}, f32);
  const Tensor beside = concat({row, row * 1e30, row * 1e-30}, 0);
  for (const auto& f :
       {+[](const Tensor& x) { return norm(x, 1); }, +[](const Tensor& x) { return stddev(x, 1); },
        +[](const Tensor& x) { return mean(x, 1); }}) {
    BOOST_TEST(numbers(f(row))[0] == numbers(f(beside))[0]);
    const auto total = [&](const Tensor& x) { return sum(f(x)); };
    const std::vector<double> alone = numbers(derivative(total, row)),
                              first = numbers(derivative(total, beside));
    BOOST_TEST(std::equal(alone.begin(), alone.end(), first.begin()));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace deviations_test
