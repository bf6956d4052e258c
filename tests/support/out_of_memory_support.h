#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "allocation_support.h"

/// Work that is tried with each of its calls for memory failing.
namespace tapegrad::test {

/// The bytes of all tensors, to be compared.
inline std::vector<std::byte> bytes_of(const nn::State& state) {
  std::vector<std::byte> all;
  for (const auto& [name, t] : state)
    visit_dtype(t.dtype(), [&]<class T> {
      const auto bytes = std::as_bytes(t.values<T>());
      all.insert(all.end(), bytes.begin(), bytes.end());
    });
  return all;
}

/// Runs `make()()` with each of its calls for memory failing, once and from there on, and after an exception again
/// without failures. `result` of the object that make has returned must then be that of an undisturbed run, and no
/// memory may be lost. Returns the number of calls.
///
/// An object is made anew for each failure; its construction is not disturbed.
template <class Make>
std::uint64_t fail_each(Make make) {
  const detail::ThreadLimit one(1);  // so that each run asks for memory in the same order
  std::vector<std::byte> expected;
  for (int warm_up = 0; warm_up < 2; ++warm_up) {  // what is made once in a process is made
    auto run = make();
    run->go();
    expected = run->result();
  }
  std::uint64_t points = 0;
  for (const Failing failing : {Failing::once, Failing::from_there_on})
    for (std::uint64_t number = 1;; ++number) {
      trim();
      const std::int64_t before = live_allocations();
      bool reached = false;
      bool right = false;
      bool left_alone = false;
      std::string unknown;
      {
        auto run = make();
        trim();
        {
          bool failed = false;
          {
            const FailingAllocations memory(number, failing);
            try {
              run->go();
            } catch (const std::exception&) {
              failed = true;
            } catch (...) {
              unknown = "what was thrown is no std::exception";
            }
            reached = memory.reached();
          }
          left_alone = Tape::current() == nullptr;
          if (failed) run->go();
        }
        right = run->result() == expected;
      }
      trim();
      const std::int64_t lost = live_allocations() - before;
      BOOST_REQUIRE_MESSAGE(right && left_alone && lost == 0 && unknown.empty(),
                            "with call " << number << (failing == Failing::once ? "" : " and all that follow")
                                         << " failing: right " << right << ", no tape left " << left_alone
                                         << ", " << lost << " pieces of memory lost. " << unknown);
      if (!reached) break;
      ++points;
    }
  return points;
}

}  // namespace tapegrad::test
