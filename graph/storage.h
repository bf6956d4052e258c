#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include <tapegrad/graph/export.h>

namespace tapegrad {

class Tape;
class NameScope;

namespace detail {

class ResultHook;
class RuleHook;
struct Storage;

/// What the library keeps for each thread. A thread that ends leaves its record behind; the next new thread
/// adopts it, with the blocks it still owns, so that records do not accumulate.
///
/// Blocks are kept for reuse by the thread that allocates them, by size; a large one also serves tensors of down to
/// half its size. What it keeps beside what is in use is bounded by what it has had in use at once: before it asks
/// the system for more than twice that, it gives back what it keeps, the largest blocks first. A training step that
/// repeats itself stays far below.
struct ThreadState {
  Tape* innermost = nullptr;                ///< top of this thread's stack of tapes
  Tape* active = nullptr;                   ///< the innermost tape where it records: neither spent nor paused
  NameScope* scope = nullptr;               ///< innermost named scope, for messages
  RuleHook* rule_hook = nullptr;            ///< stands in for the rules of backward passes; see rule_probe.h
  ResultHook* result_hook = nullptr;        ///< sees what a rule that is recorded applies; see result_hook.h
  bool general_rules = false;               ///< first-order passes run the general rules; see rule_probe.h
  std::uint64_t number = 0;                 ///< never reused
  std::uint64_t epochs = 0;                 ///< epochs handed out by this thread
  std::atomic<Storage*> returned{nullptr};  ///< blocks whose owned references other threads gave back
  std::atomic<bool> orphaned{false};        ///< the thread has ended and nobody has adopted the record yet
  ThreadState* next_orphan = nullptr;
  ThreadState* next_record = nullptr;  ///< all there are

  std::size_t held = 0;         ///< bytes of the blocks it owns, in use or kept
  std::size_t most_in_use = 0;  ///< of these, as far as was looked at

  static constexpr std::size_t kClasses = 8 * 48;
  Storage* free_blocks[kClasses] = {};
};

/// This thread's record; null before its first use and after the thread's end.
extern TAPEGRAD_API constinit thread_local ThreadState* current_thread
    __attribute__((tls_model("initial-exec")));
/// Owner of storage whose count has become purely atomic.
extern TAPEGRAD_API ThreadState unowned;

TAPEGRAD_API ThreadState* attach_thread();
/// 1, 2, ...: never given out twice.
std::uint64_t new_thread_number() noexcept;
/// This thread's record; null only while the thread is being torn down.
inline ThreadState* this_thread() {
  ThreadState* t = current_thread;
  return t ? t : attach_thread();
}

/// Elements of so many bytes lie right behind the head of their block.
inline constexpr std::size_t kScalarBytes = 16;

/// The head of a pooled block; the elements follow it.
///
/// Reference counts are biased (Choi, Shull, Torrellas: Biased Reference Counting, PACT 2018): the thread
/// that allocated a block counts in the plain `local`, every other thread in the atomic `shared`, so that a
/// tape that stays on its thread pays for no atomic operation. `shared` may owe references that `local` still
/// counts; the block is then queued for its owner, who settles the account. A block is free once it is merged
/// (the owner's count is used up), not queued, and its shared count is zero.
struct alignas(16) Storage {
  std::atomic<ThreadState*> owner;
  std::uint32_t local;
  std::atomic<std::uint32_t> version;  ///< bumped by every mutable access; shared by all views
  std::atomic<std::int64_t> shared;    ///< kOne for each reference, plus the two flags
  Storage* next;                       ///< link in a free list or in the owner's queue
  std::uint32_t size_class;
  std::uint32_t padding;

  static constexpr std::int64_t kMerged = 1;
  static constexpr std::int64_t kQueued = 2;
  static constexpr std::int64_t kOne = 4;

  /// The first reference to a block that nobody holds is the thread's, which becomes its owner.
  void give_to(ThreadState& thread) noexcept {
    version.store(0, std::memory_order_relaxed);
    owner.store(&thread, std::memory_order_relaxed);
    local = 1;
    shared.store(0, std::memory_order_relaxed);
  }

  std::byte* data(std::size_t bytes) noexcept {
    // One scalar lies right behind the head; anything larger starts on a cache line of its own.
    return reinterpret_cast<std::byte*>(this) + (bytes <= kScalarBytes ? sizeof(Storage) : 64);
  }
};
static_assert(sizeof(Storage) == 48);

/// A block for `bytes` of elements, contents undefined, with one reference held by the caller; null where the system
/// does not give the memory.
TAPEGRAD_API Storage* try_allocate(std::size_t bytes);
/// Throws OutOfMemory: "there is no memory for FOR_WHAT: BYTES bytes".
[[noreturn]] TAPEGRAD_API void throw_out_of_memory(std::size_t bytes, std::string_view for_what);
/// try_allocate, or throws OutOfMemory.
inline Storage* allocate(std::size_t bytes) {
  Storage* s = try_allocate(bytes);
  if (!s) [[unlikely]]
    throw_out_of_memory(bytes, "values to work on");
  return s;
}
/// The free block of this class that was given last; there must be one.
inline Storage* take_free_block(ThreadState& t, std::size_t size_class) noexcept {
  Storage* const s = t.free_blocks[size_class];
  t.free_blocks[size_class] = s->next;
  return s;
}
/// allocate(kScalarBytes), for one element: without a call where the thread has such a block at hand, which are those
/// of the smallest class.
inline Storage* allocate_scalar() {
  ThreadState* const t = current_thread;
  if (!t || !t->free_blocks[0] || t->returned.load(std::memory_order_relaxed)) [[unlikely]]
    return allocate(kScalarBytes);
  Storage* const s = take_free_block(*t, 0);
  s->give_to(*t);
  return s;
}
TAPEGRAD_API void release_last_owned(Storage* s) noexcept;
TAPEGRAD_API void release_shared(Storage* s) noexcept;

inline void retain(Storage* s) noexcept {
  if (s->owner.load(std::memory_order_relaxed) == current_thread) [[likely]]
    ++s->local;
  else
    s->shared.fetch_add(Storage::kOne, std::memory_order_relaxed);
}

inline void release(Storage* s) noexcept {
  if (s->owner.load(std::memory_order_relaxed) == current_thread) [[likely]] {
    if (--s->local == 0) release_last_owned(s);
  } else {
    release_shared(s);
  }
}

/// True where the caller's reference is the only one, so that the elements may be overwritten.
inline bool is_unique(const Storage* s) noexcept {
  return s->owner.load(std::memory_order_relaxed) == current_thread && s->local == 1 &&
         s->shared.load(std::memory_order_acquire) == 0;
}

/// Raw memory from the same pool, for the tape's own chunks and tables.
TAPEGRAD_API void* pool_allocate(std::size_t bytes);
TAPEGRAD_API void pool_free(void* p) noexcept;

/// A standard allocator on the pool: containers that live for one step then never reach malloc.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() noexcept = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    if (n > std::size_t(-1) / 2 / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(pool_allocate(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t) noexcept { pool_free(p); }
  friend bool operator==(PoolAllocator, PoolAllocator) noexcept { return true; }
};

}  // namespace detail

/// Gives the blocks that this thread keeps for reuse back to the system. Without it a thread keeps no more than it has
/// had in use at once, and nothing when it has ended.
TAPEGRAD_API void trim() noexcept;

/// How often this thread's pool had to ask the system for memory so far; constant in a steady training step.
TAPEGRAD_API std::uint64_t system_allocations() noexcept;

}  // namespace tapegrad
