// Kernels of a file that is compiled with TAPEGRAD_ISA=base.

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/loops/dispatch.h>

#include <boost/test/unit_test.hpp>
#include <string_view>

namespace one_isa_test {

namespace {
/// A type of this file alone, so that functions for it are compiled here.
struct Number {};
const tapegrad::detail::GemmKernels<Number> kProducts{};
}  // namespace

}  // namespace one_isa_test

template <>
const tapegrad::detail::GemmKernels<one_isa_test::Number>&
tapegrad::detail::gemm_kernels_base<one_isa_test::Number>() noexcept {
  return one_isa_test::kProducts;
}

namespace one_isa_test {

using namespace tapegrad;
using detail::Isa;

namespace {

struct AddOne {
  static void run(int* to) { *to += 1; }
};
constexpr auto kVersions = detail::per_isa<AddOne, int*>();
auto* version(Isa isa) { return kVersions[static_cast<std::size_t>(isa)]; }

}  // namespace

BOOST_AUTO_TEST_SUITE(one_isa)

BOOST_AUTO_TEST_CASE(the_set_that_is_compiled_runs) {
  int calls = 0;
  version(Isa::base)(&calls);
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(others_are_refused_by_name) {
  int calls = 0;
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    const auto names_both = [&](const Error& e) {
      const std::string_view text = e.what();
      return text.find("TAPEGRAD_ISA=base") != text.npos && text.find(detail::name_of(isa)) != text.npos;
    };
    BOOST_CHECK_EXCEPTION(version(isa)(&calls), Error, names_both);
  }
  BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(products_are_those_of_the_set_and_refused_for_others) {
  const Isa at_start = detail::set_isa(Isa::base);
  BOOST_TEST(&detail::gemm_kernels<Number>() == &kProducts);
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    detail::set_isa(isa);
    if (detail::isa() == Isa::base) continue;  // the processor has no other
    const auto names_both = [&](const Error& e) {
      const std::string_view text = e.what();
      return text.find("TAPEGRAD_ISA=base") != text.npos &&
             text.find(detail::name_of(detail::isa())) != text.npos;
    };
    BOOST_CHECK_EXCEPTION(detail::gemm_kernels<Number>(), Error, names_both);
  }
  detail::set_isa(at_start);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace one_isa_test
