#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <type_traits>
#include <utility>

#include <pthread.h>

#include <tapegrad/graph/at_fork.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/storage_limit.h>

#include <fmt/format.h>

namespace tapegrad {
namespace detail {

constinit thread_local ThreadState* current_thread = nullptr;
ThreadState unowned;

namespace {

#if TAPEGRAD_ASAN
constexpr bool kReuse = false;  // a reused block would hide a use after free from the sanitizer
#else
constexpr bool kReuse = true;
#endif

constinit thread_local std::uint64_t system_allocation_count = 0;

// Never destroyed: it outlives every thread-local and static tensor.
static_assert(std::is_trivially_destructible_v<std::mutex>);
constinit std::mutex registry_mutex;

std::mutex& mutex_of_registry() noexcept { return registry_mutex; }

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
/// What a block of a class takes of the system: whole lines of the cache.
constexpr std::size_t block_bytes(std::uint32_t c) { return (class_bytes(c) + 63) & ~std::size_t{63}; }

/// A block's memory, on a line of the cache. A scalar's is not worth it: at the start of a line it would take twice as
/// much, and there may be millions.
void* system_block(std::uint32_t c) noexcept {
  return c == 0 ? std::malloc(block_bytes(0)) : std::aligned_alloc(64, block_bytes(c));
}
static_assert(class_of(sizeof(Storage) + kScalarBytes) == 0);  // as allocate_scalar has it
static_assert(class_bytes(class_of(64)) == 64 && class_bytes(class_of(65)) == 72);
static_assert(class_bytes(class_of(128)) == 128 && class_bytes(class_of(129)) == 144);
static_assert(class_bytes(class_of(1 << 20)) == 1 << 20);

/// Gives kept blocks back, the largest first, until the thread holds no more than `bytes`.
void give_back_down_to(ThreadState& t, std::size_t bytes) noexcept {
  for (std::size_t c = ThreadState::kClasses; c-- > 0;)
    while (t.free_blocks[c]) {
      if (t.held <= bytes) return;
      t.held -= block_bytes(static_cast<std::uint32_t>(c));
      std::free(take_free_block(t, c));
    }
}

/// Keeps the bound that ThreadState speaks of, before a block of so many bytes is asked of the system. What is in use
/// is counted only here, so that taking and giving a block stay a few instructions; and only when what is held has
/// outgrown the last count, so that counting is rare.
void keep_bound(ThreadState& t, std::size_t bytes) noexcept {
  constexpr std::size_t kAlways = std::size_t{1} << 20;  // less is not worth the count
  const std::size_t total = t.held + bytes;
  if (total <= std::max(2 * t.most_in_use, kAlways)) return;
  std::size_t kept = 0;
  for (std::size_t c = 0; c < ThreadState::kClasses; ++c)
    for (const Storage* s = t.free_blocks[c]; s; s = s->next)
      kept += block_bytes(static_cast<std::uint32_t>(c));
  t.most_in_use = std::max(t.most_in_use, total - kept);
  // Further down than it must, so that the next block does not count again.
  if (total > 2 * t.most_in_use) give_back_down_to(t, t.most_in_use + t.most_in_use / 2 - bytes);
}

/// A block of this class that is free, or null. In place of a large one there may be one up to twice as large:
/// tensors of many sizes that follow each other would otherwise each have memory of its own.
Storage* reuse_block(ThreadState& t, std::uint32_t c) noexcept {
  constexpr std::size_t kLarge = std::size_t{1} << 17;
  const std::uint32_t last =
      class_bytes(c) < kLarge ? c : std::min<std::uint32_t>(c + 8, ThreadState::kClasses - 1);
  for (; c <= last; ++c)
    if (t.free_blocks[c]) return take_free_block(t, c);
  return nullptr;
}

/// Of what this thread holds, by a StorageLimit.
struct Limit {
  std::size_t bytes = std::size_t(-1);
  bool reached = false;  ///< by what was asked for last
};
constinit thread_local Limit limit;

/// Memory of the system, unless the thread then held more than it may.
void* limited_block(const ThreadState* t, std::uint32_t c) noexcept {
  limit.reached = t && (t->held > limit.bytes || block_bytes(c) > limit.bytes - t->held);
  return limit.reached ? nullptr : system_block(c);
}

/// Null where the system does not give the memory.
Storage* take_block(ThreadState* t, std::size_t total) {
  const std::uint32_t c = class_of(total);
  if (c >= ThreadState::kClasses) return nullptr;
  if (t && kReuse)
    if (Storage* s = reuse_block(*t, c)) return s;
  ++system_allocation_count;
  const std::size_t bytes = block_bytes(c);
  const std::size_t most_before = t ? t->most_in_use : 0;
  if (t && kReuse) keep_bound(*t, bytes);
  void* p = limited_block(t, c);
  if (!p && t) {  // what is kept for reuse may be what is missing
    give_back_down_to(*t, 0);
    p = limited_block(t, c);
  }
  if (!p) {
    if (t) t->most_in_use = most_before;  // what is not given is never in use
    return nullptr;
  }
  if (t) t->held += bytes;
  auto* s = new (p) Storage;
  s->size_class = c;
  return s;
}

/// To the system, from the thread that held the block.
void free_block(ThreadState& t, Storage* s) noexcept {
  t.held -= block_bytes(s->size_class);
  std::free(s);
}

void keep_block(ThreadState& t, Storage* s) noexcept {
  s->next = t.free_blocks[s->size_class];
  t.free_blocks[s->size_class] = s;
}

/// A block that is free, from the thread that holds it: kept for reuse where that is the present one.
void give_block(ThreadState& t, Storage* s) noexcept {
  if (&t == current_thread && kReuse)
    keep_block(t, s);
  else
    free_block(t, s);
}

/// The same of a block that no thread held.
void take_over(ThreadState& t, Storage* s) noexcept {
  t.held += block_bytes(s->size_class);
  give_block(t, s);
}

std::int64_t count(std::int64_t shared) { return shared >> 2; }

/// The owner's count is used up: what remains, if anything, is counted atomically from here on.
void release_last(ThreadState& owner, Storage* s) noexcept {
  if (s->shared.load(std::memory_order_acquire) == 0) return give_block(owner, s);
  owner.held -= block_bytes(s->size_class);
  s->owner.store(&unowned, std::memory_order_relaxed);
  const std::int64_t before = s->shared.fetch_or(Storage::kMerged, std::memory_order_acq_rel);
  if (count(before) == 0 && !(before & Storage::kQueued)) take_over(owner, s);
}

// Settles the queue of blocks that other threads returned. The caller owns `t`: it is this thread's record,
// or an orphan under the registry's lock.
void settle_returned(ThreadState& t) noexcept {
  Storage* s = t.returned.exchange(nullptr, std::memory_order_acq_rel);
  while (s) {
    Storage* next = s->next;
    std::int64_t seen = s->shared.load(std::memory_order_relaxed);
    std::int64_t owed;
    std::int64_t desired;
    do {
      owed = count(seen) < 0 ? -count(seen) : 0;
      desired = (seen & ~Storage::kQueued) + owed * Storage::kOne;
    } while (!s->shared.compare_exchange_weak(seen, desired, std::memory_order_acq_rel));
    if (desired & Storage::kMerged) {
      if (count(desired) == 0) take_over(t, s);
    } else if (owed) {
      s->local -= static_cast<std::uint32_t>(owed);
      if (s->local == 0) release_last(t, s);
    }
    s = next;
  }
}

/// The thread has ended: its record no longer exists for it. What uses tensors even later counts atomically and skips
/// the pool.
constinit thread_local bool ended = false;

void leave_thread(void*) noexcept {
  ended = true;
  ThreadState* t = std::exchange(current_thread, nullptr);
  if (!t) return;
  give_back_down_to(*t, 0);
  const std::lock_guard lock(registry_mutex);
  t->orphaned.store(true, std::memory_order_seq_cst);
  settle_returned(*t);
  t->next_orphan = std::exchange(orphans, t);
}

constinit std::atomic<bool> exits_are_watched{false};

/// Calls leave_thread when a thread ends, behind the destructors of its thread_local objects. Not such an object
/// itself: where there is no memory to register its destructor, the C library ends the process.
class ThreadExits {
 public:
  ThreadExits() {
    if (pthread_key_create(&key_, leave_thread) != 0) throw std::bad_alloc();
    exits_are_watched.store(true, std::memory_order_relaxed);
  }
  /// The process exits, or the library is unloaded: leave_thread must not be called any more.
  ~ThreadExits() {
    exits_are_watched.store(false, std::memory_order_relaxed);
    pthread_key_delete(key_);
  }
  void watch() const {
    if (exits_are_watched.load(std::memory_order_relaxed) && pthread_setspecific(key_, this) != 0)
      throw std::bad_alloc();
  }

