#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/statistics.h>

namespace tapegrad::nn {

/// Makes of a batch another one of as many items. All that is random in it is to be drawn from the generator, so that
/// the result depends on the batch and the generator's state alone.
///
///     const nn::Compose moved{nn::RandomCrop(32, 32, 4), nn::RandomHorizontalFlip()};
///     nn::DataLoader loader(cifar.train, {.transform = moved, .transform_seed = 1});
///
/// Those below take images x [n, c, h, w] of any dtype and leave the other tensors as they are, as one of your own does
/// that changes a copy of the batch. They throw ShapeError for inputs of another rank.
using Transform = Callback<Batch(const Batch& batch, Generator& generator)>;

/// Makes of one item another one, as torchvision's transforms do: of images of any sizes, say, crops of one size, which
/// a batch then holds. All that is random in it is to be drawn from the generator. It leaves x and t where the item has
/// them, and makes the same tensors of all items.
///
///     nn::DataLoader loader(photographs, {.item_transform = [](nn::Item item, Generator& g) {
///                                           item.x = random_part(item.x, 224, g);
///                                           return item;
///                                         }});
using ItemTransform = Callback<Item(const Item& item, Generator& generator)>;

/// A transform of batches as one of items: what is made of an item depends on the generator of this item alone then,
/// not on the size of the batch and what else is in it. Throws ArgumentError for a transform that is none.
///
///     {.item_transform = nn::each_item(nn::Compose{nn::RandomCrop(32, 32, 4), nn::RandomHorizontalFlip()})}
TAPEGRAD_API ItemTransform each_item(Transform transform);

/// One transform after the other, each with the generator as the one before has left it.
class TAPEGRAD_API Compose {
 public:
  /// Throws ArgumentError for a transform that is none.
  Compose(std::initializer_list<Transform> transforms);
  Batch operator()(const Batch& batch, Generator& generator) const;  ///< what the last one makes

 private:
  std::vector<Transform> transforms_;
};

/// Each image surrounded by `padding` zeros on every side, and of that height x width elements from a place of its own:
///
///     y[i, c, r, s] = x[i, c, top_i + r, left_i + s], 0 outside the image,
///
/// top uniform among -padding ... h + padding - height, left among -padding ... w + padding - width. Draws the n tops,
/// then the n lefts. torchvision's RandomCrop.
class TAPEGRAD_API RandomCrop {
 public:
  /// Throws ArgumentError for a size outside 1 ... 2^30 and a padding outside 0 ... 2^30.
  RandomCrop(std::int64_t height, std::int64_t width, std::int64_t padding = 0);
  /// Throws ShapeError where a padded image is smaller than what is cut from it.
  Batch operator()(const Batch& batch, Generator& generator) const;

 private:
  std::int64_t height_;
  std::int64_t width_;
  std::int64_t padding_;
};

/// Each image moved by -pixels ... pixels down and to the right, zeros moving in: the random crop of an image's own
/// size with that padding.
class TAPEGRAD_API RandomShift {
 public:
  /// Throws ArgumentError for a number of pixels outside 0 ... 2^30.
  explicit RandomShift(std::int64_t pixels);
  Batch operator()(const Batch& batch, Generator& generator) const;  ///< the batch with images moved

 private:
  std::int64_t pixels_;
};

/// Each image mirrored left to right with the probability p, by one draw for each: y[i, c, r, s] = x[i, c, r, w - 1 -
/// s]. torchvision's RandomHorizontalFlip.
class TAPEGRAD_API RandomHorizontalFlip {
 public:
  /// Throws ArgumentError for a p outside [0, 1].
  explicit RandomHorizontalFlip(double p = 0.5);
  Batch operator()(const Batch& batch, Generator& generator) const;  ///< with images mirrored

 private:
  double p_;
};

/// height x width elements from the middle of each image, from the row (h - height) / 2 and the column (w - width) / 2,
/// rounded down: what evaluation takes where training takes random crops. As torchvision's CenterCrop of images that
/// are large enough, but for its rounding of halves.
class TAPEGRAD_API CenterCrop {
 public:
  /// Throws ArgumentError for a size outside 1 ... 2^30.
  CenterCrop(std::int64_t height, std::int64_t width);
  /// Throws ShapeError for smaller images.
  Tensor operator()(const Tensor& images) const;
  Batch operator()(const Batch& batch, Generator&) const;

 private:
  std::int64_t height_;
  std::int64_t width_;
};

/// y[i, c, r, s] = (x[i, c, r, s] - mean[c]) / stddev[c], computed in the dtype of x: torchvision's Normalize.
/// Evaluation needs it as well as training: give it to both. nn::Standardize is the same as a layer, saved with the
/// weights.
class TAPEGRAD_API Normalize {
 public:
  /// One number of each for every channel. Throws ShapeError where they are not as many, ArgumentError for none, a mean
  /// that is not finite and a standard deviation that is not positive and finite.
  Normalize(const std::vector<double>& mean, const std::vector<double>& stddev);
  /// Those of input_statistics for each channel, [c, 1, 1]; ShapeError for others.
  explicit Normalize(const InputStatistics& statistics);
  /// Throws ShapeError for images of another number of channels, DtypeError for integers, ArgumentError for numbers
  /// that the dtype does not hold.
  Tensor operator()(const Tensor& images) const;
  Batch operator()(const Batch& batch, Generator&) const;

 private:
  Tensor mean_;  ///< f64 [c, 1, 1]
  Tensor stddev_;
};

}  // namespace tapegrad::nn
