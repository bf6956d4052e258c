#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/batch.h>
#include <tapegrad/nn/data/data_source.h>
#include <tapegrad/nn/data/idx.h>

namespace tapegrad::nn {

/// How images and labels become tensors.
struct ImageOptions {
  bool normalize = true;  ///< pixels as x / 255 in [0, 1]; otherwise as 0 ... 255
  bool flatten = true;    ///< an image is [channels * rows * columns]; otherwise [channels, rows, columns]
  bool one_hot = false;   ///< a target is f32 [classes]; otherwise an i64 class index
  std::int64_t classes = 10;  ///< labels are 0 ... classes - 1
};

/// Items to learn from, in memory or made as batches ask for them. A cheap handle: copies, slices and splits share the
/// items.
class TAPEGRAD_API Dataset {
 public:
  /// No items.
  Dataset() noexcept = default;
  /// Inputs [n, ...] and targets [n, ...], i64 for class indices; shares their elements. Throws ShapeError
  /// where their numbers differ; given a number of classes, ArgumentError for a class index outside it.
  Dataset(const Tensor& inputs, const Tensor& targets, std::int64_t classes = 0);
  /// Tensors [n, ...] by name, for models of several inputs: those named "x" and "t" are x and t of a batch, the others
  /// are batch["lengths"] and so on. Throws as well ArgumentError for names that are empty or there twice, and for no
  /// tensor.
  ///
  ///     nn::Dataset data({{"x", tokens}, {"lengths", lengths}, {"t", classes}});
  explicit Dataset(const NamedTensors& tensors, std::int64_t classes = 0);
  /// Images [n, rows, columns] (of one channel) or [n, channels, rows, columns], and labels [n], kept as bytes and
  /// converted as batches are made: x is f32.
  /// Throws ShapeError where these are not their shapes, ArgumentError for a label outside the classes.
  Dataset(IdxArray images, const IdxArray& labels, const ImageOptions& options = {});
  /// Items of the program's own: nothing of them is read before it is asked for. Throws ArgumentError for none.
  explicit Dataset(std::shared_ptr<const DataSource> source);

  /// Number of items.
  std::int64_t size() const noexcept { return size_; }
  /// Shape of a tensor of one item: of the input, the target or the one of that name. Where items are made when they
  /// are asked for, this makes one. Throws ArgumentError where there is no such tensor.
  Shape item_shape(std::string_view name) const;
  Shape input_shape() const { return item_shape("x"); }
  Shape target_shape() const { return item_shape("t"); }
  /// Number of classes; 0 where it was not given.
  std::int64_t classes() const;

  /// Items begin ... end - 1, or the first `count`. Throws ArgumentError for a range outside the items.
  Dataset slice(std::int64_t begin, std::int64_t end) const;
  Dataset head(std::int64_t count) const { return slice(0, count); }
  struct Split;
  /// `validation` items chosen at random, by the seed alone, and the others, both shuffled. Throws
  /// ArgumentError for a number outside [0, size].
  Split split(std::int64_t validation, std::uint64_t seed) const;
  /// The items that `change` makes of each batch, when one is asked for, for training and evaluation alike. An item
  /// must come out the same whatever is beside it in its batch; what is random is a Transform or an ItemTransform of
  /// the loader. Copy the batch and change the copy, so that tensors that it does not know stay. Asking for batches
  /// throws what it throws, and ShapeError where it makes another number of items.
  ///
  ///     data.map([](nn::Batch b) { b.x = log(b.x + 1); return b; })
  Dataset map(Callback<Batch(const Batch&)> change) const;

  /// One item. Throws ArgumentError for an index outside the items, and what the source of the items throws.
  Item item(std::int64_t index) const;
  /// Items begin ... end - 1, or those with these indices, which may repeat. The batch's memory comes from
  /// the pool. Throws ArgumentError for an index outside the items, what the source of the items throws, and ShapeError
  /// where that makes another number of items.
  Batch batch(std::int64_t begin, std::int64_t end) const;
  Batch gather(std::span<const std::int64_t> indices) const;

 private:
  Batch rows(std::span<const std::int64_t> rows) const;
  std::int64_t row_of(std::int64_t index) const;

  std::shared_ptr<const DataSource> source_;
  Tensor order_;  ///< i64 indices into the items, or undefined: they stand in order
  std::int64_t begin_ = 0;
  std::int64_t size_ = 0;
};

/// What Dataset::split gives.
struct Dataset::Split {
  Dataset training;    ///< the items that were not chosen
  Dataset validation;  ///< those that were
};

}  // namespace tapegrad::nn
