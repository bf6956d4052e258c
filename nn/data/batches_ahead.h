#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <sys/types.h>

#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/data/batch_maker.h>

namespace tapegrad::nn::loading {

/// Batches of an epoch in their order, made by threads before they are asked for. Not part of the library's interface.
///
/// Whichever thread is free makes the next batch; a batch depends on its number alone. It waits in a slot of its own
/// until it is taken, with the exception that making it has thrown, if any.
class BatchesAhead {
 public:
  /// Batches from `first` on, by `workers` threads, or fewer where the system gives no more: see has_workers. Batch n
  /// is not begun before batch n - prefetch has been taken. There is a batch to make, and both numbers are above 0.
  BatchesAhead(std::shared_ptr<const BatchMaker> maker, std::int64_t first, std::int64_t workers,
               std::int64_t prefetch);
  /// Ends the threads, each when the batch that it is making is made.
  ~BatchesAhead();
  BatchesAhead(const BatchesAhead&) = delete;
  BatchesAhead& operator=(const BatchesAhead&) = delete;

  bool has_workers() const noexcept { return !threads_.empty(); }
  /// In the child of a fork the threads do not exist, and one of them may have held the lock: only end() may then
  /// be called.
  bool is_left_behind() const noexcept;
  /// Destroys it, or leaves it as it is where it is left behind.
  static void end(BatchesAhead* ahead) noexcept;
  /// The next batch: waits for it, throws what making it has thrown. The one after it is next in any case.
  Batch take();

 private:
  struct Slot {
    Batch batch{};
    std::exception_ptr failure{};
    bool ready = false;
  };
  template <class T>
  using PoolVector = std::vector<T, tapegrad::detail::PoolAllocator<T>>;

  void start(std::int64_t workers) noexcept;
  void work() noexcept;
  Slot& slot_of(std::int64_t number) { return slots_[static_cast<std::size_t>(number) % slots_.size()]; }

  const std::shared_ptr<const BatchMaker> maker_;
  const pid_t process_;
  BatchesAhead* left_behind_before_ = nullptr;

  std::mutex mutex_;
  std::condition_variable room_;   ///< there is a batch that may be begun, or none will be
  std::condition_variable ready_;  ///< a batch has been made
  PoolVector<Slot> slots_;
  std::int64_t next_to_make_;
  std::int64_t next_to_take_;
  bool ending_ = false;

  PoolVector<std::thread> threads_;
};

}  // namespace tapegrad::nn::loading
