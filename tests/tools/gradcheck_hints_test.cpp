// What the checker says of a failure where a simple pattern explains it.

#include <algorithm>
#include <sstream>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/gradcheck/check/hints.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <boost/test/unit_test.hpp>

#include "wrong_rules.h"

namespace gradcheck_hints_test {

using namespace tapegrad;
using gradcheck::Options;
using gradcheck::Report;

namespace {

Tensor some(const Shape& shape, std::uint64_t seed = 7) {
  Generator g(seed);
  return uniform(shape, g, 0.5, 2, f64);
}

struct Faulty {
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static void samples(Samples&) {}
};
struct Unary : Faulty {
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(mul(x, x), x); }
};
template <class Op>
Tensor cube_gradient(VjpContext<Op>& ctx) {
  const Tensor x = ctx.template input<0>();
  return mul(mul(mul(x, x), ctx.grad_output()), 3);
}

struct Scaled : Unary {
  static constexpr auto name = "scaled";
  double factor = 1;
  static void vjp(VjpContext<Scaled>& ctx) { ctx.add(0, mul(cube_gradient(ctx), ctx.op().factor)); }
};
struct Elsewhere : Unary {  // the gradient's elements in other places
  static constexpr auto name = "elsewhere";
  bool transpose = false;
  std::int64_t shift = 0;
  static void vjp(VjpContext<Elsewhere>& ctx) {
    const Tensor g = cube_gradient(ctx);
    Tensor moved = ctx.op().transpose ? tapegrad::reshape(tapegrad::transpose(g), g.shape()) : g.copy();
    if (const std::int64_t shift = ctx.op().shift; shift != 0) {
      const std::vector<double> from = cast(g, f64).to_vector<double>();
      std::vector<double> to(from.size());
      for (std::size_t i = 0; i < from.size(); ++i) {
        const auto source = static_cast<std::size_t>(static_cast<std::int64_t>(i) + shift);
        if (source < from.size()) to[i] = from[source];
      }
      moved = cast(Tensor::from(to), g.dtype());
    }
    ctx.add(0, moved);
  }
};
struct Scrambled : Unary {  // no pattern at all
  static constexpr auto name = "scrambled";
  static void vjp(VjpContext<Scrambled>& ctx) {
    ctx.add(0, mul(cube_gradient(ctx), add(sin(mul(ctx.input<0>(), 40)), 2.5)));
  }
};
struct Product : Faulty {
  static constexpr auto name = "product";
  enum class Mistake { swapped, first_row, averaged, last_column } mistake = Mistake::swapped;
  static Tensor forward(const Tensor& a, const Tensor& b) { return mul(a, b); }
  static void vjp(VjpContext<Product>& ctx) {
    const Mistake mistake = ctx.op().mistake;
    const Tensor a = mul(ctx.grad_output(), ctx.input<1>()), b = mul(ctx.grad_output(), ctx.input<0>());
    if (mistake == Mistake::swapped) {
      if (ctx.needs_grad(0)) ctx.add(0, b);
      if (ctx.needs_grad(1)) ctx.add(1, a);
      return;
    }
    if (ctx.needs_grad(0)) ctx.add(0, a);
    if (!ctx.needs_grad(1)) return;
    if (mistake == Mistake::first_row) ctx.add(1, tapegrad::reshape(slice(b, 0, 0, 1), ctx.input_shape(1)));
    if (mistake == Mistake::last_column) ctx.add(1, tapegrad::reshape(slice(b, 1, 2, 3), ctx.input_shape(1)));
    if (mistake == Mistake::averaged) ctx.add(1, tapegrad::reshape(mean(b, {0}), ctx.input_shape(1)));
  }
};
struct Reduction : Faulty {
  static constexpr auto name = "reduction";
  static constexpr auto saves = saves_for(kNone);
  bool averages = false;
  Tensor forward(const Tensor& x) const { return averages ? mean(x) : sum(x); }
  static void vjp(VjpContext<Reduction>& ctx) {
    const double n = static_cast<double>(ctx.input_shape(0).size());
    ctx.add(0, broadcast_to(mul(ctx.grad_output(), ctx.op().averages ? 1 : 1 / n), ctx.input_shape(0)));
  }
};
struct Constant : Unary {
  static constexpr auto name = "constant";
  static void vjp(VjpContext<Constant>& ctx) { ctx.add(0, mul(ctx.grad_output(), ctx.input<0>().detach())); }
  static Tensor forward(const Tensor& x) { return mul(mul(x, x), 0.5); }
};
struct FusedRule : Unary {
  static constexpr auto name = "fused_rule";
  bool fused_is_wrong = true;
  static void vjp(VjpContext<FusedRule>& ctx) {
    ctx.add(0, mul(cube_gradient(ctx), ctx.op().fused_is_wrong ? 1 : 1.25));
  }
  static void vjp_fused(VjpContext<FusedRule>& ctx) {
    ctx.add(0, mul(cube_gradient(ctx), ctx.op().fused_is_wrong ? 1.25 : 1));
  }
};
struct OnTensors : Unary {
  static constexpr auto name = "on_tensors";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  Tensor vjp(Tensor g, Tensor x, Tensor) const { return -2 * g * x; }
};
struct InSinglePrecision : Unary {
  static constexpr auto name = "in_single_precision";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  auto vjp(detail::Real<float> g, detail::Real<float> x, detail::Real<float>) const { return 2.001 * g * x; }
};

template <class Op>
Report run(const Op& op, const std::vector<Tensor>& in, const Options& options = {.properties = false}) {
  return test_gradcheck::run(in, options, op);
}

std::string hints_of(const Report& r) {
  std::string all;
  for (const std::string& hint : gradcheck::hints(r)) all += (all.empty() ? "" : "; ") + hint;
  return all;
}

#define CHECK_HINTS(report, expected)                                          \
  do {                                                                         \
    const Report r_ = (report);                                                \
    BOOST_TEST(r_.count(gradcheck::Verdict::fail) > 0u);                       \
    BOOST_TEST(hints_of(r_) == (expected), hints_of(r_) << '\n' << r_.text()); \
  } while (false)

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_hints)

