#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/data/transforms.h>

namespace tapegrad::nn {

namespace loading {
class BatchMaker;
class BatchesAhead;
/// Ends the threads of BatchesAhead.
struct EndThreads {
  TAPEGRAD_API void operator()(BatchesAhead* ahead) const noexcept;
};
}  // namespace loading

/// Batches of a dataset, one after the other: `for (const Batch& b : loader.epoch(0))`. A batch is made when
/// the loop reaches it, or by workers ahead of it, and given up when the loop goes on, so that another one is made in
/// its memory unless a copy is held. Workers are started by begin() and end with the range or its last batch: a loop
/// may be left at any time. Where the system gives no thread, and in the child of a fork, the loop goes on without
/// them.
class TAPEGRAD_API Batches {
 public:
  /// Walks the batches once.
  class Iterator {
   public:
    /// The batch at hand, valid until the next step.
    const Batch& operator*() const { return range_->current_; }
    const Batch* operator->() const { return &range_->current_; }
    /// On to the next batch, which is made then or was made ahead.
    Iterator& operator++() {
      range_->advance();
      return *this;
    }
    /// Whether the last batch is over.
    bool operator==(std::default_sentinel_t) const { return range_->ended_; }

   private:
    friend class Batches;
    friend class DataLoader;
    explicit Iterator(Batches* range) : range_(range) {}
    Batches* range_;
    std::shared_ptr<Batches> owned_{};  ///< the range, where nobody else has it
  };

  Batches(Batches&&) noexcept;
  Batches& operator=(Batches&&) noexcept;
  ~Batches();

  /// Starts from the first batch.
  Iterator begin();
  /// Behind the last batch.
  std::default_sentinel_t end() const { return {}; }
  /// Number of batches.
  std::int64_t size() const noexcept;

 private:
  friend class DataLoader;
  friend TAPEGRAD_API Batches share_in_order(const Dataset& data, std::int64_t at_most,
                                             const Transform& transform, std::int64_t workers,
                                             std::int64_t share, std::int64_t shares);
  Batches(std::shared_ptr<const loading::BatchMaker> maker, std::int64_t first, std::int64_t workers,
          std::int64_t prefetch)
      : maker_(std::move(maker)), first_(first), workers_(workers), prefetch_(prefetch) {}
  void advance();

  std::shared_ptr<const loading::BatchMaker> maker_;
  std::unique_ptr<loading::BatchesAhead, loading::EndThreads> ahead_;
  std::int64_t first_;
  std::int64_t workers_;
  std::int64_t prefetch_;
  std::int64_t next_ = 0;
  bool ended_ = true;
  Batch current_;
};

/// How a loader makes batches.
struct LoaderOptions {
  std::int64_t batch = 100;  ///< items in a batch
  bool shuffle = true;       ///< an order of each epoch's own
  bool drop_last = false;    ///< leave out a last batch that is not full
  std::uint64_t seed = 0;    ///< of that order
  /// What is made of each batch. It draws from a generator of the batch's own, which depends on its seed, the epoch and
  /// the number of the batch in it alone: not on threads, nor on where an epoch was interrupted.
  Transform transform{};
  /// What is made of each item before it is in a batch, and before `transform`. It draws from a generator of the item's
  /// own, which depends on transform_seed, the epoch and the item's index in the data set alone: neither on the size of
  /// batches nor on their order.
  ItemTransform item_transform{};
  std::uint64_t transform_seed = 0;  ///< of what the two draw
  /// Threads that prepare batches ahead: the same batches, to the bit, for any number of them. The data and the
  /// transform are then used by several threads at once, each with operations of one thread; what they throw arrives
  /// at the batch that it belongs to. They gain where items are read, decoded or augmented. 0: the loop makes each
  /// batch.
  std::int64_t workers = 0;
  /// At most so many batches are ready or being made by workers beyond the one at hand; 0: two for each worker.
  std::int64_t prefetch = 0;
  /// Of each batch only these pieces, one after the other in place of the batch. A transform draws from a generator of
  /// the piece's own.
  Shard shard{};
};

/// Mini-batches for training. Which items an epoch's batches hold, and what a transform makes of them, depends on the
/// seeds and the epoch's number alone. A loop over them throws what the data and the transform throw, OutOfMemory, and
/// ShapeError where the transform makes another number of items or leaves out x or t.
///
///     nn::DataLoader loader(mnist.train, {.batch = 100});
///     for (int epoch = 0; epoch < 10; ++epoch)
///       for (const nn::Batch& batch : loader) ...
///
/// Each loop over the loader itself is another epoch: 0, then 1, ... Those with a number are epoch(number).
class TAPEGRAD_API DataLoader {
 public:
  /// Throws ArgumentError for data without items, a batch size below 1 or above their number, and numbers of workers,
  /// of batches ahead and of pieces that cannot be.
  explicit DataLoader(Dataset data, const LoaderOptions& options = {});

  /// The data set, and the number of items in a batch.
  const Dataset& data() const noexcept { return data_; }
  std::int64_t batch_size() const noexcept { return options_.batch; }
  /// Batches in an epoch.
  std::int64_t size() const noexcept;
  /// Every item once (with drop_last: but for the remainder), in an order of this epoch's own where they are
  /// shuffled. From batch `first` on: the same batches as without it, for an epoch that was interrupted. Throws
  /// ArgumentError for a `first` below 0 or above size().
  Batches epoch(std::uint64_t number, std::int64_t first = 0) const;
  /// The batches of next_epoch(), which is one higher from then on. A loop that is left does not go on: the next one
  /// is the next epoch.
  Batches::Iterator begin();
  /// Behind the last batch.
  std::default_sentinel_t end() const { return {}; }
  /// The number of the epoch that the next loop over the loader itself is; it may be set.
  std::uint64_t next_epoch() const noexcept { return next_epoch_; }
  void set_next_epoch(std::uint64_t number) noexcept { next_epoch_ = number; }
  /// A batch of items drawn with replacement, as np.random.choice does: for training that counts iterations. A
  /// transform draws from the same generator.
  Batch sample(Generator& generator) const;

 private:
  Dataset data_;
  LoaderOptions options_;
  std::uint64_t next_epoch_ = 0;
};

/// All items in order in batches of `at_most` items, the last with the remainder: for evaluation. What evaluation needs
/// as well as training, such as Normalize, is a transform here too; a random one draws as in an epoch 0 of the seed 0.
/// Throws ArgumentError for an `at_most` below 1, and as DataLoader for `workers`.
TAPEGRAD_API Batches in_order(const Dataset& data, std::int64_t at_most, const Transform& transform = {},
                              std::int64_t workers = 0);
/// Of these batches share `share` of `shares`, as ranks evaluate them: neighbours, as equally many as they can be.
TAPEGRAD_API Batches share_in_order(const Dataset& data, std::int64_t at_most, const Transform& transform,
                                    std::int64_t workers, std::int64_t share, std::int64_t shares);

}  // namespace tapegrad::nn
