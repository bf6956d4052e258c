// What the survey of a catalog finds missing, and that its shards find it together.

#include <set>
#include <string>

#include <tapegrad/gradcheck/check/coverage.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "gradcheck_support.h"

namespace gradcheck_gaps_test {

using namespace tapegrad;
using gradcheck::Catalog;
using gradcheck::Coverage;
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
struct Scaled {  // c x, tried for one c
  static constexpr auto name = "scaled";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  double c = 1;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return c * x; }
  auto vjp(auto g, auto, auto) const { return c * g; }
  static void samples(Samples& s) { s.unary(Scaled{.c = 2}, {-2, 2}); }
};
struct ScaledTwice : Scaled {
  static constexpr auto name = "scaled_twice";
  static void samples(Samples& s) {
    s.unary(ScaledTwice{{.c = 2}}, {-2, 2});
    s.add(ScaledTwice{{.c = -0.5}}, {Shape{3}});
  }
};
}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_gaps)

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
  BOOST_TEST(gaps(catalog_of<Scaled>()) == "scaled: its attribute 'c' is 2 in all samples");
  BOOST_TEST(gaps(catalog_of<ScaledTwice>()).empty());
  BOOST_TEST(code(catalog_of<WithoutSamples>(), {"--coverage"}) == 5);
  BOOST_TEST(code(catalog_of<Cube>(), {"--coverage"}) == 0);
}

BOOST_AUTO_TEST_CASE(shards_find_together_what_the_whole_finds) {
  Catalog c = catalog_of<Cube, WithoutSamples, Lists, AlwaysShifted>();
  c.add_module("nothing", [](Generator&) { return std::vector<gradcheck::ModuleSample>{}; });
  const Coverage whole = gradcheck::coverage_of(c, {});
  BOOST_TEST(whole.gaps.size() > 3u);
  for (const int count : {2, 7}) {
    std::set<std::string> gaps, unshared;
    Coverage sum;
    for (int i = 1; i <= count; ++i) {
      const Coverage part = gradcheck::coverage_of(c, {}, {i, count});
      gaps.insert(part.gaps.begin(), part.gaps.end());
      unshared.insert(part.unshared.begin(), part.unshared.end());
      sum.ops += part.ops, sum.modules += part.modules;
      sum.covered += part.covered, sum.variants += part.variants;
      BOOST_TEST(part.ops <= 4 / static_cast<std::size_t>(count) + 1);
    }
    BOOST_TEST(gaps == std::set<std::string>(whole.gaps.begin(), whole.gaps.end()),
               boost::test_tools::per_element());
    BOOST_TEST(unshared == std::set<std::string>(whole.unshared.begin(), whole.unshared.end()),
               boost::test_tools::per_element());
    BOOST_TEST(sum.ops == 4u);
    BOOST_TEST(sum.modules == 1u);
    BOOST_TEST(sum.covered == whole.covered);
    BOOST_TEST(sum.variants == whole.variants);
  }
  BOOST_TEST(code(c, {"--coverage", "--shard", "1/5"}) == 0);  // cube
  BOOST_TEST(code(c, {"--coverage", "--shard", "2/5"}) == 5);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_gaps_test
