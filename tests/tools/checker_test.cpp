// Right gradients that the checker must not call wrong, and modules. Wrong ones are in
// gradcheck_wrong_derivatives_test.cpp, the command in gradcheck_command_test.cpp.

#include <cmath>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <boost/test/unit_test.hpp>

#include "gradcheck_ops.h"
#include "support.h"

namespace checker_test {

using namespace tapegrad;
using gradcheck::check;
using gradcheck::check_module;
using gradcheck::Options;
using gradcheck::Report;
using gradcheck::Verdict;
using test_gradcheck::Once;
using test_gradcheck::OnlyAtZero;
using test_gradcheck::Twice;
using test_gradcheck::WrongTwice;

namespace {

Tensor values(std::initializer_list<double> v) { return Tensor::from(v, f64); }
Tensor some(const Shape& shape, double lo = -2, double hi = 2, std::uint64_t seed = 3) {
  Generator g(seed);
  return uniform(shape, g, lo, hi, f64);
}

#define CHECK_VERDICT(report, expected)                                                            \
  do {                                                                                             \
    const Report checked_report = (report);                                                        \
    BOOST_TEST(gradcheck::name_of(checked_report.verdict()) == (expected), checked_report.text()); \
  } while (false)

struct Counted : Twice {
  static constexpr std::size_t arity = 2;
  auto f(auto a, auto b) const { return a * b; }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto, auto, auto) const { return g; }
};
struct RecordedRounding : Twice {  // declared to have no derivative, and differentiable all the same
  static constexpr auto name = "recorded_rounding";
  static constexpr std::uint8_t max_order = 0;
  auto f(auto x) const { return x > 0; }
  static void samples(Samples& s) { s.unary(RecordedRounding{}, {-1, 1}); }
};

template <class Op>
gradcheck::Subject checked(const Options& options = {}) {
  return gradcheck::check_op(test_gradcheck::catalog_of<Op>().ops()[0], options);
}

/// A weight that is used without its gradient.
class Forgetful final : public nn::Module {
 public:
  explicit Forgetful(Generator& g) : weight_(randn({3, 2}, g)) {}
  void visit(nn::Visitor& v) override { v("weight", weight_); }
  Tensor forward(const Tensor& x) override { return matmul(x, weight_.value().detach()); }

 private:
  Parameter weight_;
};

/// One parameter in two layers.
class Tied final : public nn::Module {
 public:
  explicit Tied(Generator& g) : first_(3, 3, g), second_(first_.weight()) {}
  void visit(nn::Visitor& v) override {
    v("first", first_);
    v("second", second_);
  }
  Tensor forward(const Tensor& x) override { return second_(tanh(first_(x))); }
  nn::Affine first_, second_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checker)

// ---- numbers of any size ----

BOOST_AUTO_TEST_CASE(large_and_small_values) {
  const auto squared = [](const Tensor& x) { return square(x); };
  CHECK_VERDICT(check(squared, {values({1e8, -1e8})}, {.order = 2}), "PASS");
  CHECK_VERDICT(check(squared, {values({1e-8, 1e-30})}, {.order = 2}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return log(x); }, {values({1e-7, 1e-12})}, {.order = 2}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return exp(x); }, {values({-100, 100})}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return x * 1e-300; }, {values({1, 2})}), "PASS");
}

BOOST_AUTO_TEST_CASE(sine_far_out_is_not_called_wrong) {
  const Report r =
      check([](const Tensor& x) { return sin(x); }, {values({1e10, -3e10, 7e9})}, {.properties = false});
  BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
}

// What rounding inside the function hides is not called wrong; a step with a made-up slope still is.
BOOST_AUTO_TEST_CASE(leaps) {
  const Options derivatives{.properties = false, .recorded = false};
  const auto absorbed = [](const Tensor& x) { return (x + 1e10) - 1e10; };
  for (const double x : {1.3, 0.7, -3.0}) {
    const Report r = check(absorbed, {values({x})}, derivatives);
    BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
  }
  const auto step_with_slope = [](const Tensor& x) { return step(x).detach() + (x - x.detach()); };
  CHECK_VERDICT(check(step_with_slope, {values({1.3})}, derivatives), "FAIL");
  const auto dead_with_slope = [](const Tensor& x) { return relu(x) + (x - x.detach()); };
  CHECK_VERDICT(check(dead_with_slope, {values({-0.001})}, derivatives), "FAIL");
}

