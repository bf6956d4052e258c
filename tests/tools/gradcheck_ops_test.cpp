// Every op and module of the library against finite differences.

#include <tapegrad/gradcheck/catalog.h>

#include <boost/test/unit_test.hpp>

#include "sample_support.h"

namespace gradcheck_ops_test {

using namespace tapegrad;
using gradcheck::Subject;

namespace {

void require_pass(const Subject& s, bool differentiable) {
  BOOST_TEST_CONTEXT(s.name) {
    for (const Subject::Sample& sample : s.samples) {
      BOOST_TEST_CONTEXT(sample.label) {
        for (const auto& f : sample.report.listed())
          if (f.verdict == gradcheck::Verdict::fail || sample.unexpectedly_inconclusive())
            BOOST_ERROR(to_string(f));
      }
    }
    for (const std::string& line : s.unproven) BOOST_ERROR(line);
    BOOST_TEST(!s.samples.empty());
    BOOST_TEST(
        (s.standing == (differentiable ? Subject::Standing::pass : Subject::Standing::not_differentiable)));
  }
}

// Of a sample, gradcheck_coverage runs every op and module: differences along every coordinate are enough for some.
constexpr std::size_t kEvery = test::every(30);

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_ops)

BOOST_AUTO_TEST_CASE(every_op_at_orders_1_and_2) {
  const auto& ops = gradcheck::library_catalog().ops();
  for (std::size_t i = 0; i < ops.size(); i += kEvery)
    require_pass(gradcheck::check_op(ops[i], {.order = 2}), ops[i].max_order > 0);
}

BOOST_AUTO_TEST_CASE(every_module_at_orders_1_and_2) {
  const auto& modules = gradcheck::library_catalog().modules();
  for (std::size_t i = 0; i < modules.size(); i += kEvery)
    require_pass(gradcheck::check_module_samples(modules[i], {.order = 2}), true);
}

// These take minutes for all: every few are enough here, and none of a sample.
BOOST_AUTO_TEST_CASE(some_ops_exhaustively) {
  if (test::kSampled) return;
  const auto& ops = gradcheck::library_catalog().ops();
  for (std::size_t i = 3; i < ops.size(); i += 7)
    require_pass(gradcheck::check_op(ops[i], {.order = 2, .mode = gradcheck::Mode::exhaustive}),
                 ops[i].max_order > 0);
}

BOOST_AUTO_TEST_CASE(some_ops_at_order_3) {
  if (test::kSampled) return;
  const auto& ops = gradcheck::library_catalog().ops();
  for (std::size_t i = 4; i < ops.size(); i += 9)
    require_pass(gradcheck::check_op(ops[i], {.order = 3}), ops[i].max_order > 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_ops_test
