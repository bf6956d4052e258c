#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/idx.h>

namespace tapegrad::nn {

/// Inputs x and targets t of several items; the first axis counts the items.
struct Batch {
  Tensor x;
  Tensor t;
  std::int64_t size() const { return x.defined() ? x.dim(0) : 0; }
};

struct ImageOptions {
  bool normalize = true;  ///< pixels as x / 255 in [0, 1]; otherwise as 0 ... 255
  bool flatten = true;    ///< an image is [channels * rows * columns]; otherwise [channels, rows, columns]
  bool one_hot = false;   ///< a target is f32 [classes]; otherwise an i64 class index
  std::int64_t classes = 10;  ///< labels are 0 ... classes - 1
};

/// Items to learn from, each an input and a target. A cheap handle: copies, slices and splits share the
/// items.
class TAPEGRAD_API Dataset {
 public:
  /// No items.
  Dataset() noexcept = default;
  /// Inputs [n, ...] and targets [n, ...], i64 for class indices; shares their elements. Throws ShapeError
  /// where their numbers differ; given a number of classes, ArgumentError for a class index outside it.
  Dataset(const Tensor& inputs, const Tensor& targets, std::int64_t classes = 0);
  /// Images [n, rows, columns] (of one channel) or [n, channels, rows, columns], and labels [n], kept as bytes and
  /// converted as batches are made: x is f32.
  /// Throws ShapeError where these are not their shapes, ArgumentError for a label outside the classes.
  Dataset(IdxArray images, const IdxArray& labels, const ImageOptions& options = {});

  std::int64_t size() const noexcept { return size_; }
  /// Shapes of the input and the target of one item.
  const Shape& input_shape() const;
  const Shape& target_shape() const;
  /// Number of classes; 0 where it was not given.
  std::int64_t classes() const noexcept;

  /// Items begin ... end - 1, or the first `count`. Throws ArgumentError for a range outside the items.
  Dataset slice(std::int64_t begin, std::int64_t end) const;
  Dataset head(std::int64_t count) const { return slice(0, count); }
  struct Split;
  /// `validation` items chosen at random, by the seed alone, and the others, both shuffled. Throws
  /// ArgumentError for a number outside [0, size].
  Split split(std::int64_t validation, std::uint64_t seed) const;

  /// Items begin ... end - 1, or those with these indices, which may repeat. The batch's memory comes from
  /// the pool. Throws ArgumentError for an index outside the items.
  Batch batch(std::int64_t begin, std::int64_t end) const;
  Batch gather(std::span<const std::int64_t> indices) const;

 private:
  struct Items;
  template <class IndexOf>
  Batch collect(std::int64_t count, IndexOf index_of) const;

  std::shared_ptr<const Items> items_;
  Tensor order_;  ///< i64 indices into the items, or undefined: they stand in order
  std::int64_t begin_ = 0;
  std::int64_t size_ = 0;
};

struct Dataset::Split {
  Dataset training;
  Dataset validation;
};

}  // namespace tapegrad::nn