BOOST_AUTO_TEST_CASE(kinks) {
  const auto rectified = [](const Tensor& x) { return relu(x); };
  CHECK_VERDICT(check(rectified, {values({0})}), "KINK");
  CHECK_VERDICT(check(rectified, {values({4e-7})}), "PASS");
  CHECK_VERDICT(check(rectified, {values({-4e-7})}), "ZERO");
  CHECK_VERDICT(check(rectified, {values({0, 4e-7, -4e-7, 1})}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return abs(x - 1); }, {values({1, 1 + 1e-6, 3})}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return max(x); }, {values({3, 3, 1, 3, 3})}), "KINK");
  CHECK_VERDICT(check([](const Tensor& x) { return clamp(x, -1, 1); }, {values({-1, 1, 0.5})}), "PASS");
  // Where only the second derivative jumps, the first is as certain as anywhere.
  CHECK_VERDICT(check([](const Tensor& y, const Tensor& t) { return huber_loss(y, t); },
                      {values({1, 2}), values({0, 0.5})}),
                "PASS");
  // A zero is a convention at a kink, a two is not.
  CHECK_VERDICT(check([](const Tensor& x) { return abs(x) + 2 * x - (2 * x).detach(); }, {values({0})}),
                "FAIL");
}

BOOST_AUTO_TEST_CASE(sizes) {
  const auto f = [](const Tensor& x) { return tanh(x); };
  CHECK_VERDICT(check(f, {Tensor::zeros({0}, f64)}, {.order = 2}), "ZERO");
  CHECK_VERDICT(check(f, {Tensor::zeros({3, 0, 2}, f64)}, {.order = 2}), "ZERO");
  CHECK_VERDICT(check(f, {Tensor::scalar(0.3, f64)}, {.order = 2}), "PASS");
  CHECK_VERDICT(check(f, {some({97, 103})}, {.order = 2}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return sum(x); }, {some({97, 103})}, {.order = 2}), "PASS");
  CHECK_VERDICT(check([](const Tensor& x) { return sum(x * 0); }, {some({5})}), "ZERO");
}

BOOST_AUTO_TEST_CASE(single_precision) {
  const auto gram = [](const Tensor& t) { return tanh(matmul(t, t, {.transpose_b = true})); };
  const Tensor t = some({3, 2}, -1, 1);
  CHECK_VERDICT(check(gram, {cast(t, f32)}), "PASS");  // in double
  const Report r = check(gram, {cast(t, f32)}, {.in_double = false});
  BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
}

BOOST_AUTO_TEST_CASE(random_with_a_fixed_seed) {
  const auto masked = [](const Tensor& x) {
    Generator g(5);
    return x * bernoulli(x.shape(), g, 0.5, x.dtype());
  };
  CHECK_VERDICT(check(masked, {some({20})}), "PASS");
  Generator shared(5);
  const auto drifting = [&](const Tensor& x) { return x * bernoulli(x.shape(), shared, 0.5, x.dtype()); };
  CHECK_VERDICT(check(drifting, {some({20})}), "FAIL");
}

// ---- what is checked of what ----

BOOST_AUTO_TEST_CASE(several_inputs) {
  const auto f = [](const Tensor& x, const Tensor& w, const Tensor& b) { return sigmoid(affine(x, w, b)); };
  const Report r = check(f, {some({4, 3}), some({3, 2}), some({2})}, {.order = 2, .names = {"x", "w", "b"}});
  CHECK_VERDICT(r, "PASS");
  // 3 inputs; at order 2 the incoming gradient besides.
  BOOST_TEST(r.tallies().size() == 7u);
  for (const auto& t : r.tallies()) BOOST_TEST(t.pass > 0u, t.name);
}

BOOST_AUTO_TEST_CASE(constants_and_integers) {
  const auto loss = [](const Tensor& x, const Tensor& labels) { return softmax_with_loss(x, labels); };
  const Tensor labels = Tensor::from({2, 0, 1}, i64);
  CHECK_VERDICT(check(loss, {some({3, 4}), labels}, {.order = 2}), "PASS");
  const auto product = [](const Tensor& a, const Tensor& b) { return a * b.detach(); };
  CHECK_VERDICT(check(product, {some({3}), some({3})}, {.constants = {1}}), "PASS");
  CHECK_VERDICT(check(product, {some({3}), some({3}, 1, 2)}), "FAIL");
  BOOST_CHECK_EXCEPTION(check([](const Tensor& x) { return x; }, {labels}), DtypeError,
                        test::mentions("integers have no gradient"));
  BOOST_CHECK_THROW(check(product, {some({3}), some({3})}, {.constants = {0, 1}}), DtypeError);
  CHECK_VERDICT(check([](const Tensor& x) { return argmax(x); }, {some({3})}), "FAIL");
}

