// What a user's functions, rules and samples throw, of whatever type: a finding that says where, listed once;
// the rest of the report is as it would be without.

#include <stdexcept>
#include <string>

#include <tapegrad/gradcheck/module.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "gradcheck_support.h"
#include "wrong_rules.h"

namespace checker_exceptions_test {

using namespace test_gradcheck;
using gradcheck::check;

namespace {

enum class Thrown { nothing, number, text, string, own, standard, nameless };
struct Own {};
struct Nameless : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
void throw_one(Thrown t) {
  switch (t) {
    case Thrown::number:
      throw 42;
    case Thrown::text:
      throw "some text";
    case Thrown::string:
      throw std::string("a string");
    case Thrown::own:
      throw Own{};
    case Thrown::standard:
      throw std::out_of_range("too far");
    case Thrown::nameless:
      throw Nameless{};
    case Thrown::nothing:
      break;
  }
}

/// x^2, some of whose rules throw.
struct Throws : SquareBase {
  static constexpr auto name = "throws";
  Thrown fused = Thrown::nothing, general = Thrown::nothing, recorded = Thrown::nothing,
         single = Thrown::nothing;
  bool counts = false;
  static void vjp(VjpContext<Throws>& ctx) {
    throw_one(ctx.recording() ? ctx.op().recorded : ctx.op().general);
    ctx.add(0, right_gradient(ctx));
  }
  static void vjp_fused(VjpContext<Throws>& ctx) {
    throw_one(ctx.op().fused);
    if (ctx.input_dtype(0) == f32) throw_one(ctx.op().single);
    static int calls = 0;
    if (ctx.op().counts) throw std::runtime_error("call " + std::to_string(++calls));
    ctx.add(0, right_gradient(ctx));
  }
};

/// x^3, whose rule uses an operation that throws when it is differentiated itself.
struct ThrowsAtOrder2 : Faulty {
  static constexpr auto name = "throws_at_order_2";
  static Tensor forward(const Tensor& x) { return mul(x, mul(x, x)); }
  static void vjp(VjpContext<ThrowsAtOrder2>& ctx) {
    Throws square;
    square.fused = Thrown::number;
    ctx.add(0, mul(mul(ctx.grad_output(), 3), apply_op(square, ctx.input<0>())));
  }
};

/// x^4, likewise one order further on.
struct ThrowsAtOrder3 : Faulty {
  static constexpr auto name = "throws_at_order_3";
  static Tensor forward(const Tensor& x) { return mul(mul(x, x), mul(x, x)); }
  static void vjp(VjpContext<ThrowsAtOrder3>& ctx) {
    ctx.add(0, mul(mul(ctx.grad_output(), 4), apply_op(ThrowsAtOrder2{}, ctx.input<0>())));
  }
};

struct ThrowsNumber : Twice {
  static constexpr auto name = "throws_number";
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return x * x; }
  template <class T>
  auto vjp(T g, auto, auto) const {
    throw 42;
    return g;
  }
  static void samples(Samples& s) { small_samples<ThrowsNumber>(s); }
};
struct NumberForSamples : Twice {
  static constexpr auto name = "number_for_samples";
  static void samples(Samples&) { throw 42; }
};
std::vector<gradcheck::ModuleSample> number_for_modules(Generator&) { throw 42; }

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_exceptions)

BOOST_AUTO_TEST_CASE(which_rule_has_thrown) {
  struct Case {
    Throws op;
    std::string line;
  };
  const auto with = [](auto&& set) {
    Throws op;
    set(op);
    return op;
  };
  const std::vector<Case> cases{
      {with([](Throws& t) { t.fused = Thrown::number; }),
       "FAIL: order 1, gradient, threw: in the rule of throws: an exception of type int: 42\n"},
      {with([](Throws& t) { t.general = Thrown::text; }),
       "FAIL: order 1, gradient by the general rule, threw: in the rule of throws: an exception of type char "
       "const*: some text\n"},
      {with([](Throws& t) { t.recorded = Thrown::string; }),
       "FAIL: order 1, gradient as recorded, threw: in the rule of throws: an exception of type std::string: "
       "a string\n"},
      {with([](Throws& t) { t.general = t.recorded = Thrown::standard; }),
       "FAIL: order 1, gradient by the general rule and gradient as recorded, threw: in the rule of throws: "
       "too far\n"},
      {with([](Throws& t) { t.fused = t.general = t.recorded = Thrown::own; }),
       "FAIL: order 1, gradient by every rule, threw: in the rule of throws: an exception of type "},
      {with([](Throws& t) { t.fused = Thrown::nameless; }), "without a message\n"},
      {with([](Throws& t) { t.single = Thrown::number; }),
       "FAIL: order 1, gradient, threw: f32 against f64: the rule of throws: an exception of type int: "
       "42\n"}};
  for (const Case& c : cases)
    for (const Mode mode : kModes) {
      const Report r = run({some({3})}, {.order = 2, .mode = mode}, c.op);
      CHECK_REJECTED(r);
      BOOST_TEST(contains(r.text() + "\n", c.line), r.text());
      BOOST_TEST(r.failures().size() == 1u, r.text());
    }
  const Report right = run({some({3})}, {.order = 2}, Throws{});
  BOOST_TEST(right.ok(), right.text());
}

