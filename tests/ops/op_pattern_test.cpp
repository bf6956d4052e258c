#include <cmath>
#include <string>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/tape_view.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/op_list.h>
#include <tapegrad/ops/samples.h>

#include "op_support.h"

namespace op_pattern_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

int masks_made = 0;

/// y = x where x > limit, else 0; the mask is a residual.
struct Gate {
  static constexpr auto name = "gate";
  static constexpr auto saves = saves_for(kResidual1);
  double limit = 0;
  Tensor forward(const Tensor& x, Residuals<2>& r) const {
    const Tensor mask = x > Tensor::full({}, limit, x.dtype());
    if (r.needed()) ++masks_made;
    r[1] = mask;  // r[0] is left undefined: it is not saved
    return x * mask;
  }
  static void vjp(VjpContext<Gate>& ctx) { ctx.add(0, ctx.grad_output() * ctx.residual<1>()); }
  void describe(AttributeVisitor& v) const { v("limit", limit); }
  static void samples(Samples& s) {
    s.add(Gate{0.25}, {SampleInput(Shape{3, 5}, {-2, 2, {0.25}})});
    s.add(Gate{}, {SampleInput(Shape{7}, {0.5, 2})});
  }
};

/// a b, or a where b is not given.
struct Scale {
  static constexpr auto name = "scale";
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr std::uint8_t optional_inputs = 0b10;
  Tensor forward(const Tensor& a, const Tensor& b) const { return b.defined() ? a * b : a * 1.0; }
  static void vjp(VjpContext<Scale>& ctx) {
    if (ctx.needs_grad(0))
      ctx.add(0, ctx.has_input(1) ? ctx.grad_output() * ctx.input<1>() : ctx.grad_output());
    if (ctx.needs_grad(1)) ctx.add(1, ctx.grad_output() * ctx.input<0>());
  }
  static void samples(Samples& s) {
    s.add(Scale{}, {Shape{4}, Shape{4}});
    s.add(Scale{}, {Shape{4}, SampleInput::absent()}, "without b");
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(op_pattern)

BOOST_AUTO_TEST_CASE(residuals_reach_the_rule_at_every_order) {
  const Tensor x = Tensor::from({-1, 0.1, 0.5, 2}, f64);
  check_tensor(derivative([](const Tensor& v) { return apply_op(Gate{0.25}, v); }, x), {4}, {0, 0, 1, 1});
  const auto cube = [](const Tensor& v) { return apply_op(Gate{0.25}, v * v * v); };
  check_tensor(derivative(cube, x, 2), {4}, {0, 0, 0, 12});  // x^3 is above the limit at 2 alone
}

BOOST_AUTO_TEST_CASE(residuals_are_made_where_they_are_recorded_or_asked_for) {
  const Tensor x = random({5});
  masks_made = 0;
  apply_op(Gate{}, x);
  BOOST_TEST(masks_made == 0);
  std::array<Tensor, 2> residuals;
  apply_op(Gate{}, residuals, x);
  BOOST_TEST(masks_made == 1);
  BOOST_TEST(!residuals[0].defined());
  BOOST_TEST_REQUIRE(residuals[1].defined());
  Tape tape;
  apply_op(Gate{}, tape.watch(x));
  BOOST_TEST(masks_made == 2);
}

BOOST_AUTO_TEST_CASE(a_residual_that_is_changed_is_told) {
  Tape tape;
  std::array<Tensor, 2> residuals;
  const Tensor x = tape.watch(random({5}));
  const Tensor y = apply_op(Gate{}, residuals, x);
  residuals[1].mutable_values<double>()[0] = 7;
  BOOST_CHECK_EXCEPTION(tape.backward(sum(y)), MutatedSaved, mentions("gate", "residual 1", "[5]"));
}

BOOST_AUTO_TEST_CASE(an_optional_input_may_be_absent) {
  const Tensor a = Tensor::from({2, 3}, f64);
  Tape tape;
  const Tensor x = tape.watch(a);
  const Tensor y = apply_op(Scale{}, x, Tensor());
  check_tensor(y, {2}, {2, 3});
  const TapeView view(tape);
  const TapeView::Node node = view[*view.find(y)];
  BOOST_TEST(node.inputs() == 2u);
  BOOST_TEST(node.input(0).given());
  BOOST_TEST(!node.input(1).given());
  check_tensor(tape.grad(sum(y), x), {2}, {1, 1});
  BOOST_CHECK_EXCEPTION(apply_op(Scale{}, Tensor(), a), ArgumentError,
                        mentions("scale", "input 0", "undefined"));
}

BOOST_AUTO_TEST_CASE(the_checker_knows_residuals_and_absent_inputs) {
  gradcheck::Catalog catalog;
  catalog.add_ops(TypeList<Gate, Scale>{});
  for (const gradcheck::Catalog::Op& op : catalog.ops()) {
    const gradcheck::Subject s = gradcheck::check_op(op, {.order = 2});
    for (const auto& sample : s.samples) BOOST_TEST(sample.report.ok(), sample.report.text());
  }
}

BOOST_AUTO_TEST_CASE(affine_without_a_bias_is_the_product) {
  const Tensor x = random({4, 3}), w = random({3, 2}, f64, -1, 1, 2);
  BOOST_TEST(numbers(affine(x, w)) == numbers(matmul(x, w)), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(dropout_draws_what_bernoulli_draws) {
  const Tensor x = random({7, 11}, f32);
  Generator g(3), same(3);
  const Tensor y = dropout(x, 0.4, g);
  const Tensor mask = bernoulli(x.shape(), same, 0.6, f32) * (1 / 0.6);
  BOOST_TEST(numbers(y) == numbers(x * mask), boost::test_tools::per_element());
  BOOST_TEST((g.state() == same.state()));
  Tape tape;
  const Tensor leaf = tape.watch(x);
  Generator again(3);
  BOOST_TEST(numbers(tape.grad(sum(dropout(leaf, 0.4, again)), leaf)) == numbers(mask),
             boost::test_tools::per_element());
  BOOST_CHECK_EXCEPTION(dropout(x, 1, g), ArgumentError, mentions("dropout", "ratio is 1"));
  BOOST_CHECK_EXCEPTION(dropout(Tensor::from({1, 2, 3}, i64), 0.5, g), DtypeError,
                        mentions("dropout", "i64", "cast"));
}

// ---- attributes and the view of a tape ----

BOOST_AUTO_TEST_CASE(every_op_of_the_library_describes_its_attributes) {
  for (const OpInfo* op : library_ops())
    BOOST_TEST((op->table->attribute_bytes == 0 || op->table->describe != nullptr), op->name());
}

BOOST_AUTO_TEST_CASE(a_tape_shows_operations_edges_and_attributes) {
  const Parameter p(Tensor::from({{1, 2}, {3, 4}}, f64));
  Tape tape;
  const Tensor y = sum(clamp(Tensor(p), 0, 3), 1, KeepDims::yes);
  const TapeView view(tape);
  BOOST_TEST_REQUIRE(view.size() == 3u);
  BOOST_TEST(view[0].is_leaf());
  BOOST_TEST(view[0].parameter() == p.id());
  BOOST_TEST(view[1].op() == "clamp");
  BOOST_TEST(view[2].op() == "sum");
  BOOST_TEST((view[2].shape() == Shape{2, 1}));
  BOOST_TEST((view[2].input(0).node() == std::size_t{1}));
  AttributeText clamp_text, sum_text;
  view[1].describe(clamp_text);
  view[2].describe(sum_text);
  BOOST_TEST(clamp_text.text() == "lo=0, hi=3");
  BOOST_TEST(sum_text.text() == "axes=[1], keepdims=true");
  BOOST_TEST((view.find(y) == std::size_t{2}));
  BOOST_TEST(!view.find(Tensor::ones({2})).has_value());
}

BOOST_AUTO_TEST_CASE(axes_are_described_by_their_numbers_as_many_as_there_are) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({2, 3, 4}, f64));
  const auto text_of = [&](const Tensor& y) {
    AttributeText text;
    const TapeView view(tape);
    view[*view.find(y)].describe(text);
    return text.text();
  };
  BOOST_TEST(text_of(flip(x, {0, -1})) == "axes=[0, 2]");
  BOOST_TEST(text_of(permute(x, {2, 0, 1})) == "order=[2, 0, 1]");
  BOOST_TEST(text_of(transpose(x)) == "order=[0, 2, 1]");
  BOOST_TEST(text_of(pad(x, {{1, 0}, {0, 2}, {3, 4}}, 1.5)) == "padding=[1, 0, 0, 2, 3, 4], value=1.5");
  // Of the gradient, too.
  const Tensor g = tape.grad(permute(x, {2, 0, 1}), x, {Tensor::ones({4, 2, 3}, f64) * sum(x), Record::yes});
  BOOST_TEST(text_of(g) == "order=[1, 2, 0]");
}

// ---- the activations that came with the table ----

BOOST_AUTO_TEST_CASE(activations_have_their_published_values) {
  using Number = long double;
  const auto sigma = [](Number x) { return 1 / (1 + std::exp(-x)); };
  const auto softplus_of = [](Number x) { return std::log1p(std::exp(x)); };
  const std::vector<double> at{-5, -3, -1.5, -0.25, 0, 0.25, 1.5, 2.9, 3, 5, 7};
  const Tensor x = Tensor::from(at);
  const auto check = [&](Tensor (*f)(const Tensor&), auto value, auto slope) {
    std::vector<double> values, slopes;
    for (const double v : at)
      values.push_back(static_cast<double>(value(Number(v)))),
          slopes.push_back(static_cast<double>(slope(Number(v))));
    check_tensor(f(x), {11}, values, 1e-14);
    check_tensor(derivative(f, x), {11}, slopes, 1e-14);
  };
  check(
      mish, [&](Number v) { return v * std::tanh(softplus_of(v)); },
      [&](Number v) {
        const Number t = std::tanh(softplus_of(v));
        return t + v * (1 - t * t) * sigma(v);
      });
  check(
      hardsigmoid, [](Number v) { return v <= -3  ? 0
                                         : v >= 3 ? 1
                                                  : v / 6 + 0.5L; },
      [](Number v) { return v > -3 && v < 3 ? 1 / Number(6) : 0; });
  check(
      hardswish, [](Number v) { return v <= -3  ? 0
                                       : v >= 3 ? v
                                                : v * (v + 3) / 6; },
      [](Number v) { return v <= -3  ? 0
                            : v >= 3 ? 1
                                     : (2 * v + 3) / 6; });
  check(
      relu6, [](Number v) { return std::fmin(std::fmax(v, 0.0L), 6.0L); },
      [](Number v) { return Number(v > 0 && v < 6); });
  const Number lambda = 1.0507009873554804934193349852946L, alpha = 1.6732632423543772848170429916717L;
  check(
      selu, [=](Number v) { return v > 0 ? lambda * v : lambda * alpha * std::expm1(v); },
      [=](Number v) { return v > 0 ? lambda : lambda * alpha * std::exp(v); });
  check(
      softsign, [](Number v) { return v / (1 + std::fabs(v)); },
      [](Number v) { return 1 / ((1 + std::fabs(v)) * (1 + std::fabs(v))); });
  check(
      log_sigmoid, [&](Number v) { return -std::log1p(std::exp(-v)); }, [&](Number v) { return sigma(-v); });
}

BOOST_AUTO_TEST_CASE(prelu_learns_its_slope) {
  const Tensor x = Tensor::from({{-2, 3}, {-4, -1}}, f64), slope = Tensor::from({0.25, 0.5}, f64);
  check_tensor(prelu(x, slope), {2, 2}, {-0.5, 3, -1, -0.5});
  Tape tape;
  const Tensor s = tape.watch(slope);
  check_tensor(tape.grad(sum(prelu(x, s)), s), {2}, {-6, -1});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace op_pattern_test
