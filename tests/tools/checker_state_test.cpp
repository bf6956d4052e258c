// Functions, modules and rules that give something else when they are run again: found before anything else,
// called that, and once.

#include <utility>

#include <tapegrad/gradcheck/module.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/neural/dropout.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "gradcheck_support.h"
#include "wrong_rules.h"

namespace checker_state_test {

using namespace test_gradcheck;
using gradcheck::check;
using gradcheck::check_module;

namespace {

/// What a module may keep beside its parameters.
enum class Keeps { nothing, count, last_input, mean, generator };

class Stateful final : public nn::Module {
 public:
  Stateful(Keeps keeps, bool listed) : affine_(3, 2, rng_), keeps_(keeps), listed_(listed) {}
  void visit(nn::Visitor& v) override {
    v("affine", affine_);
    if (listed_) v("state", state_), v("rng", rng_);
  }
  Tensor forward(const Tensor& x) override { return mul(affine_(x), next_scale(x)); }

 private:
  double next_scale(const Tensor& x) {
    const auto set = [&](double value) { state_ = nn::Buffer(Tensor::full({}, value, x.dtype())); };
    double scale = 1;
    switch (keeps_) {
      case Keeps::nothing:
        break;
      case Keeps::count:
        scale = 1 + state();
        set(state() + 1);
        break;
      case Keeps::last_input:  // of the last call: the same as long as nothing moves
        scale = 1 + state();
        set(mean(x.detach()).item());
        break;
      case Keeps::mean:
        set(0.9 * state() + 0.1 * mean(x.detach()).item());
        scale = 1 + state();
        break;
      case Keeps::generator:
        scale = 1 + rng_.uniform();
        break;
    }
    return scale;
  }
  double state() const { return state_.defined() ? state_.item() : 0; }