BOOST_AUTO_TEST_CASE(bad_arguments) {
  const auto f = [](const Tensor& a, const Tensor& b) { return a + b; };
  BOOST_CHECK_THROW(check(f, {some({2}), Tensor()}), ArgumentError);
  BOOST_CHECK_THROW(check(f, {some({2}), some({2})}, {.rtol = 0}), ArgumentError);
  BOOST_CHECK_THROW(check(f, {some({2}), some({2})}, {.order = 4}), ArgumentError);
  const Report r = check(f, {some({2}), some({3})});
  CHECK_VERDICT(r, "FAIL");
  BOOST_TEST(r.text().find("do not broadcast") != std::string::npos, r.text());
  CHECK_VERDICT(check(f, {some({2})}), "FAIL");
}

BOOST_AUTO_TEST_CASE(under_a_tape_of_the_caller) {
  Tape tape;
  const Tensor x = tape.watch(some({3}));
  const Tensor y = x * x;
  const std::size_t nodes = tape.size();
  CHECK_VERDICT(check([](const Tensor& t) { return exp(t); }, {x}), "PASS");
  BOOST_TEST(tape.size() == nodes);
  BOOST_TEST(tape.active());
  BOOST_TEST(y.tracked());
}

BOOST_AUTO_TEST_CASE(inputs_are_left_alone) {
  const Tensor x = some({50});
  const std::vector<double> before = x.to_vector<double>();
  check([](const Tensor& t) { return t * t; }, {x}, {.order = 2});
  BOOST_TEST(x.to_vector<double>() == before);
  BOOST_TEST(x.version() == some({50}).version());
}

// ---- ops ----

BOOST_AUTO_TEST_CASE(standings) {
  BOOST_TEST(name_of(checked<Twice>({.order = 2}).standing) == "PASS");
  BOOST_TEST(name_of(checked<WrongTwice>().standing) == "FAIL");
  BOOST_TEST(name_of(checked<OnlyAtZero>().standing) == "UNPROVEN");
  BOOST_TEST(name_of(checked<RecordedRounding>().standing) == "not differentiable");
  const auto once = checked<Once>({.order = 2});
  BOOST_TEST(name_of(once.standing) == "PASS");
  BOOST_TEST(once.order == 1);
}

BOOST_AUTO_TEST_CASE(elementwise_samples) {
  Samples s;
  s.elementwise(Twice{}, {{-1, 1}}, {0, 5});
  std::vector<std::int64_t> sizes;
  for (const auto& sample : s.all()) sizes.push_back(sample.inputs[0].shape.size());
  for (const std::int64_t n : {0, 1, 6, 7, 655, 1031}) BOOST_TEST(std::ranges::count(sizes, n) > 0, n);
  BOOST_TEST(s.all().back().inputs[0].values.to_vector<double>() == (std::vector<double>{0, 5}));

  const auto patterns = [](std::size_t operands) {
    Samples all;
    all.elementwise(Counted{}, std::vector<Domain>(operands));
    std::vector<std::vector<std::string>> seen;
    for (const auto& sample : all.all()) {
      std::vector<std::string> shapes;
      for (const SampleInput& in : sample.inputs) shapes.push_back(to_string(in.shape));
      BOOST_TEST((std::ranges::find(seen, shapes) == seen.end()));
      seen.push_back(shapes);
    }
    return seen;
  };
  const auto two = patterns(2), three = patterns(3);
  for (const char* a : {"[]", "[1]", "[3]", "[1, 3]", "[2, 1]", "[1, 1]"}) {
    BOOST_TEST((std::ranges::find(two, std::vector<std::string>{a, "[2, 3]"}) != two.end()), a);
    BOOST_TEST((std::ranges::find(two, std::vector<std::string>{"[2, 3]", a}) != two.end()), a);
  }
  for (const char* a : {"[]", "[1, 3]", "[2, 1]"})
    for (const char* b : {"[]", "[1, 3]", "[2, 1]", "[2, 3]"})
      BOOST_TEST((std::ranges::find(three, std::vector<std::string>{a, b, "[2, 3]"}) != three.end()), a << b);
}

// ---- modules ----

