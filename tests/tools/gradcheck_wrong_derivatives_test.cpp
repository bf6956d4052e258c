// Wrong derivatives that the checker must reject. What else it rejects is in
// gradcheck_wrong_properties_test.cpp.

#include <cmath>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "wrong_rules.h"

namespace gradcheck_wrong_derivatives_test {

using namespace test_gradcheck;

namespace {

// ---- elementwise operations ----

struct ZeroBackward : Unary {
  static constexpr auto name = "zero_backward";
  double scale = 1;
  auto f(auto x) const { return scale * sin(x); }
  auto vjp(auto g, auto, auto) const { return 0 * g; }
};
struct SquareZeroBackward : Unary {
  static constexpr auto name = "square_zero_backward";
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto, auto) const { return 0 * g; }
};
struct AbsZeroBackward : Unary {
  static constexpr auto name = "abs_zero_backward";
  auto f(auto x) const { return abs(x); }
  auto vjp(auto g, auto, auto) const { return 0 * g; }
};
struct Doubled : Unary {
  static constexpr auto name = "doubled";
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 4 * g * x; }
};
struct SlightlyScaled : Unary {
  static constexpr auto name = "slightly_scaled";
  double error = 0;
  auto f(auto x) const { return exp(x); }
  auto vjp(auto g, auto, auto y) const { return (1 + error) * g * y; }
};
struct WrongFormulaOnTensors : Unary {  // right in the loops, wrong where it is recorded
  static constexpr auto name = "wrong_formula_on_tensors";
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  Tensor vjp(Tensor g, Tensor x, Tensor) const { return 2.001 * g * x; }
};
struct WrongInSinglePrecision : Unary {
  static constexpr auto name = "wrong_in_single_precision";
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  auto vjp(detail::Real<float> g, detail::Real<float> x, detail::Real<float>) const { return 2.0001 * g * x; }
};
struct WrongForLargeGradients : Unary {
  static constexpr auto name = "wrong_for_large_gradients";
  auto f(auto x) const { return 3 * x; }
  auto vjp(auto g, auto, auto) const { return 3 * maximum(minimum(g, 100), -100); }
};

// ---- operations on tensors ----

/// Changes elements of a right gradient.
void spoil(Tensor& g, auto&& f) {
  Tensor copy = g.copy();
  f(copy.mutable_values<double>());
  g = copy;
}

struct OneElementWrong : SquareBase {
  static constexpr auto name = "one_element_wrong";
  static void vjp(VjpContext<OneElementWrong>& ctx) {
    Tensor g = right_gradient(ctx);
    if (g.dtype() == f64) spoil(g, [](auto v) { v[v.size() / 3] = 0; });
    ctx.add(0, g);
  }
};
struct AntisymmetricPair : SquareBase {
  static constexpr auto name = "antisymmetric_pair";
  static void vjp(VjpContext<AntisymmetricPair>& ctx) {
    Tensor g = right_gradient(ctx);
    if (g.dtype() == f64) spoil(g, [](auto v) { v[1] += 0.5, v[v.size() - 1] -= 0.5; });
    ctx.add(0, g);
  }
};
struct SignInTail : Faulty {  // of a softmax
  static constexpr auto name = "sign_in_tail";
  static Tensor forward(const Tensor& x) { return softmax(x); }
  static void vjp(VjpContext<SignInTail>& ctx) {
    const Tensor y = ctx.output();
    const Tensor g = mul(y, sub(ctx.grad_output(), sum(mul(ctx.grad_output(), y), {-1}, KeepDims::yes)));
    ctx.add(0, where(less(y, Tensor::scalar(1e-6, y.dtype())), neg(g), g));
  }
};
struct OnlyForUniformGradients : SquareBase {
  static constexpr auto name = "only_for_uniform_gradients";
  static void vjp(VjpContext<OnlyForUniformGradients>& ctx) {
    ctx.add(0, mul(mul(mean(ctx.grad_output()), ctx.input<0>()), 2));
  }
};
struct WrongBesideZeros : SquareBase {  // takes a gradient with a zero in it for no gradient at all
  static constexpr auto name = "wrong_beside_zeros";
  static void vjp(VjpContext<WrongBesideZeros>& ctx) {
    const Tensor any_zero = max(equal(ctx.grad_output(), Tensor::scalar(0, ctx.grad_output().dtype())));
    ctx.add(0, mul(right_gradient(ctx), sub(1, any_zero)));
  }
};
struct SecondOrderMissing : SquareBase {  // the right value, which does not depend on x as it should
  static constexpr auto name = "second_order_missing";
  static void vjp(VjpContext<SecondOrderMissing>& ctx) {
    ctx.add(0, mul(mul(ctx.grad_output(), ctx.input<0>().detach()), 2));
  }
};
struct ThirdOrderMissing : Faulty {  // x^3: its second derivative does not depend on x as it should
  static constexpr auto name = "third_order_missing";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(mul(x, x), x); }
  static void vjp(VjpContext<ThirdOrderMissing>& ctx) {
    const Tensor x = ctx.input<0>(), c = x.detach(), d = sub(x, c);
    // 3 x^2 = 3 c^2 + 6 c (x - c) at x = c, to first order.
    ctx.add(0, mul(ctx.grad_output(), add(mul(mul(c, c), 3), mul(mul(c, d), 6))));
  }
};
struct WrongWithBroadcasting : Faulty {  // averages where it should sum
  static constexpr auto name = "wrong_with_broadcasting";
  static constexpr auto saves = saves_for(kNone);
  static Tensor forward(const Tensor& a, const Tensor& b) { return add(a, b); }
  static void vjp(VjpContext<WrongWithBroadcasting>& ctx) {
    for (std::size_t i = 0; i < 2; ++i) {
      if (!ctx.needs_grad(i)) continue;
      const double copies = static_cast<double>(ctx.output_shape().size()) /
                            static_cast<double>(std::max<std::int64_t>(ctx.input_shape(i).size(), 1));
      ctx.add(i, mul(detail::sum_to_shape(ctx.grad_output(), ctx.input_shape(i)), 1 / std::max(copies, 1.0)));
    }
  }
  static void samples(Samples& s);
};
struct WrongShape : SquareBase {
  static constexpr auto name = "wrong_shape";
  static void vjp(VjpContext<WrongShape>& ctx) { ctx.add(0, sum(right_gradient(ctx))); }
};
struct WrongDtype : SquareBase {
  static constexpr auto name = "wrong_dtype";
  static void vjp(VjpContext<WrongDtype>& ctx) {
    ctx.add(0, cast(right_gradient(ctx), ctx.input_dtype(0) == f32 ? f64 : f32));
  }
};
struct FusedWrong : SquareBase {
  static constexpr auto name = "fused_wrong";
  static void vjp(VjpContext<FusedWrong>& ctx) { ctx.add(0, right_gradient(ctx)); }
  static void vjp_fused(VjpContext<FusedWrong>& ctx) { ctx.add(0, mul(right_gradient(ctx), 1 + 1e-6)); }
};
struct GeneralWrong : SquareBase {
  static constexpr auto name = "general_wrong";
  static void vjp(VjpContext<GeneralWrong>& ctx) { ctx.add(0, mul(right_gradient(ctx), 1 + 1e-6)); }
  static void vjp_fused(VjpContext<GeneralWrong>& ctx) { ctx.add(0, right_gradient(ctx)); }
};