  Generator rng_{3};
  nn::Affine affine_;
  nn::Buffer state_{Tensor::full({}, 0.5)};
  Keeps keeps_;
  bool listed_;
};

/// x^2, whose rule draws a mask of its own.
struct RandomRule : SquareBase {
  static constexpr auto name = "random_rule";
  bool random = true;
  static void vjp(VjpContext<RandomRule>& ctx) {
    static Generator g(1);
    Generator fixed(1);
    ctx.add(0,
            mul(right_gradient(ctx), 1 + 1e-3 * (ctx.op().random ? g : fixed).uniform() * ctx.op().random));
  }
};

/// x^2, whose rule gives another sum each time it runs, as if terms were added in the order in which threads end.
struct UnorderedSum : SquareBase {
  static constexpr auto name = "unordered_sum";
  double apart = 0, factor = 1;
  static void vjp(VjpContext<UnorderedSum>& ctx) {
    static int runs = 0;
    ctx.add(0, mul(right_gradient(ctx), ctx.op().factor * (1 + ctx.op().apart * (++runs % 2))));
  }
};

void check_called(const Report& r, std::string_view what, std::string_view message) {
  CHECK_REJECTED(r);
  BOOST_TEST_REQUIRE(r.failures().size() == 1u, r.text());
  BOOST_TEST(r.failures()[0].what == what);
  BOOST_TEST(mentions(r, message), r.text());
  BOOST_TEST(r.listed().size() == 1u, r.text());
}

std::vector<gradcheck::ModuleSample> counting(Generator&) {
  std::vector<gradcheck::ModuleSample> all;
  all.push_back({"unlisted", std::make_unique<Stateful>(Keeps::count, false), {Shape{4, 3}}});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_state)

BOOST_AUTO_TEST_CASE(state_that_visit_does_not_name) {
  for (const Mode mode : kModes) {
    for (const Keeps keeps : {Keeps::count, Keeps::mean, Keeps::generator}) {
      Stateful unlisted(keeps, false);
      check_called(check_module(unlisted, some({4, 3}), {.order = 2, .mode = mode}), "state or randomness",
                   "that visit() does not list");
    }
    Stateful last(Keeps::last_input, false);
    check_called(check_module(last, some({4, 3}), {.mode = mode}), "state or randomness",
                 "visit() does not list");
    for (const Keeps keeps : {Keeps::nothing, Keeps::count, Keeps::last_input, Keeps::generator}) {
      Stateful listed(keeps, true);
      const Report right = check_module(listed, some({4, 3}), {.order = 2, .mode = mode});
      BOOST_TEST(right.ok(), right.text());
    }
  }
}

BOOST_AUTO_TEST_CASE(functions_with_state) {
  const std::vector<Tensor> in{some({5})};
  for (const Mode mode : kModes) {
    Generator shared(5);
    check_called(check([&](const Tensor& x) { return dropout(x, 0.5, shared); }, in, {.mode = mode}),
                 "state or randomness", "draws random numbers without a seed");
    double calls = 0;
    check_called(
        check([&](const Tensor& x) { return mul(square(x), 1 + ++calls * 1e-15); }, in, {.mode = mode}),
        "state or randomness", "keeps state from call to call");
    // Nothing changes as long as nothing moves.
    double last = in[0].to_vector<double>()[0];
    const auto memory = [&](const Tensor& x) {
      const double before = std::exchange(last, x.to_vector<double>()[0]);
      return mul(square(x), before);
    };
    check_called(check(memory, in, {.mode = mode}), "state", "after a call with other inputs");
    const Report right = check(
        [](const Tensor& x) {
          Generator own(5);
          return dropout(square(x), 0.2, own);
        },
        in, {.order = 2, .mode = mode, .seed = 3});
    BOOST_TEST(right.count(Verdict::fail) == 0u, right.text());
  }
}

BOOST_AUTO_TEST_CASE(rules_with_state) {
  for (const Mode mode : kModes) {
    check_called(run<RandomRule>({some({5})}, {.mode = mode}), "state or randomness, gradient",
                 "a rule draws random numbers");
    const Report right = run({some({5})}, {.order = 2, .mode = mode}, RandomRule{{}, false});
    BOOST_TEST(right.ok(), right.text());
  }
}

BOOST_AUTO_TEST_CASE(gradients_that_repeat_within_a_tolerance) {
  const std::vector<Tensor> in{some({5})};
  const UnorderedSum right{{}, 1e-13};
  for (const Mode mode : kModes) {
    check_called(run(in, {.mode = mode}, right), "state or randomness, gradient", "by nondet_tol");
    const Report r = run(in, {.order = 2, .mode = mode, .nondet_tol = 1e-11}, right);
    BOOST_TEST(r.ok(), r.text());
    // More than the tolerance, and what is wrong beside it.
    check_called(run(in, {.mode = mode, .nondet_tol = 1e-11}, UnorderedSum{{}, 1e-9}),
                 "state or randomness, gradient", "other bits");
    CHECK_REJECTED(run(in, {.mode = mode, .nondet_tol = 1e-11}, UnorderedSum{{}, 1e-13, 1.001}));
    CHECK_REJECTED(run(in, {.mode = mode, .nondet_tol = 1}, UnorderedSum{{}, 0, 1.001}));
    // The function itself is no gradient.
    double calls = 0;
    check_called(check([&](const Tensor& x) { return mul(square(x), 1 + ++calls * 1e-15); }, in,
                       {.mode = mode, .nondet_tol = 1e-6}),
                 "state or randomness", "keeps state from call to call");
  }
  BOOST_CHECK_THROW(run(in, {.nondet_tol = -1}, right), ArgumentError);
}

BOOST_AUTO_TEST_CASE(in_the_command) {
  const Json all = results_of(catalog_of<Twice>({{"counting", counting}}), {});
  BOOST_TEST(all["summary"]["pass"] == 1);
  const Json& findings = all["subjects"][1]["samples"][0]["findings"];
  BOOST_TEST_REQUIRE(findings.size() == 1u);
  BOOST_TEST(findings[0]["what"] == "state or randomness");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_state_test
