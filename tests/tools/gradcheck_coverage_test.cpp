// That the checker looks at everything there is in the library. With TAPEGRAD_TEST_SHARD=i/n it looks at the i-th part,
// as ctest runs it (tests/CMakeLists.txt), else at the whole. gradcheck_gaps_test.cpp shows that parts find together
// what the whole finds.

#include <cstdlib>
#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include <tapegrad/gradcheck/check/coverage.h>
#include <tapegrad/gradcheck/command.h>
#include <tapegrad/nn/layers/activations.h>

#include <boost/test/unit_test.hpp>

#include "folders.h"
#include "sample_support.h"
#include "support.h"

namespace gradcheck_coverage_test {

using namespace tapegrad;
using gradcheck::Catalog;
using gradcheck::Coverage;
using gradcheck::Shard;
using gradcheck::Subject;

namespace {

Shard shard() {
  const char* text = std::getenv("TAPEGRAD_TEST_SHARD");
  return text ? gradcheck::parse_shard(text) : Shard{};
}
/// What of the shard is looked at with every instruction set: of a sample the others run with that of this processor.
Shard surveyed() { return {shard().index, shard().count * static_cast<int>(test::every(24))}; }

const Coverage& library_coverage() {
  static const Coverage kCoverage = gradcheck::coverage_of(gradcheck::library_catalog(), {}, surveyed());
  return kCoverage;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_coverage)

BOOST_AUTO_TEST_CASE(everything_is_covered) {
  const Coverage& c = library_coverage();
  for (const std::string& gap : c.gaps) BOOST_ERROR(gap);
  BOOST_TEST(c.covered == c.variants);
  BOOST_TEST(c.ops > 0u);
  BOOST_TEST(c.variants > c.ops * c.instruction_sets.size());
}

BOOST_AUTO_TEST_CASE(all_others_pass_with_one_instruction_set) {
  if (!test::kSampled) return;  // there are no others
  const Catalog& catalog = gradcheck::library_catalog();
  const gradcheck::Options options{.order = 1, .mode = gradcheck::Mode::fast};
  std::size_t place = 0, checked = 0;
  const auto is_left = [&] {
    const bool left = shard().has(place) && !surveyed().has(place);
    ++place;
    checked += left;
    return left;
  };
  const auto require = [](const Subject& s, Subject::Standing standing) {
    BOOST_TEST((s.standing == standing), s.name << ": " << name_of(s.standing));
  };
  for (const Catalog::Op& op : catalog.ops())
    if (is_left())
      require(check_op(op, options),
              op.max_order > 0 ? Subject::Standing::pass : Subject::Standing::not_differentiable);
  for (const Catalog::Module& m : catalog.modules())
    if (is_left()) require(check_module_samples(m, options), Subject::Standing::pass);
  BOOST_TEST(checked > library_coverage().ops + library_coverage().modules);
}

// Every kernel that can share its work does so for some sample, so that the comparison of two threads with one is
// more than one of a run with itself. Left are passes of which one thread does all the work there is.
BOOST_AUTO_TEST_CASE(two_threads_run_every_kernel) {
  // They hand on what they are given: a cast does so in f64, in which threads are compared here. For casts to another
  // dtype parallel_test.cpp compares them. Code of scalars is the user's own.
  const std::set<std::string> serial_ops{"reshape", "cast", "scalar_function", "scalar_function_gradient"};
  const std::set<std::string> serial_rules{"add", "add.scalar"};
  const auto is_known = [&](const std::string& pass) {
    const std::string op = pass.substr(0, pass.find(':'));
    return serial_ops.contains(op) || pass == "prod: first-order rule" ||
           (serial_rules.contains(op) && pass.ends_with(" rule"));
  };
  const Coverage& c = library_coverage();
  for (const std::string& pass : c.unshared)
    if (!is_known(pass)) BOOST_ERROR(pass << ": no sample is large enough for two threads");
  BOOST_TEST(c.shared > c.ops * c.instruction_sets.size());
}

// A layer that nobody has entered into the catalogue is found by its declaration.
BOOST_AUTO_TEST_CASE(every_layer_is_checked) {
  std::set<std::string> listed;
  for (const Catalog::Module& m : gradcheck::library_catalog().modules()) listed.insert(m.name);
  // A template is none itself: the classes that derive from it are.
  const std::regex declared("(>\\n)?class TAPEGRAD_API (\\w+) (?:final )?: public (?:Module|\\w*Layer<)");
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(test::in_source("nn/layers"))) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = test::read_file(entry.path());
    for (std::sregex_iterator m(text.begin(), text.end(), declared), end; m != end; ++m) {
      if ((*m)[1].matched) continue;
      const std::string name = (*m)[2];
      ++found;
      BOOST_TEST(listed.count("nn." + name) == 1u,
                 "nn." << name << " is not in the catalogue of the checker");
    }
  }
  BOOST_TEST(found >= 7u);
  // Activations are the rows of a table, of which the catalogue is made as well.
  BOOST_TEST(listed.size() >= found + nn::activation_names().size());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_coverage_test
