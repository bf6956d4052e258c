#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/memory_source.h>
#include <tapegrad/nn/data/transforms.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::grain_for;
using tapegrad::detail::parallel_ranges;
using tapegrad::detail::TensorAccess;

namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 30;  // sums of a few do not overflow

void require_images(const char* op, const Tensor& x) {
  tapegrad::detail::require_defined(op, x, "the tensor of images");
  if (x.rank() != 4)
    throw ShapeError(fmt::format(
        "{}: inputs {} given; it takes images [n, channels, height, width], as data sets of images "
        "have them with .flatten = false",
        op, to_string(x.shape())));
}

void require_size(const char* op, std::int64_t height, std::int64_t width) {
  if (std::min(height, width) < 1 || std::max(height, width) > kMostPixels)
    throw ArgumentError(
        fmt::format("{}: {} x {} elements asked for; each number must be in [1, 2^30]", op, height, width));
}

void require_padding(const char* op, const char* what, std::int64_t padding) {
  if (padding < 0 || padding > kMostPixels)
    throw ArgumentError(fmt::format("{}: {} is {}; it must be in [0, 2^30]", op, what, padding));
}

/// The batch with other inputs.
Batch with_inputs(const Batch& batch, const Tensor& x) {
  Batch result = batch;
  result.x = x;
  return result;
}

/// The element of an image that becomes the first one of the result; it may lie outside.
struct Corner {
  std::int64_t top;
  std::int64_t left;
};

/// height x width elements of each image from corner_of(item) on, 0 where they lie outside.
template <class CornerOf>
Tensor cut(const char* op, const Tensor& x, std::int64_t height, std::int64_t width,
           const CornerOf& corner_of) {
  const std::int64_t channels = x.shape()[1];
  const std::int64_t h = x.shape()[2];
  const std::int64_t w = x.shape()[3];
  const Tensor y = TensorAccess::make(Shape{x.shape()[0], channels, height, width}, x.dtype(), op);
  const auto bytes = [size = size_of(x.dtype())](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * size;
  };
  parallel_ranges(y.dim(0), grain_for(channels * height * width), [&](std::int64_t begin, std::int64_t end) {
    const std::byte* from = TensorAccess::data(x) + bytes(begin * channels * h * w);
    std::byte* to = TensorAccess::data(y) + bytes(begin * channels * height * width);
    for (std::int64_t item = begin; item < end; ++item) {
      const auto [top, left] = corner_of(item);
      // Columns [first, last) of the result lie within the image.
      const std::int64_t first = std::clamp<std::int64_t>(-left, 0, width);
      const std::int64_t last = std::clamp<std::int64_t>(w - left, first, width);
      for (std::int64_t channel = 0; channel < channels; ++channel, from += bytes(h * w))
        for (std::int64_t row = top; row < top + height; ++row, to += bytes(width)) {
          if (row < 0 || row >= h || first == last) {
            std::memset(to, 0, bytes(width));
            continue;
          }
          std::memset(to, 0, bytes(first));
          std::memcpy(to + bytes(first), from + bytes(row * w + left + first), bytes(last - first));
          std::memset(to + bytes(last), 0, bytes(width - last));
        }
    }
  });
  return y;
}

Batch crop_at_random(const char* op, const Batch& batch, std::int64_t height, std::int64_t width,
                     std::int64_t padding, Generator& generator) {
  const Shape& s = batch.x.shape();
  const std::int64_t rows = s[2] + padding - height;  // the last place of a corner
  const std::int64_t columns = s[3] + padding - width;
  if (rows < -padding || columns < -padding)
    throw ShapeError(
        fmt::format("{}: {} x {} elements asked of images {} with a padding of {}; crop less, or "
                    "give more padding",
                    op, height, width, to_string(s), padding));
  const Tensor tops = integers({s[0]}, generator, -padding, rows + 1);
  const Tensor lefts = integers({s[0]}, generator, -padding, columns + 1);
  const auto* top = TensorAccess::data_as<std::int64_t>(tops);
  const auto* left = TensorAccess::data_as<std::int64_t>(lefts);
  return with_inputs(batch, cut(op, batch.x, height, width, [&](std::int64_t i) {
                       return Corner{top[i], left[i]};
                     }));
}

}  // namespace

ItemTransform each_item(Transform transform) {
  if (!transform) throw ArgumentError("each_item: there is no transform; give one");
  return [transform = std::move(transform)](const Item& item, Generator& generator) {
    const auto with_axis = [](const Tensor& t) { return t.defined() ? unsqueeze(t.detach(), 0) : Tensor(); };
    Batch batch{with_axis(item.x), with_axis(item.t)};
    for (const auto& [name, t] : item.more) batch.more.emplace_back(name, with_axis(t));
    const Batch result = transform(batch, generator);
    if (!batching::has_items(result, 1))
      throw ShapeError(
          fmt::format("each_item: the transform made {} of a batch of one item; it must leave their number",
                      batching::describe(result)));
    return item_of(result);
  };
}

Compose::Compose(std::initializer_list<Transform> transforms) : transforms_(transforms) {
  for (std::size_t i = 0; i < transforms_.size(); ++i)
    if (!transforms_[i])
      throw ArgumentError(
          fmt::format("compose: transform {} of {} is none; leave it out", i + 1, transforms_.size()));
}

Batch Compose::operator()(const Batch& batch, Generator& generator) const {
  Batch result = batch;
  for (const Transform& transform : transforms_) result = transform(result, generator);
  return result;
}

RandomCrop::RandomCrop(std::int64_t height, std::int64_t width, std::int64_t padding)
    : height_(height), width_(width), padding_(padding) {
  require_size("random_crop", height, width);
  require_padding("random_crop", "the padding", padding);
}

