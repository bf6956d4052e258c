#pragma once

#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

/// What the tests of the checker need to give it operations with wrong rules.
namespace test_gradcheck {

using namespace tapegrad;
using gradcheck::Mode;
using gradcheck::Options;
using gradcheck::Report;
using gradcheck::Verdict;

/// A base of operations that only these tests use.
struct Faulty {
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static void samples(Samples&) {}
};
struct Unary : Faulty {
  static constexpr std::size_t arity = 1;
};
/// x^2, with a rule that the derived struct gives.
struct SquareBase : Faulty {
  static Tensor forward(const Tensor& x) { return mul(x, x); }
};
template <class Op>
Tensor right_gradient(VjpContext<Op>& ctx) {
  return mul(mul(ctx.grad_output(), ctx.template input<0>()), 2);
}

template <class Op>
Report run(const std::vector<Tensor>& in, const Options& options = {}, const Op& op = {}) {
  return gradcheck::check(
      [&](std::span<const Tensor> x) {
        std::vector<const Tensor*> handles;
        for (const Tensor& t : x) handles.push_back(&t);
        return apply_op(op, std::span<const Tensor* const>(handles));
      },
      in, options);
}

inline Tensor some(const Shape& shape, double lo = -2, double hi = 2) {
  Generator g(7);
  return uniform(shape, g, lo, hi, f64);
}

/// Derivatives alone: without the other checks.
inline constexpr Options kDerivatives{.properties = false};
inline constexpr Mode kModes[] = {Mode::automatic, Mode::exhaustive, Mode::fast};

#define CHECK_REJECTED(report)                                                                 \
  do {                                                                                         \
    const Report checked_report = (report);                                                    \
    BOOST_TEST(gradcheck::name_of(checked_report.verdict()) == "FAIL", checked_report.text()); \
    BOOST_TEST_MESSAGE(checked_report.text());                                                 \
  } while (false)

inline bool mentions(const Report& r, std::string_view text) {
  return r.text().find(text) != std::string::npos;
}

}  // namespace test_gradcheck