BOOST_AUTO_TEST_CASE(factors) {
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{3, 2}, Shape{80, 90}}) {
    CHECK_HINTS(run(Scaled{{}, -1}, {some(shape)}), "negated");
    CHECK_HINTS(run(Scaled{{}, 0}, {some(shape)}), "analytic = 0");
    CHECK_HINTS(run(Scaled{{}, 2}, {some(shape)}), "analytic = 2 x numeric");
    CHECK_HINTS(run(Scaled{{}, 0.5}, {some(shape)}), "analytic = 0.5 x numeric");
  }
  CHECK_HINTS(run(Scaled{{}, 1 + 1e-6}, {some({5})}), "analytic = 1.000001 x numeric");
  CHECK_HINTS(run(Scaled{{}, 1.37}, {some({5})}), "analytic = 1.37 x numeric");
}

BOOST_AUTO_TEST_CASE(places) {
  CHECK_HINTS(run(Elsewhere{{}, true}, {some({3, 3})}), "transposed");
  CHECK_HINTS(run(Elsewhere{{}, true}, {some({2, 4})}), "transposed");
  CHECK_HINTS(run(Elsewhere{{}, false, -1}, {some({6})}), "off by one element: analytic[i] = numeric[i - 1]");
  CHECK_HINTS(run(Elsewhere{{}, false, 1}, {some({6})}), "off by one element: analytic[i] = numeric[i + 1]");
  CHECK_HINTS(run(Product{{}, Product::Mistake::swapped}, {some({2, 3}), some({2, 3}, 8)}),
              "input 0: swapped with input 1; input 1: swapped with input 0");
}

BOOST_AUTO_TEST_CASE(sums) {
  using enum Product::Mistake;
  CHECK_HINTS(run(Product{{}, first_row}, {some({4, 3}), some({3}, 8)}), "not summed over dimension 0");
  CHECK_HINTS(run(Product{{}, last_column}, {some({4, 3}), some({4, 1}, 8)}), "not summed over dimension 1");
  CHECK_HINTS(run(Product{{}, averaged}, {some({4, 3}), some({3}, 8)}),
              "analytic = 0.25 x numeric, as if averaged instead of summed over dimension 0");
  CHECK_HINTS(run(Reduction{}, {some({2, 5})}), "analytic = 0.1 x numeric, as if averaged instead of summed");
  CHECK_HINTS(run(Reduction{{}, true}, {some({2, 5})}),
              "analytic = 10 x numeric, as if summed instead of averaged");
}

BOOST_AUTO_TEST_CASE(where_it_is) {
  CHECK_HINTS(run(Constant{}, {some({4})}, {.order = 2, .properties = false}),
              "right at first order, wrong at second; analytic = 0");
  CHECK_HINTS(run(FusedRule{{}, true}, {some({4})}),
              "wrong only in the fused rule; analytic = 1.25 x numeric");
  CHECK_HINTS(run(FusedRule{{}, false}, {some({4})}),
              "right only in the fused rule; analytic = 1.25 x numeric");
  CHECK_HINTS(run(OnTensors{}, {some({4})}), "right only in the fused rule; negated");
  CHECK_HINTS(run(InSinglePrecision{}, {some({4})}, {}), "right in f64, wrong in f32");
}

BOOST_AUTO_TEST_CASE(nothing_is_claimed_without_a_pattern) {
  CHECK_HINTS(run(Scrambled{}, {some({7})}), "");
  CHECK_HINTS(run(Scrambled{}, {some({})}), "");
  CHECK_HINTS(run(Scrambled{}, {some({80, 90})}), "");
  // One failure that does not fit is enough.
  Report report = run(Scaled{{}, 2}, {some({5})});
  gradcheck::Finding other = report.failures()[0];
  other.analytic = 17;
  report.add(other);
  BOOST_TEST(hints_of(report) == "");
  BOOST_TEST(hints_of(gradcheck::check([](const Tensor& x) { return exp(x); }, {some({3})})) == "");
}

BOOST_AUTO_TEST_CASE(in_the_report) {
  const Report report = run(Scaled{{}, -1}, {some({5})});
  BOOST_TEST(report.text().ends_with("\n  hint: negated"), report.text());
  std::ostringstream out;
  out << report;
  BOOST_TEST(out.str() == report.text());
}

BOOST_AUTO_TEST_CASE(failures_are_kept_in_bounds) {
  const Report report = run(Scaled{{}, -1}, {some({40, 40})}, {.full_size = 1 << 22, .properties = false});
  BOOST_TEST(report.count(gradcheck::Verdict::fail) == 3u * 1600);
  BOOST_TEST(report.failures().size() == Report::kMaxFailures);
  BOOST_TEST(report.listed().size() == Report::kMaxListed);
  BOOST_TEST(hints_of(report) == "negated");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_hints_test
