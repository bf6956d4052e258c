#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/signals_blocked.h>
#include <tapegrad/ops/loops/work_queue.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>

namespace tapegrad {
namespace detail {
namespace {

// How long a thread that waits keeps its core before it sleeps. Operations of a training step follow each
// other within microseconds, and waking a sleeper takes tens of them; but a core that another process could
// use, or that the awaited thread itself needs, must not be held for longer than that.
constexpr std::chrono::microseconds kSpin{20};

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins for a while; true as soon as `ready()` is.
template <class F>
bool spin_until(F&& ready) noexcept {
  const auto stop = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 8; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < stop);
  return ready();
}

class Pool {
 public:
  explicit Pool(Pool* abandoned) : abandoned_(abandoned) {}

  /// False where the pool could not take the blocks; nothing has been run then.
  bool run(std::int64_t blocks, BlockFunction f, void* context, std::int64_t helpers);
  void stop() noexcept;

 private:
  struct alignas(64) Worker {
    std::atomic<std::uint32_t> signal{
        0};  ///< the epoch, an odd number, of the job it was last called for; or kStop
    std::thread thread;
  };
  static constexpr std::uint32_t kStop = 2;

  std::int64_t start_workers(std::int64_t most) noexcept;
  void work(Worker& me) noexcept;
  void run_open_job() noexcept;

  // The job. A worker enters (inside_), and only then looks whether the job it was called for is still open;
  // the caller closes it (epoch_ becomes even), and only then looks whether somebody is inside. One of the
  // two sees the other, so no worker reads a job that is gone.
  alignas(64) std::atomic<bool> busy_{false};
  std::atomic<std::uint32_t> epoch_{0};  ///< odd while a job is open
  BlockFunction function_ = nullptr;
  void* context_ = nullptr;
  WorkQueue queue_;
  alignas(64) std::atomic<std::int32_t> inside_{0};

