#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/sanitizers.h>

/// Every call of malloc and its like in a test program, counted, and failed where a test asks for it. operator new
/// and the library's blocks end there as well.
///
/// The sanitizers bring an allocator of their own, and storage is not reused under them: nothing is counted, nothing
/// fails.
#define TAPEGRAD_COUNT_ALLOCATIONS (!TAPEGRAD_ASAN && !TAPEGRAD_TSAN)

namespace tapegrad::test {

/// Calls so far that asked for memory, of all threads.
std::uint64_t allocations() noexcept;
/// Pieces of memory that were given and not yet given back.
std::int64_t live_allocations() noexcept;

enum class Failing { once, from_there_on };

/// While it lives, the `number`th call from now on, of any thread, finds no memory; and, if asked, all that follow.
class FailingAllocations {
 public:
  FailingAllocations(std::uint64_t number, Failing failing) noexcept;
  ~FailingAllocations();
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;
  /// Whether that call has come.
  bool reached() const noexcept;
};

}  // namespace tapegrad::test