Batch RandomCrop::operator()(const Batch& batch, Generator& generator) const {
  require_images("random_crop", batch.x);
  return crop_at_random("random_crop", batch, height_, width_, padding_, generator);
}

RandomShift::RandomShift(std::int64_t pixels) : pixels_(pixels) {
  require_padding("random_shift", "the number of pixels", pixels);
}

Batch RandomShift::operator()(const Batch& batch, Generator& generator) const {
  require_images("random_shift", batch.x);
  return crop_at_random("random_shift", batch, batch.x.dim(2), batch.x.dim(3), pixels_, generator);
}

RandomHorizontalFlip::RandomHorizontalFlip(double p) : p_(p) {
  if (!(p >= 0 && p <= 1))
    throw ArgumentError(
        fmt::format("random_horizontal_flip: the probability is {}; it must be in [0, 1]", p));
}

Batch RandomHorizontalFlip::operator()(const Batch& batch, Generator& generator) const {
  constexpr auto op = "random_horizontal_flip";
  const Tensor& x = batch.x;
  require_images(op, x);
  const Tensor flips = bernoulli({x.dim(0)}, generator, p_);
  const auto* flip = TensorAccess::data_as<float>(flips);
  const Tensor y = TensorAccess::make(x.shape(), x.dtype(), op);
  const std::int64_t width = x.dim(3);
  const std::int64_t image = x.dim(1) * x.dim(2) * width;
  visit_dtype(x.dtype(), [&]<class T> {
    parallel_ranges(x.dim(0), grain_for(image), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const T* from = TensorAccess::data_as<T>(x) + item * image;
        T* to = TensorAccess::data_as<T>(y) + item * image;
        if (flip[item] == 0)
          std::copy_n(from, image, to);
        else
          for (std::int64_t at = 0; at < image; at += width)
            std::reverse_copy(from + at, from + at + width, to + at);
      }
    });
  });
  return with_inputs(batch, y);
}

CenterCrop::CenterCrop(std::int64_t height, std::int64_t width) : height_(height), width_(width) {
  require_size("center_crop", height, width);
}

Tensor CenterCrop::operator()(const Tensor& images) const {
  require_images("center_crop", images);
  const Shape& s = images.shape();
  if (height_ > s[2] || width_ > s[3])
    throw ShapeError(
        fmt::format("center_crop: {} x {} elements asked of images {}", height_, width_, to_string(s)));
  // By operations, as it may stand in a network.
  const std::int64_t top = (s[2] - height_) / 2, left = (s[3] - width_) / 2;
  return slice(slice(images, 2, top, top + height_), 3, left, left + width_);
}

Batch CenterCrop::operator()(const Batch& batch, Generator&) const {
  return with_inputs(batch, (*this)(batch.x));
}

Normalize::Normalize(const std::vector<double>& mean, const std::vector<double>& stddev) {
  if (mean.size() != stddev.size())
    throw ShapeError(
        fmt::format("normalize: {} means and {} standard deviations; give one of each for every "
                    "channel",
                    mean.size(), stddev.size()));
  if (mean.empty()) throw ArgumentError("normalize: no means given; give one for every channel");
  for (const double m : mean)
    if (!std::isfinite(m)) throw ArgumentError(fmt::format("normalize: a mean is {}; it must be finite", m));
  for (const double d : stddev)
    if (!(d > 0 && std::isfinite(d)))
      throw ArgumentError(
          fmt::format("normalize: a standard deviation is {}; it must be positive and finite", d));
  const Shape shape{static_cast<std::int64_t>(mean.size()), 1, 1};
  mean_ = Tensor::from(mean, shape);
  stddev_ = Tensor::from(stddev, shape);
}

namespace {
/// What stands for each channel of images.
std::vector<double> of_channels(const char* what, const Tensor& t) {
  constexpr auto op = "normalize";
  tapegrad::detail::require_defined(op, t, what);
  tapegrad::detail::require_floating(op, t, what);
  if (t.rank() != 3 || t.dim(1) != 1 || t.dim(2) != 1)
    throw ShapeError(
        fmt::format("normalize: {} is {}; it must be [c, 1, 1], with one number for each channel, as "
                    "input_statistics has them of each channel of images",
                    what, to_string(t.shape())));
  return cast(t, f64).to_vector<double>();
}
}  // namespace

Normalize::Normalize(const InputStatistics& statistics)
    : Normalize(of_channels("the mean", statistics.mean),
                of_channels("the standard deviation", statistics.stddev)) {}

Tensor Normalize::operator()(const Tensor& images) const {
  constexpr auto op = "normalize";
  require_images(op, images);
  tapegrad::detail::require_floating(op, images, "the images");
  if (images.dim(1) != mean_.dim(0))
    throw ShapeError(fmt::format("normalize: images {} have {} channels; there are means of {}",
                                 to_string(images.shape()), images.dim(1), mean_.dim(0)));
  const Tensor mean = cast(mean_, images.dtype());
  const Tensor stddev = cast(stddev_, images.dtype());
  visit_floating(images.dtype(), [&]<class T> {
    for (std::size_t c = 0; c < mean.values<T>().size(); ++c)
      if (!(std::isfinite(mean.values<T>()[c]) && stddev.values<T>()[c] > 0 &&
            std::isfinite(stddev.values<T>()[c])))
        throw ArgumentError(
            fmt::format("normalize: {} does not hold the mean {} and the standard deviation {} of channel {}",
                        name_of(images.dtype()), mean_.values<double>()[c], stddev_.values<double>()[c], c));
  });
  return (images - mean) / stddev;
}

Batch Normalize::operator()(const Batch& batch, Generator&) const {
  return with_inputs(batch, (*this)(batch.x));
}

}  // namespace tapegrad::nn
