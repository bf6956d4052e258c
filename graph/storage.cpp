#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <utility>

#include <pthread.h>

#include <tapegrad/graph/storage.h>

#if defined(__SANITIZE_ADDRESS__)
#define TAPEGRAD_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TAPEGRAD_ASAN 1
#endif
#endif

namespace tapegrad {
namespace detail {

constinit thread_local ThreadState* current_thread = nullptr;
ThreadState unowned;

namespace {

#ifdef TAPEGRAD_ASAN
constexpr bool kReuse = false;  // a reused block would hide a use after free from the sanitizer
#else
constexpr bool kReuse = true;
#endif

constinit thread_local std::uint64_t system_allocation_count = 0;

// Outlives every thread-local and static tensor. A child of fork gets it unlocked, whatever the parent's
// other threads were doing.
std::mutex& registry_mutex() {
  static std::mutex* const m = [] {
    pthread_atfork([] { registry_mutex().lock(); }, [] { registry_mutex().unlock(); },
                   [] { registry_mutex().unlock(); });
    return new std::mutex;
  }();
  return *m;
}
ThreadState* orphans = nullptr;
// What a thread that fork has left behind owned stays reachable through this.
ThreadState* records = nullptr;
constinit std::atomic<std::uint64_t> thread_numbers{0};

// Eight classes a doubling: class c holds (8 + c % 8) << (c / 8) units of 8 bytes, the smallest one cache
// line.
constexpr std::size_t kUnit = 8;

constexpr std::uint32_t class_of(std::size_t bytes) {
  const std::size_t units = (bytes + kUnit - 1) / kUnit;
  if (units <= 8) return 0;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(units - 1)) - 4;
  const auto mantissa = static_cast<std::uint32_t>((units - 1) >> shift);  // in [8, 16)
  return shift * 8 + (mantissa - 8) + 1;
}
constexpr std::size_t class_bytes(std::uint32_t c) { return (std::size_t{8} + c % 8) << (c / 8) << 3; }
static_assert(class_bytes(class_of(64)) == 64 && class_bytes(class_of(65)) == 72);
static_assert(class_bytes(class_of(128)) == 128 && class_bytes(class_of(129)) == 144);
static_assert(class_bytes(class_of(1 << 20)) == 1 << 20);

Storage* take_block(std::size_t total) {
  const std::uint32_t c = class_of(total);
  if (c >= ThreadState::kClasses) throw std::bad_alloc();
  if (ThreadState* t = this_thread(); t && kReuse) {
    if (Storage* s = t->free_blocks[c]) {
      t->free_blocks[c] = s->next;
      return s;
    }
  }
  ++system_allocation_count;
  const std::size_t bytes = (class_bytes(c) + 63) & ~std::size_t{63};
  void* p = std::aligned_alloc(64, bytes);
  if (!p) throw std::bad_alloc();
  auto* s = new (p) Storage;
  s->size_class = c;
  return s;
}

void give_block(Storage* s) noexcept {
  if (ThreadState* t = current_thread; t && kReuse) {
    s->next = t->free_blocks[s->size_class];
    t->free_blocks[s->size_class] = s;
  } else {
    std::free(s);
  }
}

void free_all_blocks(ThreadState& t) noexcept {
  for (Storage*& head : t.free_blocks)
    while (Storage* s = head) {
      head = s->next;
      std::free(s);
    }
}

std::int64_t count(std::int64_t shared) { return shared >> 2; }

// Settles the queue of blocks that other threads returned. The caller owns `t`: it is this thread's record,
// or an orphan under the registry's lock.
void settle_returned(ThreadState& t) noexcept {
  Storage* s = t.returned.exchange(nullptr, std::memory_order_acq_rel);
  while (s) {
    Storage* next = s->next;
    std::int64_t seen = s->shared.load(std::memory_order_relaxed);
    std::int64_t owed;
    std::int64_t wanted;
    do {
      owed = count(seen) < 0 ? -count(seen) : 0;
      wanted = (seen & ~Storage::kQueued) + owed * Storage::kOne;
    } while (!s->shared.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel));
    if (wanted & Storage::kMerged) {
      if (count(wanted) == 0) give_block(s);
    } else if (owed) {
      s->local -= static_cast<std::uint32_t>(owed);
      if (s->local == 0) release_last_owned(s);
    }
    s = next;
  }
}

struct ThreadExit {
  ~ThreadExit() {
    ThreadState* t = std::exchange(current_thread, nullptr);
    if (!t) return;
    free_all_blocks(*t);
    const std::lock_guard lock(registry_mutex());
    t->orphaned.store(true, std::memory_order_seq_cst);
    settle_returned(*t);
    t->next_orphan = std::exchange(orphans, t);
  }
};

}  // namespace

