// The self-test of a user's program: its report, and the mutations that it says make no difference.

#include <algorithm>
#include <set>

#include <tapegrad/gradcheck/mutation/self_test.h>
#include <tapegrad/graph/result_hook.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "gradcheck_support.h"

namespace gradcheck_mutations_test {

using namespace test_gradcheck;
using gradcheck::EquivalentMutation;

namespace {

/// x + y: both gradients are one.
struct Sum {
  static constexpr auto name = "my_sum";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone);
  auto f(auto x, auto y) const { return x + y; }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto, auto, auto) const { return g; }
  static void samples(Samples& s) {
    for (const Shape& shape : {Shape{2, 3}, Shape{3}, Shape{}}) s.add(Sum{}, {Shape{2, 3}, shape});
  }
};
const EquivalentMutation kSwapped{"my_sum", "swapped*", "both gradients are the incoming one"};

/// x * y.
struct Product : Sum {
  static constexpr auto name = "my_product";
  static constexpr auto saves = saves_for(kIn1, kIn0);
  auto f(auto x, auto y) const { return x * y; }
  auto vjp0(auto g, auto, auto y, auto) const { return g * y; }
  auto vjp1(auto g, auto x, auto, auto) const { return g * x; }
  static void samples(Samples& s) {
    for (const Shape& shape : {Shape{2, 3}, Shape{3}, Shape{}}) s.add(Product{}, {Shape{2, 3}, shape});
  }
};

/// The largest element of a vector; equal ones share its gradient.
template <bool kWithTies>
struct Largest {
  static constexpr auto name = "my_largest";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static Tensor forward(const Tensor& x) { return max(x); }
  static Tensor branches(std::span<const Tensor* const> in) { return equal(*in[0], max(*in[0])); }
  static void vjp(VjpContext<Largest>& ctx) {
    const Tensor where = cast(equal(ctx.template input<0>(), ctx.output()), ctx.input_dtype(0));
    ctx.add(0, mul(ctx.grad_output(), div(where, sum(where))));
  }
  static void samples(Samples& s) {
    s.add(Largest{}, {SampleInput::distinct(Shape{5})});
    if (kWithTies) s.convention(Largest{}, {{2, 1, 2}}, {{0.5, 0, 0.5}});
  }
};

/// x * x + x J, for matrices with two columns: dx = 2 g x + g J^T.
template <bool kWithNothing>
struct Saddle {
  static constexpr auto name = "my_saddle";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor j() { return Tensor::from({{0, 2}, {1, 1}}, f64); }
  static Tensor forward(const Tensor& x) { return add(mul(x, x), matmul(x, cast(j(), x.dtype()))); }
  static void vjp(VjpContext<Saddle>& ctx) {
    const Tensor x = ctx.template input<0>(), g = ctx.grad_output();
    const Tensor jt = cast(transpose(j()), x.dtype());
    Tensor all = add(mul(mul(g, x), 2), matmul(g, jt));
    if (kWithNothing) all = add(all, mul(x, 0));
    ctx.add(0, all);
  }
  static void samples(Samples& s) {
    s.add(Saddle{}, {Shape{2, 2}});
    s.add(Saddle{}, {Shape{3, 2}});
  }
};

/// x * x, whose rule has a sum where x is large alone.
struct SumWhereLarge {
  static constexpr auto name = "my_sum_where_large";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(x, x); }
  static void vjp(VjpContext<SumWhereLarge>& ctx) {
    const Tensor x = ctx.input<0>(), gx = mul(ctx.grad_output(), x);
    const Tensor value = cast(x.detach(), f64);
    ctx.add(0, value.values<double>()[0] > 1.5 ? add(gx, gx) : mul(gx, 2));
  }
  static void samples(Samples& s) { s.add(SumWhereLarge{}, {SampleInput(Shape{1}, Domain{1, 2})}); }
};

