// That the checker can fail: it finds mutations of the rules. That it looks at everything there is shows
// gradcheck_coverage_test.cpp.

#include <algorithm>
#include <set>

#include <tapegrad/gradcheck/mutation/self_test.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <boost/test/unit_test.hpp>

#include "gradcheck_support.h"
#include "sample_support.h"

namespace gradcheck_proofs_test {

using namespace tapegrad;
using gradcheck::Catalog;
using gradcheck::MutationResult;
using gradcheck::Subject;
using test_gradcheck::catalog_of;
using test_gradcheck::code;
using test_gradcheck::Cube;
using Status = MutationResult::Status;

namespace {

// ---- ops whose samples are not good enough ----

struct CubeAtOne : Cube {  // where x, x^2 and 1 are the same
  static constexpr auto name = "cube_at_one";
  static void samples(Samples& s) { s.add(CubeAtOne{}, {SampleInput::of(Tensor::from({1}, f64))}); }
};
struct Twin : Cube {  // one shape in both places is never tried
  static constexpr auto name = "twin";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn0);
  auto f(auto a, auto b) const { return a * b; }
  auto vjp0(auto g, auto, auto b, auto) const { return g * b; }
  auto vjp1(auto g, auto a, auto, auto) const { return g * a; }
  static void samples(Samples& s) { s.add(Twin{}, {Shape{2, 3}, Shape{3}}); }
};
struct Excused : Cube {
  static constexpr auto name = "excused";
  static constexpr Waiver waiver{.from_order = 2, .reason = "its second derivative is somebody else's"};
  auto vjp(auto g, auto x, auto) const { return 3 * g * x * x; }
  Tensor vjp(Tensor g, Tensor x, auto) const { return 3 * g * x.detach() * x.detach(); }
  static void samples(Samples& s) { s.unary(Excused{}, {1, 2}); }
};
struct ExcusedInVain : Cube {
  static constexpr auto name = "excused_in_vain";
  static constexpr Waiver waiver{.from_order = 1, .reason = "none"};
  static void samples(Samples& s) { s.unary(ExcusedInVain{}, {1, 2}); }
};
struct ExcusedTooLate : Cube {
  static constexpr auto name = "excused_too_late";
  static constexpr Waiver waiver{.from_order = 2, .reason = "none"};
  auto vjp(auto g, auto x, auto) const { return 4 * g * x * x; }
  static void samples(Samples& s) { s.unary(ExcusedTooLate{}, {1, 2}); }
};

struct SquareWithResidual {  // its fused rule reads 2 x from a residual, the general one x
  static constexpr auto name = "square_with_residual";
  static constexpr auto saves = saves_for(kIn0 | kResidual0);
  Tensor forward(const Tensor& x, Residuals<1>& r) const {
    r[0] = mul(x, 2);
    return mul(x, x);
  }
  static void vjp(VjpContext<SquareWithResidual>& ctx) {
    ctx.add(0, mul(mul(ctx.grad_output(), ctx.input<0>()), 2));
  }
  static void vjp_fused(VjpContext<SquareWithResidual>& ctx) {
    ctx.add(0, mul(ctx.grad_output(), ctx.residual<0>()));
  }
  static void samples(Samples& s) { s.add(SquareWithResidual{}, {Shape{3}}); }
};

template <class Op>
std::vector<MutationResult> self_tested(const std::vector<gradcheck::EquivalentMutation>& equivalents = {}) {
  return gradcheck::self_test(catalog_of<Op>().ops()[0], {}, equivalents);
}

constexpr std::size_t kFirstOp = test::kSampled ? 2 : 0, kEveryOp = test::every(12);  // mul and others

/// What became of all mutations of the library's ops, made once for all the cases.
const std::vector<MutationResult>& library_mutations() {
  static const std::vector<MutationResult> all = [] {
    std::vector<MutationResult> results;
    const std::vector<Catalog::Op>& ops = gradcheck::library_catalog().ops();
    for (std::size_t i = kFirstOp; i < ops.size(); i += kEveryOp)
      for (MutationResult& p : gradcheck::self_test(ops[i], {}, gradcheck::library_catalog().equivalents()))
        results.push_back(std::move(p));
    return results;
  }();
  return all;
}

const MutationResult& named(const std::vector<MutationResult>& all, const std::string& name) {
  const auto found = std::ranges::find(all, name, &MutationResult::mutation);
  BOOST_REQUIRE_MESSAGE(found != all.end(), name);
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_proofs)

BOOST_AUTO_TEST_CASE(every_mutation_of_the_library_is_found) {
  std::size_t killed = 0, equivalent = 0;
  std::set<std::string> kinds;
  for (const MutationResult& p : library_mutations()) {
    killed += p.status == Status::killed;
    equivalent += p.status == Status::equivalent;
    BOOST_TEST((p.status == Status::killed || p.status == Status::equivalent),
               p.op << ": " << p.mutation << ": " << name_of(p.status));
    BOOST_TEST(!p.explanation.empty(), p.op << ": " << p.mutation);
    // A list of equivalent mutations has globs: each name must stand for itself there.
    BOOST_TEST(p.mutation.find_first_of("*?[\\") == std::string::npos, p.op << ": " << p.mutation);
    if (p.status == Status::killed) kinds.insert(p.mutation);
  }
  BOOST_TEST(killed > (test::kSampled ? 125u : 3000u));
  BOOST_TEST(equivalent < 140u);
  for (const char* kind : {"zero",
                           "negated",
                           "doubled",
                           "scaled by 1 + 1e-6",
                           "one zeroed",
                           "swapped with another input's",
                           "transposed",
                           "not summed",
                           "averaged where it should be summed",
                           "overwrites",
                           "changes the incoming gradient",
                           "off by one",
                           "from stale saved values",
                           "without its mean",
                           "in single precision",
                           "detached, as recorded",
                           "zero, by the general rule",
                           "overwrites, as recorded",
                           "from what the last forward pass left",
                           "scaled by 1 + 1e-3 in f32",
                           "doubled where some inputs need no gradient",
                           "the whole for each of equal elements",
                           "the whole for each of equal elements, by every rule",
                           "doubled, by every rule"})
    BOOST_TEST(kinds.count(kind) == 1u, kind);
  if (!test::kSampled) BOOST_TEST(kinds.count("from stale residuals") == 1u);
}

BOOST_AUTO_TEST_CASE(every_equivalent_mutation_is_one) {
  if (test::kSampled) return;
  for (const gradcheck::EquivalentMutation& e : gradcheck::library_catalog().equivalents())
    BOOST_TEST(std::ranges::any_of(library_mutations(),
                                   [&](const MutationResult& p) {
                                     return p.op == e.op && p.status == Status::equivalent &&
                                            p.explanation == e.reason;
                                   }),
               e.op << ": " << e.mutation);
}

BOOST_AUTO_TEST_CASE(nothing_is_found_where_nothing_is_altered) {
  std::size_t formulas = 0;
  for (const MutationResult& p : library_mutations()) {
    if (p.mutation != "none: the formula as observed") continue;
    ++formulas;
    BOOST_TEST((p.status == Status::killed), p.op);
  }
  BOOST_TEST(formulas >= (test::kSampled ? 2u : 42u));
}

BOOST_AUTO_TEST_CASE(samples_that_are_not_good_enough) {
  for (const MutationResult& p : self_tested<Cube>()) BOOST_TEST((p.status == Status::killed), p.mutation);
  // x * x for x: no difference at 1.
  BOOST_TEST((named(self_tested<CubeAtOne>(), "right of mul omitted, mul 2").status != Status::killed));
  BOOST_TEST((named(self_tested<Twin>(), "swapped with another input's").status == Status::no_effect));
  BOOST_TEST(code(catalog_of<Cube>(), {"--self-test"}) == 0);
  BOOST_TEST(code(catalog_of<Cube, CubeAtOne>(), {"--self-test"}) == 4);
  BOOST_TEST(code(catalog_of<Cube, CubeAtOne>(), {"--self-test", "--op", "cube", "-v"}) == 0);
}

BOOST_AUTO_TEST_CASE(stale_values_and_residuals) {
  const auto all = self_tested<SquareWithResidual>();
  BOOST_TEST((named(all, "from stale residuals").status == Status::killed));
  BOOST_TEST((named(all, "from stale saved values").status == Status::no_effect));
  for (const char* rule : {", by the general rule", ", as recorded"}) {
    BOOST_TEST((named(all, std::string("from stale residuals") + rule).status == Status::no_effect));
    BOOST_TEST((named(all, std::string("from stale saved values") + rule).status == Status::killed));
  }
}

BOOST_AUTO_TEST_CASE(equivalent_mutations_are_listed_with_reasons) {
  const std::vector<gradcheck::EquivalentMutation> list{{"twin", "swapped*", "there is one shape only"},
                                                        {"twin", "doubled", "it is not"}};
  const auto all = self_tested<Twin>(list);
  BOOST_TEST((named(all, "swapped with another input's").status == Status::equivalent));
  BOOST_TEST(named(all, "swapped with another input's").explanation == "there is one shape only");
  BOOST_TEST((named(all, "doubled").status == Status::not_equivalent));
  BOOST_TEST((named(all, "negated").status == Status::killed));
}

BOOST_AUTO_TEST_CASE(waivers) {
  const auto checked = [](const Catalog& c, int order) {
    return gradcheck::check_op(c.ops()[0], {.order = order, .properties = false, .recorded = false});
  };
  const Subject excused = checked(catalog_of<Excused>(), 2);
  BOOST_TEST(name_of(excused.standing) == "WAIVED");
  BOOST_TEST(excused.waived == "from order 2: its second derivative is somebody else's");
  BOOST_TEST(name_of(checked(catalog_of<Excused>(), 1).standing) == "PASS");
  BOOST_TEST(name_of(checked(catalog_of<ExcusedInVain>(), 1).standing) == "UNPROVEN");
  BOOST_TEST(name_of(checked(catalog_of<ExcusedTooLate>(), 2).standing) == "FAIL");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_proofs_test
