#include <cerrno>

#include <atomic>
#include <cstdlib>

#include "allocation_support.h"

namespace tapegrad::test {

namespace {

constinit std::atomic<std::uint64_t> count{0};
constinit std::atomic<std::int64_t> live{0};
constinit std::atomic<std::uint64_t> fails_at{0};  ///< a value of count; 0: none
constinit std::atomic<bool> goes_on{false};

#if TAPEGRAD_COUNT_ALLOCATIONS
/// Counts a call; false where it is to fail.
bool grant() noexcept {
  const std::uint64_t n = count.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint64_t first = fails_at.load(std::memory_order_relaxed);
  if (first == 0 || (goes_on.load(std::memory_order_relaxed) ? n < first : n != first)) return true;
  errno = ENOMEM;
  return false;
}

void* given(void* p) noexcept {
  if (p) live.fetch_add(1, std::memory_order_relaxed);
  return p;
}
#endif

}  // namespace

std::uint64_t allocations() noexcept { return count.load(std::memory_order_relaxed); }
std::int64_t live_allocations() noexcept { return live.load(std::memory_order_relaxed); }

FailingAllocations::FailingAllocations(std::uint64_t number, Failing failing) noexcept {
  goes_on.store(failing == Failing::from_there_on, std::memory_order_relaxed);
  fails_at.store(count.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
}
FailingAllocations::~FailingAllocations() { fails_at.store(0, std::memory_order_relaxed); }
bool FailingAllocations::reached() const noexcept {
  return count.load(std::memory_order_relaxed) >= fails_at.load(std::memory_order_relaxed);
}

}  // namespace tapegrad::test

#if TAPEGRAD_COUNT_ALLOCATIONS

using tapegrad::test::given;
using tapegrad::test::grant;

// What glibc itself does lies under these names.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) { return grant() ? given(__libc_malloc(bytes)) : nullptr; }
void* calloc(std::size_t count, std::size_t bytes) {
  return grant() ? given(__libc_calloc(count, bytes)) : nullptr;
}
void* realloc(void* p, std::size_t bytes) {
  if (!grant()) return nullptr;
  return p ? __libc_realloc(p, bytes) : given(__libc_realloc(p, bytes));
}
void* aligned_alloc(std::size_t align, std::size_t bytes) {
  return grant() ? given(__libc_memalign(align, bytes)) : nullptr;
}
void* memalign(std::size_t align, std::size_t bytes) {
  return grant() ? given(__libc_memalign(align, bytes)) : nullptr;
}
int posix_memalign(void** out, std::size_t align, std::size_t bytes) {
  void* const p = grant() ? given(__libc_memalign(align, bytes)) : nullptr;
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}
void free(void* p) {
  if (p) tapegrad::test::live.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(p);
}
}

#endif
