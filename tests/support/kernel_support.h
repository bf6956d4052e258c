#pragma once

#include <cstring>
#include <vector>

#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "op_support.h"

namespace tapegrad::test {

/// The instruction sets that kernels are compiled for and that this processor has.
inline std::vector<tapegrad::detail::Isa> usable_isas() {
  std::vector<tapegrad::detail::Isa> all(tapegrad::detail::kIsas.begin(), tapegrad::detail::kIsas.end());
  std::erase_if(all, [](tapegrad::detail::Isa i) { return !tapegrad::detail::is_usable(i); });
  return all;
}

/// f() with the loops of each of them.
template <class F>
void for_each_isa(F&& f) {
  const tapegrad::detail::Isa before = tapegrad::detail::isa();
  for (const tapegrad::detail::Isa isa : usable_isas()) {
    tapegrad::detail::set_isa(isa);
    BOOST_TEST_CONTEXT(tapegrad::detail::name_of(tapegrad::detail::isa())) f();
  }
  tapegrad::detail::set_isa(before);
}

/// That f(), which gives tensors, gives the same bits with 1, 2 and 4 threads.
template <class F>
void check_bits_for_threads(F&& f) {
  const int before = threads();
  set_threads(1);
  const std::vector<Tensor> expected = f();
  for (const int n : {2, 4}) {
    set_threads(n);
    const std::vector<Tensor> got = f();
    BOOST_TEST_REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      BOOST_TEST_REQUIRE(to_string(got[i].shape()) == to_string(expected[i].shape()));
      const auto bytes = static_cast<std::size_t>(got[i].size()) * size_of(got[i].dtype());
      BOOST_TEST(std::memcmp(tapegrad::detail::TensorAccess::data(got[i]),
                             tapegrad::detail::TensorAccess::data(expected[i]), bytes) == 0,
                 "result " << i << " differs with " << n << " threads");
    }
  }
  set_threads(before);
}

}  // namespace tapegrad::test