void WrongWithBroadcasting::samples(Samples& s) {
  for (const auto& [a, b] : {std::pair<Shape, Shape>{{2, 3}, {2, 3}}, {{2, 3}, {3}}})
    s.add(WrongWithBroadcasting{}, {a, b});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_wrong_derivatives)

BOOST_AUTO_TEST_CASE(zero_backward_of_small_gradients) {
  CHECK_REJECTED(run(std::vector{some({2, 3})}, kDerivatives, ZeroBackward{{}, 1e-6}));
  CHECK_REJECTED(run(std::vector{some({101, 100})}, kDerivatives, ZeroBackward{{}, 1e-6}));
  CHECK_REJECTED(run(std::vector{some({2, 3})}, kDerivatives, ZeroBackward{{}, 1e-200}));
}

BOOST_AUTO_TEST_CASE(factor_two_at_tiny_values) {
  CHECK_REJECTED(run<Doubled>({some({4}, 4e-6, 6e-6)}, kDerivatives));
  CHECK_REJECTED(run<Doubled>({some({4}, 1e-30, 2e-30)}, kDerivatives));
}

BOOST_AUTO_TEST_CASE(wrong_sign_in_a_tail) {
  CHECK_REJECTED(run<SignInTail>({Tensor::from({1, 0.5, -20, 2}, f64)}, kDerivatives));
}

BOOST_AUTO_TEST_CASE(small_scale_errors) {
  for (const double error : {5e-4, -1e-6, 3e-8})
    for (const Shape& shape : {Shape{}, Shape{2, 3}, Shape{101, 100}})
      CHECK_REJECTED(run(std::vector{some(shape)}, kDerivatives, SlightlyScaled{{}, error}));
}

BOOST_AUTO_TEST_CASE(square_near_zero) {
  CHECK_REJECTED(run<SquareZeroBackward>({Tensor::from({1e-8, -1e-8}, f64)}, kDerivatives));
}

BOOST_AUTO_TEST_CASE(one_element_of_many) {
  for (const Mode mode : kModes)
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      // Exhaustive mode has a limit of its own: 1e8 elements of a Jacobian are beyond it.
      CHECK_REJECTED(
          run<OneElementWrong>({some({100, 100})}, {.mode = mode, .seed = seed, .properties = false}));
      CHECK_REJECTED(run<OneElementWrong>({some({6})}, {.mode = mode, .seed = seed, .properties = false}));
    }
}

