#pragma once

#include <cstdint>
#include <iterator>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/transforms.h>

namespace tapegrad::nn {

/// Batches of a dataset, one after the other: `for (const Batch& b : loader.epoch(0))`. A batch is made when
/// the loop reaches it and given up when the loop goes on, so that the next one is made in its memory unless
/// a copy is held.
class TAPEGRAD_API Batches {
 public:
  class Iterator {
   public:
    const Batch& operator*() const { return range_->current_; }
    const Batch* operator->() const { return &range_->current_; }
    Iterator& operator++() {
      range_->advance();
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return range_->current_.size() == 0; }

   private:
    friend class Batches;
    explicit Iterator(Batches* range) : range_(range) {}
    Batches* range_;
  };

  /// Starts from the first batch.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }
  /// Number of batches.
  std::int64_t size() const noexcept { return count_ - first_; }

 private:
  friend class DataLoader;
  friend TAPEGRAD_API Batches in_order(const Dataset& data, std::int64_t at_most, const Transform& transform);
  /// A transform, and of what its generators are made.
  struct Transformed {
    Transform transform{};
    std::uint64_t seed = 0;
    std::uint64_t epoch = 0;
  };
  Batches(const Dataset& data, const Tensor& order, std::int64_t batch, std::int64_t count,
          std::int64_t first, Transformed transformed)
      : data_(data),
        order_(order),
        batch_(batch),
        count_(count),
        first_(first),
        transformed_(std::move(transformed)) {}
  void advance();

  Dataset data_;
  Tensor order_;  ///< i64, or undefined: in order
  std::int64_t batch_;
  std::int64_t count_;  ///< of the whole
  std::int64_t first_;
  Transformed transformed_;
  std::int64_t next_ = 0;
  Batch current_;
};

struct LoaderOptions {
  std::int64_t batch = 100;  ///< items in a batch
  bool shuffle = true;
  bool drop_last = false;  ///< leave out a last batch that is not full
  std::uint64_t seed = 0;
  /// What is made of each batch. It draws from a generator of the batch's own, which depends on its seed, the epoch and
  /// the number of the batch in it alone: not on threads, nor on where an epoch was interrupted.
  Transform transform{};
  std::uint64_t transform_seed = 0;
};

/// Mini-batches for training. Which items an epoch's batches hold, and what a transform makes of them, depends on the
/// seeds and the epoch's number alone. A loop over them throws what the transform throws, and ShapeError where it makes
/// another number of items.
class TAPEGRAD_API DataLoader {
 public:
  /// Throws ArgumentError for data without items, and a batch size below 1 or above their number.
  explicit DataLoader(Dataset data, const LoaderOptions& options = {});

  const Dataset& data() const noexcept { return data_; }
  std::int64_t batch_size() const noexcept { return options_.batch; }
  /// Batches in an epoch.
  std::int64_t size() const noexcept;
  /// Every item once (with drop_last: but for the remainder), in an order of this epoch's own where they are
  /// shuffled. From batch `first` on: the same batches as without it, for an epoch that was interrupted. Throws
  /// ArgumentError for a `first` below 0 or above size().
  Batches epoch(std::uint64_t number, std::int64_t first = 0) const;
  /// A batch of items drawn with replacement, as np.random.choice does: for training that counts iterations. A transform
  /// draws from the same generator.
  Batch sample(Generator& generator) const;

 private:
  Dataset data_;
  LoaderOptions options_;
};

/// All items in order in batches of `at_most` items, the last with the remainder: for evaluation. What evaluation needs
/// as well as training, such as Normalize, is a transform here too; a random one draws as in an epoch 0 of the seed 0.
/// Throws ArgumentError for an `at_most` below 1.
TAPEGRAD_API Batches in_order(const Dataset& data, std::int64_t at_most, const Transform& transform = {});

}  // namespace tapegrad::nn