/// x * x, whose rule may have another product before its own two.
template <bool kMore>
struct TermBefore {
  static constexpr auto name = "my_term_before";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(x, x); }
  static void vjp(VjpContext<TermBefore>& ctx) {
    const Tensor x = ctx.template input<0>(), g = ctx.grad_output();
    Tensor all = kMore ? mul(mul(x, x), g) : Tensor();
    if (kMore) all = sub(all, mul(mul(x, g), x));
    const Tensor own = add(mul(mul(g, 0.5), x), mul(mul(g, 1.5), x));
    ctx.add(0, kMore ? add(own, all) : own);
  }
  static void samples(Samples& s) { s.add(TermBefore{}, {Shape{3}}); }
};

/// 2 x, called as operations of the library that take two inputs.
template <int kWhich>
struct OwnOperation : Twice {
  static constexpr auto name = kWhich == 0 ? "add" : kWhich == 1 ? "sub" : kWhich == 2 ? "mul" : "div";
  static void samples(Samples& s) { s.add(OwnOperation{}, {Shape{3}}); }
};
/// x * x, by these.
template <int kWhich>
struct ByOwnOperation {
  static constexpr auto name = "my_square";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(x, x); }
  static void vjp(VjpContext<ByOwnOperation>& ctx) {
    ctx.add(0, apply_op(OwnOperation<kWhich>{}, mul(ctx.grad_output(), ctx.template input<0>())));
  }
  static void samples(Samples& s) { s.add(ByOwnOperation{}, {Shape{3}}); }
};

/// x * x, whose rule throws.
struct ThrowingRule : SumWhereLarge {
  static constexpr auto name = "throwing_rule";
  static void vjp(VjpContext<ThrowingRule>&) { throw ArgumentError("no rule"); }
  static void samples(Samples& s) { s.add(ThrowingRule{}, {Shape{2}}); }
};
struct EmptyDomain : Twice {
  static constexpr auto name = "empty_domain";
  static void samples(Samples& s) { s.add(EmptyDomain{}, {SampleInput(Shape{2}, Domain{1, 0})}); }
};

std::string status_in(const std::vector<gradcheck::MutationResult>& all, const std::string& mutation) {
  const auto found = std::ranges::find(all, mutation, &gradcheck::MutationResult::mutation);
  return found == all.end() ? "" : std::string(name_of(found->status));
}
template <class Op>
std::string status_of(const std::string& mutation, const gradcheck::Options& options = {}) {
  return status_in(gradcheck::self_test(catalog_of<Op>().ops()[0], options, {}), mutation);
}

Json self_test_of(const Catalog& catalog, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--self-test", "--format", "json"});
  const Outcome o = run(catalog, arguments);
  const Json all = Json::parse(o.out);
  const Json schema =
      Json::parse(test::read_file(test::in_source("tools/gradcheck/report/self_test.schema.json")));
  for (const std::string& violation : test::Schema(schema).violations(all)) BOOST_ERROR(violation);
  BOOST_TEST(all["summary"]["exit_code"] == o.code);
  return all;
}

Catalog with(Catalog catalog, const std::vector<EquivalentMutation>& equivalents) {
  for (const EquivalentMutation& e : equivalents) catalog.add_equivalent(e);
  return catalog;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_mutations)