BOOST_AUTO_TEST_CASE(a_rule_that_says_something_else_each_time) {
  Throws counts;
  counts.counts = true;
  const Report r = run({some({3})}, {.order = 2}, counts);
  CHECK_REJECTED(r);
  BOOST_TEST(r.failures().size() == 1u, r.text());
}

BOOST_AUTO_TEST_CASE(which_order_has_thrown) {
  BOOST_TEST(run<ThrowsAtOrder2>({some({3})}).ok());
  const Report r = run<ThrowsAtOrder2>({some({3})}, {.order = 2});
  CHECK_REJECTED(r);
  BOOST_TEST(mentions(r,
                      "FAIL: order 2, gradient, threw: f32 against f64: the rule of throws: an exception of "
                      "type int: 42"),
             r.text());
  BOOST_TEST(r.failures().size() == 1u, r.text());
}

BOOST_AUTO_TEST_CASE(rules_that_throw_at_order_3) {
  for (const Mode mode : kModes) {
    const Report r = run<ThrowsAtOrder3>({some({3})}, {.order = 3, .mode = mode});
    BOOST_TEST(mentions(r, "FAIL: order 3"), r.text());
    BOOST_TEST(r.failures().size() == 1u, r.text());
    BOOST_TEST((run<ThrowsAtOrder3>({some({3})}, {.order = 2, .mode = mode}).ok()));
  }
}

BOOST_AUTO_TEST_CASE(functions_that_throw) {
  for (const Thrown t :
       {Thrown::number, Thrown::text, Thrown::string, Thrown::own, Thrown::standard, Thrown::nameless}) {
    const Report r = check(
        [&](const Tensor& x) {
          throw_one(t);
          return square(x);
        },
        {some({3})}, {.order = 2});
    CHECK_REJECTED(r);
    BOOST_TEST(r.failures().size() == 1u, r.text());
    BOOST_TEST(r.failures()[0].what == "function");
  }
  // Outside of the function's domain, where the checker moves the point to, it may.
  const Report domain = check(
      [](const Tensor& x) {
        if (sum(x).item() < 5.5) throw ArgumentError("only from 5.5 on");
        return square(x);
      },
      {Tensor::from({1, 2, 3}, f64)});
  BOOST_TEST(domain.count(Verdict::fail) == 0u, domain.text());
}

// The command's report holds all the others.
BOOST_AUTO_TEST_CASE(the_report_is_complete) {
  const Catalog c = catalog_of<Twice, ThrowsNumber, NumberForSamples, Once>(
      {{"affine", affine}, {"number_for_modules", number_for_modules}});
  for (const char* threads : {"1", "3"}) {
    const Json all = results_of(c, {"--threads", threads, "--order", "2"});
    BOOST_TEST(all["summary"]["exit_code"] == 1);
    BOOST_TEST(all["summary"]["checked"] == 6);
    BOOST_TEST(all["summary"]["pass"] == 3);
    BOOST_TEST(all["summary"]["fail"] == 3);
    const Json& rule = all["subjects"][1]["samples"][2]["findings"];
    BOOST_TEST_REQUIRE(rule.size() == 1u);
    BOOST_TEST(rule[0]["what"] == "gradient by every rule");
    BOOST_TEST(rule[0]["message"] == "in the rule of throws_number: an exception of type int: 42");
    for (const std::size_t subject : {std::size_t{2}, std::size_t{5}})
      BOOST_TEST(all["subjects"][subject]["samples"][0]["findings"][0]["message"] ==
                 "an exception of type int: 42");
    BOOST_TEST(code(c, {"--threads", threads, "--format", "junit"}) == 1);
  }
  const Outcome self_test = run(c, {"--self-test", "--op", "number_for_samples"});
  BOOST_TEST(self_test.code == 4);
  BOOST_TEST(contains(self_test.out, "  samples: ERROR, an exception of type int: 42\n"), self_test.out);
  BOOST_TEST(code(c, {"--coverage"}) == 5);
  BOOST_TEST(code(c, {"--list"}) == 6);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_exceptions_test
