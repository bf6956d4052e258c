// Operations that are wrong in single precision alone: by one of their rules, at second order, or where a
// result is small beside others; each beside a right twin.

#include <string>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "wrong_rules.h"

namespace checker_precision_test {

using namespace test_gradcheck;
using gradcheck::check;

namespace {

enum class Wrong : std::uint8_t { nowhere, fused, general, recorded, detached, result };

/// x^2, wrong in f32.
struct InSingle : Faulty {
  static constexpr auto name = "in_single";
  Wrong wrong = Wrong::nowhere;
  Tensor forward(const Tensor& x) const {
    return wrong == Wrong::result && x.dtype() == f32 ? mul(mul(x, x), 1.001) : mul(x, x);
  }
  static void vjp(VjpContext<InSingle>& ctx) {
    const Wrong here = ctx.input_dtype(0) == f32 ? ctx.op().wrong : Wrong::nowhere;
    const Tensor x = ctx.recording() && here == Wrong::detached ? ctx.input<0>().detach() : ctx.input<0>();
    const bool off = here == (ctx.recording() ? Wrong::recorded : Wrong::general);
    ctx.add(0, mul(mul(ctx.grad_output(), x), off ? 2.001 : 2));
  }
  static void vjp_fused(VjpContext<InSingle>& ctx) {
    const bool off = ctx.input_dtype(0) == f32 && ctx.op().wrong == Wrong::fused;
    ctx.add(0, mul(right_gradient(ctx), off ? 1.001 : 1));
  }
};
Tensor in_single(const Tensor& x, Wrong wrong) { return apply_op(InSingle{{}, wrong}, x); }

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_precision)

BOOST_AUTO_TEST_CASE(wrong_in_single_precision_alone) {
  const std::vector<Tensor> in{some({2, 3}, 0.5, 2)};
  for (const Mode mode : kModes) {
    const auto report = [&](Wrong wrong, bool f32) {
      return run(in, {.order = 2, .mode = mode, .f32 = f32}, InSingle{{}, wrong});
    };
    for (const Wrong wrong :
         {Wrong::fused, Wrong::general, Wrong::recorded, Wrong::detached, Wrong::result}) {
      BOOST_TEST(report(wrong, false).ok());
      const Report r = report(wrong, true);
      CHECK_REJECTED(r);
      BOOST_TEST(mentions(r, "f32 against f64"), r.text());
    }
    BOOST_TEST(report(Wrong::nowhere, true).ok(), report(Wrong::nowhere, true).text());
  }
}

BOOST_AUTO_TEST_CASE(a_small_number_beside_large_ones) {
  const auto beside = [](Wrong wrong) {
    return [wrong](const Tensor& x) { return concat({1e7 * exp(x), 1e-4 * in_single(x, wrong)}); };
  };
  CHECK_REJECTED(check(beside(Wrong::result), {some({4}, 0.5, 2)}));
  const Report right = check(beside(Wrong::nowhere), {some({4}, 0.5, 2)});
  BOOST_TEST(right.count(Verdict::fail) == 0u, right.text());
}

// The gradients of terms that cancel in f32 are rounding, and no error of f32.
BOOST_AUTO_TEST_CASE(what_cancels_in_single_precision) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Generator g(seed);
    const Tensor x = uniform({3, 4}, g, -2, 2, f64);
    const Report r = check([](const Tensor& t) { return log(exp(t)) - t; }, {x}, {.order = 2, .seed = seed});
    BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
  }
}

// Partial products beyond f32: the gradient and its derivative are right all the same, and the third order
// need not be.
BOOST_AUTO_TEST_CASE(beyond_the_range_at_third_order) {
  const auto product = [](const Tensor& x) { return prod(x); };
  const std::vector<Tensor> in{Tensor::from({3e20, 2e25, -1e-23, 4e-22}, f64)};
  for (const int order : {2, 3}) {
    const Report r = check(product, in, {.order = order});
    BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
    // What is not finite in f32 there is counted.
    BOOST_TEST(
        mentions(r, "elements are not finite, as numbers on the way to them are beyond f32") == (order == 3),
        r.text());
  }
  // Before, and in a function that has no such rules, it is no excuse.
  const auto in_parts = [](const Tensor& x) {
    return select(x, 0, 0) * select(x, 0, 1) * (select(x, 0, 2) * select(x, 0, 3));
  };
  CHECK_REJECTED(check(in_parts, in, {.order = 2}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_precision_test