BOOST_AUTO_TEST_CASE(the_report_as_json) {
  const Catalog c = catalog_of<Twice, Detached, OnlyAtZero>();
  const Json all = self_test_of(c, {"--seed", "3"});
  BOOST_TEST(all["options"]["seed"] == 3);
  BOOST_TEST(all["summary"]["checked"] == 3);
  BOOST_TEST(all["summary"]["exit_code"] == 4);
  BOOST_TEST(all["subjects"][1]["mutations"].size() == 0u);
  std::size_t count = 0;
  for (const Json& subject : all["subjects"]) count += subject["mutations"].size();
  BOOST_TEST(all["summary"]["mutations"] == count);
  const Json& first = all["subjects"][0]["mutations"][1];
  BOOST_TEST(first["mutation"] == "zero");
  BOOST_TEST(first["status"] == "killed");
  BOOST_TEST(contains(first["explanation"].get<std::string>(), "FAIL: order 1"));
  BOOST_TEST(self_test_of(catalog_of<Twice>(), {})["summary"]["exit_code"] == 0);
  BOOST_TEST(self_test_of(catalog_of<OnlyAtZero, Twice>(), {"--fail-fast"})["summary"]["stopped"] == true);
  // In a file, beside the table.
  const test::TemporaryFolder folder;
  const Outcome o = run(c, {"--self-test", "--format", "json", "--output", folder / "self_test.json"});
  BOOST_TEST(contains(o.out, " mutations in 2 ops: "));
  BOOST_TEST(Json::parse(test::read_file(folder / "self_test.json"))["summary"]["mutations"] == count);
  BOOST_TEST(code(c, {"--self-test", "--format", "junit"}) == 2);
}

BOOST_AUTO_TEST_CASE(a_program_gives_its_equivalents) {
  BOOST_TEST(code(catalog_of<Sum>(), {"--self-test"}) == 4);
  const Json right = self_test_of(with(catalog_of<Sum>(), {kSwapped}), {});
  BOOST_TEST(right["summary"]["exit_code"] == 0);
  BOOST_TEST(right["summary"]["equivalent"] == 4);
  // What is listed and found.
  const Json found = self_test_of(with(catalog_of<Sum>(), {kSwapped, {"my_sum", "doubled", "none"}}), {});
  BOOST_TEST(found["summary"]["exit_code"] == 4);
  BOOST_TEST(found["summary"]["not_equivalent"] == 1);
  BOOST_TEST(found["summary"]["unmatched"] == 0);
  const char* arguments[] = {"mine", "--self-test"};
  const test::TemporaryFolder folder;
  Captured out(stdout, folder / "out");
  const int listed =
      gradcheck::gradcheck_main<TypeList<Sum>>(2, arguments, kSwapped, Catalog::Module{"one", affine});
  const int unlisted = gradcheck::gradcheck_main<TypeList<Sum>>(2, arguments, Catalog::Module{"one", affine});
  const std::string text = out.end();
  BOOST_TEST(listed == 0, text);
  BOOST_TEST(unlisted == 4);
}

