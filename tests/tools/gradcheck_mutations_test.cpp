// The self-test of a user's program: its report, and the mutations that it says make no difference.

#include <algorithm>

#include <tapegrad/gradcheck/mutation/self_test.h>
#include <tapegrad/graph/result_hook.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "gradcheck_support.h"

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
  // What is listed and found, and what nothing is called by.
  for (const EquivalentMutation& wrong :
       {EquivalentMutation{"my_sum", "doubled", "none"}, EquivalentMutation{"my_sum", "dubled", "none"}}) {
    const Json all = self_test_of(with(catalog_of<Sum>(), {kSwapped, wrong}), {});
    BOOST_TEST(all["summary"]["exit_code"] == 4);
    BOOST_TEST(all["summary"]["not_equivalent"] == 1);
  }
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
       {"left of add omitted, add 1", "right of add omitted, add 1", "right of add negated, add 1",
        "left of mul omitted, mul 1", "right of mul omitted, mul 1", "mul negated, mul 1",
        "right of mul_scalar omitted, mul_scalar 1", "matmul negated, matmul 1",
        "matmul transposed, matmul 1"})
    BOOST_TEST(status_in(all, std::string(fault) + " of the rule, as recorded") == "killed", fault);
  BOOST_TEST(std::ranges::all_of(
      all, [](const auto& m) { return m.status == gradcheck::MutationResult::Status::killed; }));
  // A term that is nothing makes no difference, which has to be said.
  const std::string term = "right of add omitted, add 2 of the rule, as recorded";
  BOOST_TEST(status_in(all, term) == "");
  BOOST_TEST(status_of<Saddle<true>>(term) == "NO EFFECT");
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
