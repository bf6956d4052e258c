#pragma once

#include <cstddef>
#include <cstdint>

/// Every call of malloc and its like in a test program, counted, and failed where a test asks for it. operator new and the
/// library's blocks end there as well.
///
/// The sanitizers bring an allocator of their own, and storage is not reused under them: nothing is counted, nothing fails.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TAPEGRAD_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TAPEGRAD_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef TAPEGRAD_COUNT_ALLOCATIONS
#define TAPEGRAD_COUNT_ALLOCATIONS 1
#endif

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