// An entry that nothing is called by, be it by its op or its mutation, is told once, whatever its globs are.
BOOST_AUTO_TEST_CASE(equivalents_that_match_nothing) {
  const EquivalentMutation both{"my_s*", "swapped*", "both gradients are the incoming one"};
  BOOST_TEST(self_test_of(with(catalog_of<Sum, Cube>(), {both}), {})["summary"]["exit_code"] == 0);
  for (const EquivalentMutation& wrong : {EquivalentMutation{"my_sum", "dubled", "none"},
                                          {"my_*", "dubled", "none"},
                                          {"*", "dubled*", "none"},
                                          {"your_sum", "swapped*", "none"}}) {
    const Catalog c = with(catalog_of<Sum, Cube>(), {kSwapped, wrong});
    const Json all = self_test_of(c, {});
    BOOST_TEST(all["summary"]["exit_code"] == 4);
    BOOST_TEST(all["summary"]["unmatched"] == 1);
    BOOST_TEST_REQUIRE(all["unmatched"].size() == 1u);
    BOOST_TEST(all["unmatched"][0]["op"] == wrong.op);
    BOOST_TEST(all["unmatched"][0]["mutation"] == wrong.mutation);
    BOOST_TEST(all["summary"]["not_equivalent"] == 0);
    BOOST_TEST(
        contains(run(c, {"--self-test"}).out, "and there is none: " + wrong.op + ": " + wrong.mutation));
    // What is not tested may be called so; an op that does not exist is not.
    const Json part = self_test_of(c, {"--op", "cube"});
    BOOST_TEST(part["summary"]["unmatched"] == (wrong.op == "your_sum" ? 1 : 0));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_tested) {
  const Catalog c = catalog_of<Throwing, ThrowingRule, EmptyDomain, Twice>();
  const Json all = self_test_of(c, {});
  BOOST_TEST(all["summary"]["exit_code"] == 4);
  const auto is_one_error = [&](const Json& mutations, const char* name, std::string_view explanation) {
    BOOST_TEST_REQUIRE(mutations.size() == 1u);
    BOOST_TEST(mutations[0]["mutation"] == name);
    BOOST_TEST(mutations[0]["status"] == "ERROR");
    BOOST_TEST(contains(mutations[0]["explanation"].get<std::string>(), explanation), mutations[0]);
  };
  const Json& subjects = all["subjects"];
  is_one_error(subjects[0]["mutations"], "samples", "there are none");
  is_one_error(subjects[1]["mutations"], "mutations", "no rule");
  const Json& without_elements = subjects[2]["mutations"];
  BOOST_TEST(without_elements.size() > 10u);
  for (const Json& m : without_elements) {
    BOOST_TEST(m["status"] == "ERROR", m);
    BOOST_TEST(contains(m["explanation"].get<std::string>(), "is empty"), m);
  }
  BOOST_TEST(all["summary"]["error"] == 2u + without_elements.size());
  for (const Json& m : subjects[3]["mutations"]) BOOST_TEST(m["status"] == "killed", m);
  // An entry for what was not tested may be right.
  BOOST_TEST(self_test_of(with(c, {{"throwing_rule", "swapped*", "none"}}), {})["summary"]["unmatched"] == 0);
}

BOOST_AUTO_TEST_CASE(equal_elements) {
  // Wherever an op chooses, samples need equal elements; elsewhere they need not.
  const std::string whole = "the whole for each of equal elements, by every rule";
  BOOST_TEST(status_of<Largest<false>>(whole) == "NO EFFECT");
  BOOST_TEST(status_of<Largest<true>>(whole) == "killed");
  BOOST_TEST(status_of<Twice>(whole) == "");
  const auto& ops = gradcheck::library_catalog().ops();
  for (const char* name : {"max", "min", "maximum", "minimum"}) {
    const auto op = std::ranges::find(ops, name, &Catalog::Op::name);
    BOOST_TEST_REQUIRE((op != ops.end()));
    BOOST_TEST(status_in(gradcheck::self_test(*op, {}, {}), whole) == "killed", name);
  }
}

BOOST_AUTO_TEST_CASE(what_only_some_checks_can_find) {
  BOOST_TEST(status_of<Product>("scaled by 1 + 1e-3 in f32") == "killed");
  BOOST_TEST(status_of<Product>("scaled by 1 + 1e-3 in f32", {.f32 = false}) != "killed");
  for (const char* rule : {"", ", by the general rule", ", as recorded", ", by every rule"}) {
    BOOST_TEST(status_of<Product>(std::string("doubled where some inputs need no gradient") + rule) ==
               "killed");
    BOOST_TEST(status_of<Product>(std::string("from what the last forward pass left") + rule) == "killed");
    BOOST_TEST(status_of<Largest<true>>(std::string("from what the last forward pass left") + rule) ==
               "killed");
  }
  // It reads nothing that a pass could leave.
  BOOST_TEST(status_of<Sum>("from what the last forward pass left") == "");
}

BOOST_AUTO_TEST_CASE(terms_of_rules_on_tensors) {
  const auto all = gradcheck::self_test(catalog_of<Saddle<false>>().ops()[0], {}, {});
  for (const char* fault :
       {"left of add omitted, add(mul.scalar(mul(g, x0)), matmul(g, permute(c)))",
        "right of add omitted, add(mul.scalar(mul(g, x0)), matmul(g, permute(c)))",
        "right of add negated, add(mul.scalar(mul(g, x0)), matmul(g, permute(c)))",
        "left of mul omitted, mul(g, x0)", "right of mul omitted, mul(g, x0)", "mul negated, mul(g, x0)",
        "right of mul.scalar omitted, mul.scalar(mul(g, x0))", "matmul negated, matmul(g, permute(c))",
        "matmul transposed, matmul(g, permute(c))"})
    BOOST_TEST(status_in(all, std::string(fault) + " of the rule, as recorded") == "killed", fault);
  BOOST_TEST(std::ranges::all_of(
      all, [](const auto& m) { return m.status == gradcheck::MutationResult::Status::killed; }));
  // A term that is nothing makes no difference, which has to be said.
  const std::string term =
      "right of add omitted, add(add(mul.scalar(mul(..)), matmul(g, permute(..))), mul.scalar(x0)) of the "
      "rule, as recorded";
  BOOST_TEST(status_in(all, term) == "");
  BOOST_TEST(status_of<Saddle<true>>(term) == "NO EFFECT");
}

// A term is called by what it computes, so that a change of a rule elsewhere does not give another its name.
BOOST_AUTO_TEST_CASE(terms_keep_their_names) {
  std::set<std::string> before, after;
  for (const auto& m : gradcheck::self_test(catalog_of<TermBefore<false>>().ops()[0], {}, {}))
    if (contains(m.mutation, " of the rule")) before.insert(m.mutation);
  for (const auto& m : gradcheck::self_test(catalog_of<TermBefore<true>>().ops()[0], {}, {}))
    if (contains(m.mutation, " of the rule")) after.insert(m.mutation);
  BOOST_TEST(before.contains("mul negated, mul(mul.scalar(g), x0) of the rule, as recorded"));
  BOOST_TEST(before.contains("mul negated, mul(mul.scalar(g), x0) #2 of the rule, as recorded"));
  BOOST_TEST(std::ranges::includes(after, before));
  BOOST_TEST(after.size() > before.size());
}

BOOST_AUTO_TEST_CASE(terms_are_those_at_the_samples_that_are_tested) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    seen.insert(status_of<SumWhereLarge>(
        "right of add omitted, add(mul(g, x0), mul(g, x0)) of the rule, as recorded", {.seed = seed}));
  BOOST_TEST((seen == std::set<std::string>{"", "killed"}));
}