BOOST_AUTO_TEST_CASE(modules) {
  Generator g(1);
  nn::Sequential net{nn::Affine(4, 5, g), nn::Relu(), nn::BatchNorm(5), nn::Dropout(0.3, g),
                     nn::Affine(5, 3, g)};
  const auto before = net.state();
  const Tensor x = some({6, 4}), t = Tensor::from({0, 1, 2, 2, 1, 0}, i64);
  const auto loss = [&](const Tensor& in, const Tensor& labels) {
    return softmax_with_loss(net(in), labels);
  };
  const Report r = check_module(net, loss, {x, t}, {.order = 2});
  CHECK_VERDICT(r, "PASS");
  std::vector<std::string> names;
  for (const auto& tally : r.tallies())
    if (tally.order == 1) names.push_back(tally.name);
  BOOST_TEST(names == (std::vector<std::string>{"0.weight", "0.bias", "2.gamma", "2.beta", "4.weight",
                                                "4.bias", "input 0"}),
             boost::test_tools::per_element());
  // All is as before: values, buffers, dtypes.
  const auto after = net.state();
  BOOST_REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    BOOST_TEST(after[i].first == before[i].first);
    BOOST_REQUIRE(after[i].second.dtype() == before[i].second.dtype());
    visit_dtype(after[i].second.dtype(), [&]<class T> {
      BOOST_TEST(after[i].second.to_vector<T>() == before[i].second.to_vector<T>(),
                 boost::test_tools::per_element());
    });
  }
  for (const auto& [name, p] : net.parameters()) BOOST_TEST(!p.frozen(), name);
}

// A shift before a batch normalisation changes nothing: what is computed as its gradient is rounding.
BOOST_AUTO_TEST_CASE(a_bias_without_influence) {
  for (const gradcheck::Mode mode : {gradcheck::Mode::automatic, gradcheck::Mode::fast})
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      Generator g(seed);
      nn::Sequential net{nn::Affine(4, 6, g), nn::BatchNorm(6), nn::Tanh(), nn::Affine(6, 3, g)};
      const Report r = check_module(net, some({7, 4}, -2, 2, seed), {.order = 2, .mode = mode, .seed = seed});
      BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
      for (const auto& t : r.tallies())
        if (t.name == "0.bias" && t.order == 1) BOOST_TEST((t.pass == 0 && t.zero > 0));
    }
}

BOOST_AUTO_TEST_CASE(dropout_continues_where_it_was) {
  Generator g(1);
  nn::Dropout a(0.5, 9), b(0.5, 9);
  CHECK_VERDICT(check_module(a, some({4, 5})), "PASS");
  const Tensor x = cast(some({100}), f32);
  BOOST_TEST(a(x).to_vector<float>() == b(x).to_vector<float>(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(wrong_modules) {
  Generator g(1);
  Forgetful forgetful(g);
  const Report r = check_module(forgetful, some({4, 3}));
  CHECK_VERDICT(r, "FAIL");
  BOOST_TEST(r.text().find("weight[") != std::string::npos, r.text());
  for (auto& [name, p] : forgetful.parameters()) p.freeze();
  CHECK_VERDICT(check_module(forgetful, some({4, 3})), "PASS");  // a constant now, and not checked
  BOOST_CHECK_THROW(
      check_module(forgetful, [&](const Tensor& in) { return forgetful(in); }, {Tensor::from({1}, i64)}),
      DtypeError);
}

BOOST_AUTO_TEST_CASE(shared_parameters) {
  Generator g(1);
  Tied tied(g);
  const Report r = check_module(tied, some({4, 3}), {.order = 2});
  CHECK_VERDICT(r, "PASS");
  BOOST_TEST((tied.first_.weight() == tied.second_.weight()));
  std::size_t inputs = 0;
  for (const auto& tally : r.tallies()) inputs += tally.order == 1;
  BOOST_TEST(inputs == 3u);  // weight, bias, x
}

// Central differences in double through a whole network at its usual size.
BOOST_AUTO_TEST_CASE(the_two_layer_network) {
  Generator g(42);
  nn::Sequential net{nn::Affine(784, 50, g), nn::Relu(), nn::Affine(50, 10, g)};
  const Tensor x = uniform({10, 784}, g, 0, 1), t = integers({10}, g, 0, 10);
  const auto loss = [&](const Tensor& in, const Tensor& labels) {
    return softmax_with_loss(net(in), labels);
  };
  const Options options{.rtol = 1e-7, .elements = 300, .constants = {0}, .properties = false};
  const Report r = check_module(net, loss, {x, t}, options);
  CHECK_VERDICT(r, "PASS");
  BOOST_TEST(r.count(Verdict::kink) == 0u);
  BOOST_TEST(r.count(Verdict::pass) >= 1000u, r.text());
  BOOST_TEST(r.worst().relative_error() < 1e-7, r.text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_test
