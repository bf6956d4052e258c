// The self-test of a user's program: its report, and the mutations that it says make no difference.

#include <tapegrad/gradcheck/mutation/self_test.h>

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
  BOOST_TEST(right["summary"]["equivalent"] == 3);
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

BOOST_AUTO_TEST_SUITE_END()
