// A function that is constant around inputs that are not finite, beside a wrong twin: it is seen to be so whatever the
// seed.

#include <limits>

#include <tapegrad/gradcheck/check.h>

#include "wrong_rules.h"

namespace checker_not_finite_test {

using namespace test_gradcheck;

namespace {

/// What is not finite becomes 1 or -1, or 0.
struct ToNumber : Faulty {
  static constexpr auto name = "to_number";
  bool wrong = false;  ///< the gradient passes elements that it has nothing to do with
  static Tensor forward(const Tensor& x) { return nan_to_num(x, 0, 1.0, -1.0); }
  static void vjp(VjpContext<ToNumber>& ctx) {
    const Tensor x = ctx.input<0>();
    const Tensor g = ctx.grad_output();
    ctx.add(0, ctx.op().wrong ? g : where(isfinite(x), g, 0.0));
  }
};

Tensor not_finite() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return Tensor::from(
      std::vector{0.5, kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN(), -2.0});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_not_finite)

BOOST_AUTO_TEST_CASE(elements_that_are_not_finite_stay_where_they_are) {
  for (const Mode mode : kModes)
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const Options options{.mode = mode, .seed = seed, .properties = false};
      const Report right = run<ToNumber>({not_finite()}, options);
      BOOST_TEST(right.ok(), "seed " << seed << ": " << right);
      BOOST_TEST(!run<ToNumber>({not_finite()}, options, {{}, true}).ok(), "seed " << seed);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_not_finite_test