template <int kWhich>
void require_no_terms_of_own() {
  const auto all = gradcheck::self_test(catalog_of<ByOwnOperation<kWhich>>().ops()[0], {}, {});
  BOOST_TEST(all.size() > 10u);
  for (const auto& m : all) {
    BOOST_TEST((m.status != gradcheck::MutationResult::Status::error), m.mutation << ": " << m.explanation);
    if (kWhich != 2)
      BOOST_TEST(!contains(m.mutation, std::string("of ") + OwnOperation<kWhich>::name), m.mutation);
  }
}

BOOST_AUTO_TEST_CASE(operations_that_are_called_like_others) {
  require_no_terms_of_own<0>();
  require_no_terms_of_own<1>();
  require_no_terms_of_own<2>();  // beside the library's of that name
  require_no_terms_of_own<3>();
}

BOOST_AUTO_TEST_CASE(what_a_hook_of_results_sees) {
  struct Names final : detail::ResultHook {
    std::vector<std::string> names;
    Tensor run(const detail::OpTable& op, std::span<const Tensor* const>, const Tensor& out) override {
      names.emplace_back(op.name);
      return op.name == std::string("matmul") ? mul(out, 2) : Tensor();  // itself not seen
    }
  };
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({{1, 2}, {3, 4}}, f64));
  Names hook;
  const Tensor y = sum(apply_op(Saddle<false>{}, x));
  BOOST_TEST(hook.names.empty());
  tape.grad(y, x, {{}, Record::no});
  BOOST_TEST(hook.names.empty());
  const Tensor g = tape.grad(y, x, {{}, Record::yes});
  BOOST_TEST(hook.names.size() >= 4u);
  // 2 x + 2 g J^T in place of 2 x + g J^T.
  BOOST_TEST(g.to_vector<double>() == (std::vector<double>{6, 8, 10, 12}), boost::test_tools::per_element());
  BOOST_TEST(g.tracked());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_mutations_test