 private:
  pthread_key_t key_{};
};

}  // namespace

std::uint64_t new_thread_number() noexcept {
  return thread_numbers.fetch_add(1, std::memory_order_relaxed) + 1;
}

// Where memory does not suffice the thread is as before, and tries again the next time.
ThreadState* attach_thread() {
  if (ended) return nullptr;
  unlock_in_children<&mutex_of_registry>();
  static const ThreadExits exits;
  exits.watch();
  const std::lock_guard lock(registry_mutex);
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
  t->rule_hook = nullptr;
  t->general_rules = false;
  t->number = new_thread_number();
  t->epochs = 0;
  t->most_in_use = 0;
  current_thread = t;
  settle_returned(*t);
  return t;
}

StorageLimit::StorageLimit(std::size_t bytes) : limit_before_(limit.bytes), reached_before_(limit.reached) {
  const ThreadState* const t = this_thread();
  const std::size_t held = t ? t->held : 0;
  if (limit.bytes > held && bytes < limit.bytes - held) limit.bytes = held + bytes;
  limit.reached = false;
}
StorageLimit::~StorageLimit() { limit = {limit_before_, reached_before_}; }
bool StorageLimit::reached() const noexcept { return limit.reached; }

void throw_out_of_memory(std::size_t bytes, std::string_view for_what) {
  constexpr double kGiB = 1 << 30;
  throw OutOfMemory(fmt::format("there is no memory for {}: {} bytes ({:.3g} GiB)", for_what, bytes,
                                static_cast<double>(bytes) / kGiB));
}

Storage* try_allocate(std::size_t bytes) {
  ThreadState* t = this_thread();
  if (t && t->returned.load(std::memory_order_relaxed)) [[unlikely]]
    settle_returned(*t);
  Storage* s = take_block(t, bytes <= kScalarBytes ? sizeof(Storage) + bytes : 64 + bytes);
  if (!s) [[unlikely]]
    return nullptr;
  if (t) [[likely]] {
    s->give_to(*t);
  } else {
    s->version.store(0, std::memory_order_relaxed);
    s->owner.store(&unowned, std::memory_order_relaxed);
    s->local = 0;
    s->shared.store(Storage::kOne | Storage::kMerged, std::memory_order_relaxed);
  }
  return s;
}

void release_last_owned(Storage* s) noexcept {
  ThreadState& t = *current_thread;
  if (kReuse && s->shared.load(std::memory_order_acquire) == 0) [[likely]]
    keep_block(t, s);
  else
    release_last(t, s);
}

void release_shared(Storage* s) noexcept {
  std::int64_t seen = s->shared.load(std::memory_order_relaxed);
  for (;;) {
    // Without a shared reference to give back, this is one that the owner counted and that moved here.
    const bool owed = !(seen & (Storage::kMerged | Storage::kQueued)) && count(seen) <= 0;
    const std::int64_t desired = (seen - Storage::kOne) | (owed ? Storage::kQueued : 0);
    // Owed, the block stays alive and owned until its owner settles it, so the owner is read before.
    ThreadState* owner = s->owner.load(std::memory_order_relaxed);
    if (!s->shared.compare_exchange_weak(seen, desired, std::memory_order_acq_rel, std::memory_order_relaxed))
      continue;
    if (owed) {
      Storage* head = owner->returned.load(std::memory_order_relaxed);
      do {
        s->next = head;
      } while (!owner->returned.compare_exchange_weak(head, s, std::memory_order_seq_cst));
      // Either the ending thread sees the block, or this load sees that the thread has ended.
      if (owner->orphaned.load(std::memory_order_seq_cst)) {
        const std::lock_guard lock(registry_mutex);
        if (owner->orphaned.load(std::memory_order_relaxed)) settle_returned(*owner);
      }
    } else if (desired == Storage::kMerged) {
      // Not into this thread's pool: one that only releases what another allocates would hoard without end.
      std::free(s);
    }
    return;
  }
}

// Counted like the elements of a tensor, so that a container that is freed on another thread comes back to
// its owner.
void* pool_allocate(std::size_t bytes) {
  const std::size_t past_scalars =
      std::max<std::size_t>(bytes, kScalarBytes + 1);  // these lie 64 bytes behind the head
  return allocate(past_scalars)->data(past_scalars);
}
void pool_free(void* p) noexcept {
  if (p) release(reinterpret_cast<Storage*>(static_cast<std::byte*>(p) - 64));
}

}  // namespace detail

void trim() noexcept {
  if (detail::ThreadState* t = detail::current_thread) {
    detail::settle_returned(*t);
    detail::give_back_down_to(*t, 0);
  }
}

std::uint64_t system_allocations() noexcept { return detail::system_allocation_count; }

}  // namespace tapegrad