  std::mutex start_mutex_;
  std::array<Worker*, kMostThreads> workers_{};
  std::atomic<std::int64_t> started_{0};
  std::atomic<bool> stopping_{false};
  [[maybe_unused]] Pool*
      abandoned_;  ///< the parent's, after a fork: only remembered, its threads do not exist here
};

constinit std::atomic<Pool*> current_pool{nullptr};
Pool* abandoned_pool = nullptr;
constinit std::atomic<int> thread_setting{0};

// In the child of a fork no worker exists, and locks may be held by threads that do not exist either: it
// starts over.
void after_fork_in_child() noexcept {
  if (Pool* p = current_pool.exchange(nullptr)) abandoned_pool = p;
}

/// Null where there is no memory for it.
Pool* pool() noexcept {
  if (Pool* p = current_pool.load(std::memory_order_acquire)) return p;
  try {
    // Before there is a pool: a child that inherits one would wait for its threads.
    [[maybe_unused]] static const bool prepared = [] {
      if (pthread_atfork(nullptr, nullptr, &after_fork_in_child) != 0) throw std::bad_alloc();
      return true;
    }();
    // Never destroyed: what runs while the process exits may still come here.
    auto fresh = std::make_unique<Pool>(abandoned_pool);
    Pool* expected = nullptr;
    if (!current_pool.compare_exchange_strong(expected, fresh.get(), std::memory_order_acq_rel))
      return expected;
    return fresh.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

/// Ends the workers when the process exits or the library is unloaded: their code must not vanish under them.
struct ExitHook {
  ~ExitHook() {
    if (Pool* p = current_pool.load(std::memory_order_acquire)) p->stop();
  }
};

/// Where the system has no more threads to give, or no memory for them, those that run do the work.
std::int64_t Pool::start_workers(std::int64_t most) noexcept {
  std::int64_t count = started_.load(std::memory_order_relaxed);
  if (count >= most) return most;
  static const ExitHook hook;
  const std::lock_guard lock(start_mutex_);
  if (stopping_.load(std::memory_order_relaxed)) return count;
  const SignalsBlocked blocked;
  try {
    for (; count < most; ++count) {
      auto worker = std::make_unique<Worker>();
      worker->thread = std::thread([this, w = worker.get()] { work(*w); });
      workers_[static_cast<std::size_t>(count)] = worker.release();
    }
  } catch (const std::exception&) {  // std::system_error or std::bad_alloc
  }
  started_.store(count, std::memory_order_relaxed);
  return count;
}

bool Pool::run(std::int64_t blocks, BlockFunction f, void* context, std::int64_t helpers) {
  if (busy_.exchange(true, std::memory_order_acquire)) return false;
  helpers = stopping_.load(std::memory_order_relaxed) ? 0 : start_workers(helpers);
  if (helpers == 0) {
    busy_.store(false, std::memory_order_release);
    return false;
  }
  function_ = f;
  context_ = context;
  queue_.reset(blocks);
  const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  epoch_.store(epoch, std::memory_order_seq_cst);
  for (std::int64_t i = 0; i < helpers; ++i) {
    Worker& w = *workers_[static_cast<std::size_t>(i)];
    std::uint32_t last = w.signal.load(std::memory_order_relaxed);
    if (last == kStop || !w.signal.compare_exchange_strong(last, epoch, std::memory_order_release)) continue;
    w.signal.notify_one();
  }
  run_open_job();
  epoch_.store(epoch + 1, std::memory_order_seq_cst);
  if (!spin_until([&] { return inside_.load(std::memory_order_seq_cst) == 0; }))
    for (std::int32_t n; (n = inside_.load(std::memory_order_seq_cst)) != 0;) inside_.wait(n);
  std::exception_ptr failure = queue_.take_failure();
  busy_.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(std::move(failure));
  return true;
}

void Pool::work(Worker& me) noexcept {
  std::uint32_t seen = 0;
  for (;;) {
    const auto called = [&] { return me.signal.load(std::memory_order_acquire) != seen; };
    if (!spin_until(called)) me.signal.wait(seen, std::memory_order_acquire);
    seen = me.signal.load(std::memory_order_acquire);
    if (seen == kStop) return;
    inside_.fetch_add(1, std::memory_order_seq_cst);
    if (epoch_.load(std::memory_order_seq_cst) == seen) run_open_job();
    if (inside_.fetch_sub(1, std::memory_order_seq_cst) == 1) inside_.notify_one();
  }
}

void Pool::run_open_job() noexcept {
  queue_.work([this](std::int64_t block) { function_(context_, block); });
}

void Pool::stop() noexcept {
  const std::lock_guard lock(start_mutex_);
  stopping_.store(true, std::memory_order_relaxed);
  const std::int64_t count = started_.load(std::memory_order_relaxed);
  for (std::int64_t i = 0; i < count; ++i) {
    Worker& w = *workers_[static_cast<std::size_t>(i)];
    w.signal.store(kStop, std::memory_order_release);
    w.signal.notify_one();
  }
  for (std::int64_t i = 0; i < count; ++i) {
    std::thread& t = workers_[static_cast<std::size_t>(i)]->thread;
    if (t.get_id() == std::this_thread::get_id())
      t.detach();  // exit() was called from a block
    else
      t.join();
  }
}

}  // namespace

namespace {
thread_local int limit = 0;  ///< of this thread's operations; 0: none of its own
thread_local std::int64_t shared_jobs = 0;
}  // namespace

ThreadLimit::ThreadLimit(int count) noexcept : before_(std::exchange(limit, count)) {}
ThreadLimit::~ThreadLimit() { limit = before_; }
int threads_here() noexcept { return limit ? limit : threads(); }
std::int64_t shared_jobs_here() noexcept { return shared_jobs; }

void run_blocks(std::int64_t blocks, BlockFunction run, void* context) {
  const std::int64_t helpers = std::min<std::int64_t>(threads_here(), blocks) - 1;
  if (helpers > 0) {
    if (Pool* const p = pool(); p && p->run(blocks, run, context, helpers)) {
      ++shared_jobs;
      return;
    }
  }
  for (std::int64_t b = 0; b < blocks; ++b) run(context, b);
}

}  // namespace detail

void set_threads(int count) {
  if (count < 1 || count > kMostThreads)
    throw ArgumentError(fmt::format("set_threads: {} threads asked; it can be 1 to {}", count, kMostThreads));
  detail::thread_setting.store(count, std::memory_order_relaxed);
}

int threads() noexcept {
  int count = detail::thread_setting.load(std::memory_order_relaxed);
  if (count == 0) {
    const unsigned processors = std::thread::hardware_concurrency();
    count = static_cast<int>(std::clamp(processors, 1u, static_cast<unsigned>(kMostThreads)));
    // Another thread may just have called set_threads: what it set stands.
    int unset = 0;
    if (!detail::thread_setting.compare_exchange_strong(unset, count, std::memory_order_relaxed))
      count = unset;
  }
  return count;
}

}  // namespace tapegrad
