// Operations whose derivative is another than that of their values on purpose: right by declaration, wrong
// without one, and wrong where the rules give something else than was declared.

#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "gradcheck_support.h"

namespace checker_straight_through_test {

using namespace test_gradcheck;

namespace {

const Domain kBetweenSteps{-2, 2, {-1.5, -0.5, 0.5, 1.5}};  // the rounding jumps there

/// round(x), with the derivative of x: 1.
struct Rounded {
  static constexpr auto name = "rounded";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  auto f(auto x) const { return round(x); }
  auto vjp(auto g, auto, auto) const { return g; }
  static void samples(Samples& s) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{2, 3}})
      s.add(Rounded{}, {SampleInput(shape, kBetweenSteps)});
    s.straight_through([](const Tensor& x) { return x; });
  }
};
struct Undeclared : Rounded {
  static constexpr auto name = "undeclared";
  static void samples(Samples& s) { s.add(Undeclared{}, {SampleInput({7}, kBetweenSteps)}); }
};
struct Doubled : Rounded {
  static constexpr auto name = "doubled";
  auto vjp(auto g, auto, auto) const { return 2 * g; }
  static void samples(Samples& s) {
    s.add(Doubled{}, {SampleInput({7}, kBetweenSteps)});
    s.straight_through([](const Tensor& x) { return x; });
  }
};
struct OtherShape : Rounded {
  static constexpr auto name = "other_shape";
  static void samples(Samples& s) {
    s.add(OtherShape{}, {SampleInput({7}, kBetweenSteps)});
    s.straight_through([](const Tensor& x) { return sum(x); });
  }
};

/// step(x) * w, whose gradient for x is that of sigmoid(slope * x) * w, at every order.
template <int kWrongOrder, bool kFusedWrong = false>
struct Spike {
  static constexpr auto name = kFusedWrong        ? "spike_wrong_when_fused"
                               : kWrongOrder == 0 ? "spike"
                               : kWrongOrder == 1 ? "spike_wrong_at_order_1"
                                                  : "spike_wrong_at_order_2";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  double slope = 3;
  static Tensor forward(const Tensor& x, const Tensor& w) { return mul(greater(x, 0), w); }
  static void vjp(VjpContext<Spike>& ctx) {
    const Tensor x = ctx.template input<0>(), w = ctx.template input<1>(), g = ctx.grad_output();
    const Tensor s = sigmoid(mul(x, ctx.op().slope));
    Tensor of_x = mul(mul(g, w), mul(mul(s, sub(1, s)), ctx.op().slope * (kWrongOrder == 1 ? 1.01 : 1)));
    if (kWrongOrder == 2) of_x = mul(mul(g, w), mul(mul(s, sub(1, s)), ctx.op().slope).detach());
    ctx.add(0, of_x);
    ctx.add(1, mul(g, s));
  }
  static void vjp_fused(VjpContext<Spike>& ctx) {
    if (!kFusedWrong) return vjp(ctx);
    ctx.add(0, mul(mul(ctx.grad_output(), ctx.template input<1>()), 0.5));
    ctx.add(1, mul(ctx.grad_output(), greater(ctx.template input<0>(), 0)));
  }
  static void samples(Samples& s) {
    for (const double slope : {3.0, 5.0}) {
      s.add(Spike{slope}, {SampleInput({2, 3}, {-1, 1, {0}}), Shape{2, 3}});
      s.straight_through(
          [slope](const Tensor& x, const Tensor& w) { return mul(sigmoid(mul(x, slope)), w); });
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_straight_through)

BOOST_AUTO_TEST_CASE(declared_and_right) {
  const Catalog c = catalog_of<Rounded, Spike<0>>();
  for (const char* mode : {"auto", "exhaustive", "fast"})
    for (const char* order : {"1", "2", "3"}) {
      const Outcome o = run(c, {"--mode", mode, "--order", order});
      BOOST_TEST(o.code == 0, o.out);
    }
  BOOST_TEST(contains(run(c, {"-v"}).out, "#1 straight through [7]"));
  // The mutations of its rules are found as of any other.
  const Outcome self_test = run(c, {"--self-test", "--op", "spike"});
  BOOST_TEST(self_test.code == 0, self_test.out);
}

BOOST_AUTO_TEST_CASE(not_declared) {
  for (const char* mode : {"auto", "exhaustive", "fast"})
    BOOST_TEST(code(catalog_of<Undeclared>(), {"--mode", mode}) == 1);
}

BOOST_AUTO_TEST_CASE(declared_before_there_is_a_sample) {
  Samples none;
  const auto identity = [](const Tensor& x) { return x; };
  BOOST_CHECK_EXCEPTION(none.straight_through(identity), ArgumentError,
                        [](const ArgumentError& e) { return contains(e.what(), "no sample yet"); });
  none.add(Rounded{}, {SampleInput({7}, kBetweenSteps)});
  none.straight_through(identity);
  BOOST_TEST(bool(none.all()[0].intended));
}

BOOST_AUTO_TEST_CASE(declared_and_wrong) {
  for (const char* mode : {"auto", "exhaustive", "fast"}) {
    for (const Catalog& c : {catalog_of<Doubled>(), catalog_of<Spike<1>>(), catalog_of<Spike<0, true>>()})
      BOOST_TEST(code(c, {"--mode", mode}) == 1);
    BOOST_TEST(code(catalog_of<Spike<2>>(), {"--mode", mode}) == 0);
    BOOST_TEST(code(catalog_of<Spike<2>>(), {"--mode", mode, "--order", "2"}) == 1);
  }
  const Json all = results_of(catalog_of<Spike<0, true>>(), {});
  BOOST_TEST(contains(all["subjects"][0]["samples"][0]["findings"].dump(), "beside the usual one"));
  const Outcome shape = run(catalog_of<OtherShape>(), {});
  BOOST_TEST(shape.code == 1);
  BOOST_TEST(contains(shape.out,
                      "straight through: the result is [7] of f64, that of the intended function [] of f64"),
             shape.out);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_straight_through_test