std::uint64_t new_thread_number() noexcept {
  return thread_numbers.fetch_add(1, std::memory_order_relaxed) + 1;
}

ThreadState* attach_thread() {
  // Thread-local tensors may outlive the exit hook below; they then count atomically and skip the pool.
  static constinit thread_local bool ended = false;
  if (ended) return nullptr;
  ended = true;
  {
    const std::lock_guard lock(registry_mutex());
    ThreadState* t = orphans;
    if (t) {
      orphans = t->next_orphan;
      t->orphaned.store(false, std::memory_order_seq_cst);
    } else {
      t = new ThreadState;
      t->next_record = std::exchange(records, t);
    }
    t->innermost = t->active = nullptr;
    t->scope = nullptr;
    t->number = new_thread_number();
    t->epochs = 0;
    current_thread = t;
    settle_returned(*t);
  }
  static thread_local ThreadExit exit_hook;
  (void)exit_hook;
  return current_thread;
}

Storage* allocate(std::size_t bytes) {
  ThreadState* t = this_thread();
  if (t && t->returned.load(std::memory_order_relaxed)) [[unlikely]]
    settle_returned(*t);
  Storage* s = take_block(bytes <= 16 ? sizeof(Storage) + bytes : 64 + bytes);
  s->version.store(0, std::memory_order_relaxed);
  if (t) [[likely]] {
    s->owner.store(t, std::memory_order_relaxed);
    s->local = 1;
    s->shared.store(0, std::memory_order_relaxed);
  } else {
    s->owner.store(&unowned, std::memory_order_relaxed);
    s->local = 0;
    s->shared.store(Storage::kOne | Storage::kMerged, std::memory_order_relaxed);
  }
  return s;
}

// The owner's count is used up: what remains, if anything, is counted atomically from here on.
void release_last_owned(Storage* s) noexcept {
  if (s->shared.load(std::memory_order_acquire) == 0) {
    give_block(s);
    return;
  }
  s->owner.store(&unowned, std::memory_order_relaxed);
  const std::int64_t before = s->shared.fetch_or(Storage::kMerged, std::memory_order_acq_rel);
  if (count(before) == 0 && !(before & Storage::kQueued)) give_block(s);
}

void release_shared(Storage* s) noexcept {
  std::int64_t seen = s->shared.load(std::memory_order_relaxed);
  for (;;) {
    // Without a shared reference to give back, this is one that the owner counted and that moved here.
    const bool owed = !(seen & (Storage::kMerged | Storage::kQueued)) && count(seen) <= 0;
    const std::int64_t wanted = (seen - Storage::kOne) | (owed ? Storage::kQueued : 0);
    // Owed, the block stays alive and owned until its owner settles it, so the owner is read before.
    ThreadState* owner = s->owner.load(std::memory_order_relaxed);
    if (!s->shared.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel, std::memory_order_relaxed))
      continue;
    if (owed) {
      Storage* head = owner->returned.load(std::memory_order_relaxed);
      do {
        s->next = head;
      } while (!owner->returned.compare_exchange_weak(head, s, std::memory_order_seq_cst));
      // Either the ending thread sees the block, or this load sees that the thread has ended.
      if (owner->orphaned.load(std::memory_order_seq_cst)) {
        const std::lock_guard lock(registry_mutex());
        if (owner->orphaned.load(std::memory_order_relaxed)) settle_returned(*owner);
      }
    } else if (wanted == Storage::kMerged) {
      // Not into this thread's pool: one that only releases what another allocates would hoard without end.
      std::free(s);
    }
    return;
  }
}

// Counted like the elements of a tensor, so that a container that is freed on another thread comes back to
// its owner.
void* pool_allocate(std::size_t bytes) {
  const std::size_t past_scalars = std::max<std::size_t>(bytes, 17);  // these lie 64 bytes behind the head
  return allocate(past_scalars)->data(past_scalars);
}
void pool_free(void* p) noexcept {
  if (p) release(reinterpret_cast<Storage*>(static_cast<std::byte*>(p) - 64));
}

}  // namespace detail

void trim() noexcept {
  if (detail::ThreadState* t = detail::current_thread) {
    detail::settle_returned(*t);
    detail::free_all_blocks(*t);
  }
}

std::uint64_t system_allocations() noexcept { return detail::system_allocation_count; }

}  // namespace tapegrad
