// What the checking command writes: JSON, JUnit, files.

#include <filesystem>
#include <set>
#include <sstream>

#include <boost/property_tree/xml_parser.hpp>

#include "gradcheck_support.h"

namespace gradcheck_formats_test {

using namespace test_gradcheck;

BOOST_AUTO_TEST_SUITE(gradcheck_formats)

BOOST_AUTO_TEST_CASE(json) {
  const Json bad =
      results_of(catalog_of<Twice, Once, WrongTwice, OnlyAtZero, FarSine, MarkedFarSine, Hostile>(
                     {{"affine", affine}, {"forgetful", forgetful}}),
                 {"--order", "2"});
  BOOST_TEST(bad["summary"]["pass"] == 4);
  BOOST_TEST(bad["summary"]["fail"] == 3);
  BOOST_TEST(bad["summary"]["unproven"] == 1);
  BOOST_TEST(bad["summary"]["inconclusive"] == 1);
  BOOST_TEST(bad["summary"]["undecided_samples"] == 1);
  BOOST_TEST(bad["summary"]["checked"] == 9);
  const Json& wrong = bad["subjects"][2];
  BOOST_TEST(wrong["name"] == "wrong_twice");
  BOOST_TEST(wrong["verdict"] == "FAIL");
  BOOST_TEST(wrong["samples"][0]["findings"][0]["analytic"] == 3);
  BOOST_TEST(wrong["samples"][2]["hints"][0] == "analytic = 1.5 x numeric");
  BOOST_TEST(bad["subjects"][8]["kind"] == "module");
  BOOST_TEST(bad["subjects"][3]["unproven"].size() == 1u);
  results_of(catalog_of<Detached>(), {"--shard", "1/2", "--strict"});
}

BOOST_AUTO_TEST_CASE(junit) {
  namespace pt = boost::property_tree;
  const Catalog c =
      catalog_of<Twice, WrongTwice, OnlyAtZero, FarSine, MarkedFarSine, Hostile>({{"affine", affine}});
  for (const bool strict : {false, true}) {
    const Outcome o = run(c, strict ? std::vector<std::string>{"--format", "junit", "--strict"}
                                    : std::vector<std::string>{"--format", "junit"});
    std::istringstream in(o.out);
    pt::ptree tree;
    pt::read_xml(in, tree);
    const pt::ptree& suites = tree.get_child("testsuites");
    std::size_t tests = 0, failures = 0, skipped = 0, count = 0;
    for (const auto& [tag, suite] : suites) {
      if (tag != "testsuite") continue;
      ++count;
      Names names;
      std::size_t its_tests = 0, its_failures = 0, its_skipped = 0;
      for (const auto& [inner, test] : suite) {
        if (inner != "testcase") continue;
        ++its_tests;
        BOOST_TEST(names.insert(test.get<std::string>("<xmlattr>.name")).second);
        its_failures += test.count("failure");
        its_skipped += test.count("skipped");
      }
      BOOST_TEST(suite.get<std::size_t>("<xmlattr>.tests") == its_tests);
      BOOST_TEST(suite.get<std::size_t>("<xmlattr>.failures") == its_failures);
      BOOST_TEST(suite.get<std::size_t>("<xmlattr>.skipped") == its_skipped);
      const std::string name = suite.get<std::string>("<xmlattr>.name");
      BOOST_TEST(its_failures == (name == "wrong_twice"                 ? 5u
                                  : name == "twice" || name == "affine" ? 0u
                                  : name == "marked_far_sine"           ? (strict ? 1u : 0u)
                                                                        : 1u),
                 name);
      tests += its_tests, failures += its_failures, skipped += its_skipped;
    }
    BOOST_TEST(count == 7u);
    BOOST_TEST(suites.get<std::size_t>("<xmlattr>.tests") == tests);
    BOOST_TEST(suites.get<std::size_t>("<xmlattr>.failures") == failures);
    BOOST_TEST(suites.get<std::size_t>("<xmlattr>.skipped") == skipped);
    BOOST_TEST(skipped == (strict ? 0u : 1u));
    // Markup and what is no character in a name and a message.
    BOOST_TEST(contains(o.out, "name=\"#0 &lt;&amp;&quot;'&gt;]]&gt;??\xc3\xa9&#10; [2]\""));
    BOOST_TEST(contains(o.out, "repeat: check --repro &quot;wrong_twice#0:seed=0&quot;"));
    BOOST_TEST(contains(o.out, "hint: analytic = 1.5 x numeric"));
  }
}

BOOST_AUTO_TEST_CASE(output_file) {
  const test::TemporaryFolder folder;
  const std::string file = folder / "results";
  test::write_file(file, "before");
  const Catalog c = catalog_of<Twice, WrongTwice>();
  // Nothing is written where nothing is checked.
  BOOST_TEST(code(c, {"--output", file, "--op", "nothing"}) == 2);
  BOOST_TEST(code(c, {"--output", file, "--repro", "twice#999"}) == 2);
  BOOST_TEST(test::read_file(file) == "before");
  const Outcome json = run(c, {"--output", file, "--format", "json"});
  BOOST_TEST(json.code == 1);
  BOOST_TEST(contains(json.out, "\nwrong_twice"));
  BOOST_TEST(Json::parse(test::read_file(file))["subjects"].size() == 2u);
  const Outcome table = run(c, {"--output", file});
  BOOST_TEST(test::read_file(file) == table.out);
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_formats_test