BOOST_AUTO_TEST_CASE(antisymmetric_pair) {
  for (const Mode mode : kModes)
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      CHECK_REJECTED(
          run<AntisymmetricPair>({some({100, 100})}, {.mode = mode, .seed = seed, .properties = false}));
      CHECK_REJECTED(run<AntisymmetricPair>({some({6})}, {.mode = mode, .seed = seed, .properties = false}));
    }
}

BOOST_AUTO_TEST_CASE(patterns_of_the_incoming_gradient) {
  CHECK_REJECTED(run<OnlyForUniformGradients>({some({2, 3})}, kDerivatives));
  CHECK_REJECTED(run<OnlyForUniformGradients>({some({100, 100})}, kDerivatives));
  CHECK_REJECTED(run<WrongForLargeGradients>({some({2, 3})}));
  // Above the size of a full Jacobian the weights have no zeros; that all patterns agree shows it.
  CHECK_REJECTED(run<WrongBesideZeros>({some({100, 100})}));
  CHECK_REJECTED(run<WrongBesideZeros>({some({2, 3})}, kDerivatives));
}

BOOST_AUTO_TEST_CASE(abs_sampled_only_near_zero) {
  CHECK_REJECTED(run<AbsZeroBackward>({Tensor::from({1e-9, -3e-10}, f64)}, kDerivatives));
  // At 0 itself a zero is the convention; a sample that shows nothing else does not pass.
  const Report at_kink = run<AbsZeroBackward>({Tensor::from({0, 0}, f64)}, kDerivatives);
  BOOST_TEST(!at_kink.ok());
  BOOST_TEST(gradcheck::name_of(at_kink.verdict()) == "KINK", at_kink.text());
}

BOOST_AUTO_TEST_CASE(right_at_first_order_wrong_at_second) {
  BOOST_TEST(run<SecondOrderMissing>({some({2, 3})}, kDerivatives).ok());
  const Report report = run<SecondOrderMissing>({some({2, 3})}, {.order = 2, .properties = false});
  CHECK_REJECTED(report);
  for (const gradcheck::Finding& f : report.listed()) BOOST_TEST(f.order == 2);
  CHECK_REJECTED(run<SecondOrderMissing>({some({100, 100})}, {.order = 2, .properties = false}));
}

BOOST_AUTO_TEST_CASE(wrong_with_broadcasting_only) {
  BOOST_TEST(run<WrongWithBroadcasting>({some({2, 3}), some({2, 3})}).ok());
  CHECK_REJECTED(run<WrongWithBroadcasting>({some({2, 3}), some({3})}));
  gradcheck::Catalog catalog;
  catalog.add_ops(TypeList<WrongWithBroadcasting>{});
  const gradcheck::Subject subject = gradcheck::check_op(catalog.ops()[0], {});
  BOOST_TEST(gradcheck::name_of(subject.standing) == "FAIL");
  BOOST_TEST(subject.samples[0].report.ok());
  BOOST_TEST(!subject.samples[1].report.ok());
}

BOOST_AUTO_TEST_CASE(wrong_shape_or_dtype) {
  CHECK_REJECTED(run<WrongShape>({some({2, 3})}, kDerivatives));
  CHECK_REJECTED(run<WrongDtype>({some({2, 3})}, kDerivatives));
}

BOOST_AUTO_TEST_CASE(one_of_the_rules_wrong) {
  CHECK_REJECTED(run<FusedWrong>({some({2, 3})}, kDerivatives));
  const Report general = run<GeneralWrong>({some({2, 3})}, kDerivatives);
  CHECK_REJECTED(general);
  BOOST_TEST(mentions(general, "general rule"));
  CHECK_REJECTED(run<WrongFormulaOnTensors>({some({2, 3})}, kDerivatives));
  const Report single = run<WrongInSinglePrecision>({some({2, 3})});
  CHECK_REJECTED(single);
  BOOST_TEST(mentions(single, "f32 against f64"));
}

// An absolute tolerance excuses, and never certifies.
BOOST_AUTO_TEST_CASE(absolute_tolerance) {
  const Report strict = run(std::vector{some({2, 3})}, kDerivatives, ZeroBackward{{}, 1e-6});
  CHECK_REJECTED(strict);
  const Report excused =
      run(std::vector{some({2, 3})}, {.excuse_atol = 1e-5, .properties = false}, ZeroBackward{{}, 1e-6});
  BOOST_TEST(gradcheck::name_of(excused.verdict()) == "INCONCLUSIVE", excused.text());
  BOOST_TEST(excused.count(Verdict::pass) == 0u);
  BOOST_TEST(mentions(excused, "excused by the absolute tolerance"));
}

BOOST_AUTO_TEST_CASE(right_to_order_two_wrong_at_three) {
  const Report second = run<ThirdOrderMissing>({some({2, 3})}, {.order = 2, .properties = false});
  BOOST_TEST(second.ok(), second.text());
  const Report third = run<ThirdOrderMissing>({some({2, 3})}, {.order = 3, .properties = false});
  CHECK_REJECTED(third);
  for (const gradcheck::Finding& f : third.failures()) BOOST_TEST(f.order == 3);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_wrong_derivatives_test
