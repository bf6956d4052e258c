// That the checker looks at everything there is.

#include <filesystem>
#include <regex>
#include <set>

#include <tapegrad/gradcheck/check/coverage.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "gradcheck_support.h"

using namespace tapegrad;
using gradcheck::Catalog;
using test_gradcheck::catalog_of;
using test_gradcheck::code;
using test_gradcheck::Cube;

namespace {

struct WithoutSamples : Cube {
  static constexpr auto name = "without_samples";
  static void samples(Samples&) {}
};
struct Unlisted : Cube {  // recorded by what another op computes
  static constexpr auto name = "unlisted";
};
struct UsesUnlisted {
  static constexpr auto name = "uses_unlisted";
  static constexpr bool is_composite = true;
  Tensor forward(std::span<const Tensor* const> in) const { return apply_op(Unlisted{}, *in[0]); }
};
struct Lists : Cube {
  static constexpr auto name = "lists";
  static void samples(Samples& s) {
    s.add(Lists{}, {Shape{3}});
    s.add(UsesUnlisted{}, {Shape{3}});
  }
};
struct AlwaysShifted {  // its optional input is never left out
  static constexpr auto name = "always_shifted";
  static constexpr auto saves = saves_for(kNone);
  static constexpr unsigned optional_inputs = 0b10;
  Tensor forward(const Tensor& x, const Tensor& shift) const {
    return shift.defined() ? add(x, shift) : mul(x, 1);
  }
  static void vjp(VjpContext<AlwaysShifted>& ctx) {
    for (std::size_t i = 0; i < 2; ++i) ctx.add(i, ctx.grad_output());
  }
  static void samples(Samples& s) { s.add(AlwaysShifted{}, {Shape{3}, Shape{3}}); }
};
const gradcheck::Coverage& library_coverage() {
  static const gradcheck::Coverage kCoverage = gradcheck::coverage_of(gradcheck::library_catalog(), {});
  return kCoverage;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_coverage)

BOOST_AUTO_TEST_CASE(everything_is_covered) {
  const gradcheck::Coverage& c = library_coverage();
  for (const std::string& gap : c.gaps) BOOST_ERROR(gap);
  BOOST_TEST(c.covered == c.variants);
  BOOST_TEST(c.variants > 250 * c.instruction_sets.size());
}

// Every kernel that can share its work does so for some sample, so that the comparison of two threads with one is
// more than one of a run with itself. Left are passes of which one thread does all the work there is.
BOOST_AUTO_TEST_CASE(two_threads_run_every_kernel) {
  const std::set<std::string> serial_ops{"cast",        "cumsum",       "reshape",  "gather",
                                         "scatter_add", "index_select", "index_add"};
  const std::set<std::string> serial_rules{"add", "add_scalar"};  // they hand the incoming gradient on
  const auto is_known = [&](const std::string& pass) {
    const std::string op = pass.substr(0, pass.find(':'));
    return serial_ops.contains(op) || pass == "prod: first-order rule" ||
           (serial_rules.contains(op) && pass.ends_with(" rule"));
  };
  const gradcheck::Coverage& c = library_coverage();
  for (const std::string& pass : c.unshared)
    if (!is_known(pass)) BOOST_ERROR(pass << ": no sample is large enough for two threads");
  BOOST_TEST(c.shared > 200 * c.instruction_sets.size());
}

BOOST_AUTO_TEST_CASE(what_is_not_covered) {
  const auto gaps = [](const Catalog& c) {
    return fmt::format("{}", fmt::join(gradcheck::coverage_of(c, {}).gaps, "\n"));
  };
  BOOST_TEST(gaps(catalog_of<Cube>()).empty());
  BOOST_TEST(gaps(catalog_of<WithoutSamples>()).find("without_samples: it has no samples") !=
             std::string::npos);
  BOOST_TEST(gaps(catalog_of<Lists>()).find("unlisted: recorded on a tape, and in no list") !=
             std::string::npos);
  const std::string shifted = gaps(catalog_of<AlwaysShifted>());
  BOOST_TEST(shifted.find("the general rule without its optional input 1 was never run") !=
             std::string::npos);
  BOOST_TEST(shifted.find("with its optional input") == std::string::npos);
  BOOST_TEST(code(catalog_of<WithoutSamples>(), {"--coverage"}) == 5);
  BOOST_TEST(code(catalog_of<Cube>(), {"--coverage"}) == 0);
}

// A layer that nobody has entered into the catalogue is found by its declaration.
BOOST_AUTO_TEST_CASE(every_layer_is_checked) {
  std::set<std::string> listed;
  for (const Catalog::Module& m : gradcheck::library_catalog().modules()) listed.insert(m.name);
  const std::regex declared("class TAPEGRAD_API (\\w+) (?:final )?: public (?:Module|Layer<)");
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(test::in_source("nn"))) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = test::read_file(entry.path());
    for (std::sregex_iterator m(text.begin(), text.end(), declared), end; m != end; ++m) {
      const std::string name = (*m)[1];
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
