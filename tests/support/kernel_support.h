#pragma once

#include <cstring>
#include <vector>

#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "op_support.h"

namespace tapegrad::test {

/// The instruction sets that kernels are compiled for and that this processor has.
inline std::vector<detail::Isa> usable_isas() {
  std::vector<detail::Isa> all(detail::kIsas.begin(), detail::kIsas.end());
  std::erase_if(all, [](detail::Isa i) { return !detail::is_usable(i); });
  return all;
}

/// f() with the loops of each of them.
template <class F>
void for_each_isa(F&& f) {
  const detail::Isa before = detail::isa();
  for (const detail::Isa isa : usable_isas()) {
    detail::set_isa(isa);
    BOOST_TEST_CONTEXT(detail::name_of(detail::isa())) f();
  }
  detail::set_isa(before);
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
      BOOST_TEST(std::memcmp(detail::TensorAccess::data(got[i]), detail::TensorAccess::data(expected[i]),
                             bytes) == 0,
                 "result " << i << " differs with " << n << " threads");
    }
  }
  set_threads(before);
}

}  // namespace tapegrad::test
