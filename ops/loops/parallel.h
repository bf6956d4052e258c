#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/export.h>

/// Work shared among threads. Who runs a block, and when, must not change a result: wherever a sum is cut, the caller
/// lays the blocks out from shapes alone. The number of threads may only decide how blocks are cut that each hold whole
/// sums, as of the builtin matrix product.
namespace tapegrad::detail {

using BlockFunction = void (*)(void* context, std::int64_t block);

/// Calls run(context, b) once for each b in [0, blocks), on this thread and on those of the pool, and returns
/// when all are done. Where the pool is busy (with another thread's blocks, or because this is called from a
/// block) or cannot help, this thread runs them all. After a block has thrown no more are begun; of several
/// exceptions, that of the lowest block is thrown here.
TAPEGRAD_API void run_blocks(std::int64_t blocks, BlockFunction run, void* context);

/// How many threads an operation of this thread may use: what set_threads says, or a ThreadLimit.
TAPEGRAD_API int threads_here() noexcept;

/// How often operations of this thread have shared their blocks with threads of the pool. Whether it has
/// grown tells the checker whether a kernel was run by several threads.
TAPEGRAD_API std::int64_t shared_jobs_here() noexcept;

/// While it lives, operations of this thread use this many threads, whatever set_threads says.
class TAPEGRAD_API ThreadLimit {
 public:
  explicit ThreadLimit(int count) noexcept;
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_;
};

/// (*function)(block); by itself, so that f is compiled once for the block of one thread and for those that are shared.
template <class F>
[[gnu::noinline]] void run_block(void* function, std::int64_t block) {
  (*static_cast<F*>(function))(block);
}

/// f(b) for each b in [0, blocks).
template <class F>
void parallel_for(std::int64_t blocks, F&& f) {
  using Function = std::remove_reference_t<F>;
  void* const function = const_cast<void*>(static_cast<const void*>(std::addressof(f)));
  if (blocks == 1)
    run_block<Function>(function, 0);
  else
    run_blocks(blocks, &run_block<Function>, function);
}

/// Elements of a block: enough to be worth waking a thread, few enough to be shared. A power of two, so that
/// blocks hold whole blocks of a reduction.
inline constexpr std::int64_t kGrain = 32 * 1024;

/// Items of a block where each stands for so many elements.
constexpr std::int64_t grain_for(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, elements));
}

/// Number of blocks of `length` that cover [0, n), the last one perhaps shorter.
constexpr std::int64_t blocks_of(std::int64_t n, std::int64_t length) { return (n + length - 1) / length; }

/// f(begin, end) for each block of `length` items of [0, n), where it matters which items a block holds.
template <class F>
void parallel_blocks(std::int64_t n, std::int64_t length, F&& f) {
  parallel_for(blocks_of(n, length),
               [&](std::int64_t block) { f(block * length, std::min(n, (block + 1) * length)); });
}

/// The length of blocks of at most `most` items that threads share evenly: one block, or an even number of them that are
/// all about as long. A thread is not worth waking for the few items that are left behind long blocks.
constexpr std::int64_t even_length(std::int64_t n, std::int64_t most) {
  const std::int64_t blocks = blocks_of(n, most);
  return blocks > 1 ? blocks_of(n, blocks + blocks % 2) : most;
}

/// f(begin, end) for even ranges of at most `most` items that cover [0, n), each item computed by itself.
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t most, F&& f) {
  parallel_blocks(n, even_length(n, most), std::forward<F>(f));
}

/// The length of even blocks of at most kGrain elements.
constexpr std::int64_t even_grain(std::int64_t n) {
  constexpr std::int64_t kWhole = 1024;  // whole vectors, cache lines and blocks of operands
  return blocks_of(even_length(n, kGrain), kWhole) * kWhole;
}

/// f(begin, end) for even blocks that cover n elements, each of which is computed by itself.
template <class F>
void parallel_elements(std::int64_t n, F&& f) {
  parallel_blocks(n, even_grain(n), std::forward<F>(f));
}

}  // namespace tapegrad::detail
