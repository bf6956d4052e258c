#include <algorithm>
#include <cstring>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::dispatch_isa;
using tapegrad::detail::kLongUnroll;
using tapegrad::detail::parallel_ranges;
using tapegrad::detail::simd_for;
using tapegrad::detail::TensorAccess;

/// Either tensors, or bytes still to be converted.
struct Dataset::Items {
  Tensor inputs;
  Tensor targets;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
  Shape input_shape;
  Shape target_shape;
  std::int64_t classes = 0;
  bool normalize = false;

  bool bytes() const { return !inputs.defined(); }
};

namespace {

/// out = in, or the float nearest to in / 255. That is in * (2^-8 + 2^-16), which is exact, and a small rest:
/// the product with the float nearest to 1 / 255 would differ from the quotient for some bytes, a division
/// costs more.
void convert(const std::uint8_t* in, float* out, std::int64_t count, bool normalize) {
  constexpr float kHead = 0x1.01p-8F;
  constexpr float kRest = static_cast<float>(1.0 / 255 - 0x1.01p-8);
  if (normalize)
    simd_for<kLongUnroll>(count, [&](std::int64_t i) {
      const auto x = static_cast<float>(in[i]);
      out[i] = x * kHead + x * kRest;
    });
  else
    simd_for<kLongUnroll>(count, [&](std::int64_t i) { out[i] = static_cast<float>(in[i]); });
}

/// Items that were shuffled lie anywhere in memory: the next ones are fetched while this one is converted.
constexpr std::int64_t kAhead = 3;
void prefetch(const std::byte* item, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kMost = 4096;  // from there on the processor follows by itself
  for (std::size_t at = 0; at < std::min(bytes, kMost); at += kLine) __builtin_prefetch(item + at);
}

template <class Label>
void require_labels_below(std::span<const Label> labels, std::int64_t classes) {
  const auto bad = std::ranges::find_if(labels, [&](std::int64_t c) { return c < 0 || c >= classes; });
  if (bad != labels.end())
    throw ArgumentError(fmt::format(
        "dataset: label {} of item {} is outside 0 ... {}: there are {} classes; correct it, or give "
        "more classes",
        *bad, bad - labels.begin(), classes - 1, classes));
}

Shape with_items(std::int64_t count, const Shape& item) { return item.inserted(0, count); }

std::size_t bytes_of(const Shape& shape, Dtype dtype) {
  return static_cast<std::size_t>(shape.size()) * size_of(dtype);
}

}  // namespace

Dataset::Dataset(const Tensor& inputs, const Tensor& targets, std::int64_t classes) {
  tapegrad::detail::require_defined("dataset", inputs, "the tensor of inputs");
  tapegrad::detail::require_defined("dataset", targets, "the tensor of targets");
  if (inputs.rank() == 0 || targets.rank() == 0 || inputs.dim(0) != targets.dim(0))
    throw ShapeError(
        fmt::format("dataset: inputs {} and targets {} need a first axis with one entry for each item",
                    to_string(inputs.shape()), to_string(targets.shape())));
  if (classes < 0)
    throw ArgumentError(
        fmt::format("dataset: {} classes; give their number, or 0 where there are none", classes));
  if (classes > 0 && targets.dtype() == i64 && targets.rank() == 1)
    require_labels_below(targets.values<std::int64_t>(), classes);
  auto items = std::make_shared<Items>();
  items->inputs = inputs.detach();
  items->targets = targets.detach();
  items->input_shape = inputs.shape().removed(0);
  items->target_shape = targets.shape().removed(0);
  items->classes = classes;
  size_ = inputs.dim(0);
  items_ = std::move(items);
}

Dataset::Dataset(IdxArray images, const IdxArray& labels, const ImageOptions& options) {
  const Shape& s = images.shape;
  if ((s.rank() != 3 && s.rank() != 4) || labels.shape.rank() != 1 || s[0] != labels.shape[0] ||
      images.bytes.size() != static_cast<std::size_t>(s.size()) ||
      labels.bytes.size() != static_cast<std::size_t>(labels.shape.size()))
    throw ShapeError(
        fmt::format("dataset: images {} ({} bytes) and labels {} ({} bytes) given, expected [n, rows, "
                    "columns] or [n, channels, rows, columns], and [n]",
                    to_string(s), images.bytes.size(), to_string(labels.shape), labels.bytes.size()));
  if (options.classes < 1)
    throw ArgumentError(fmt::format("dataset: {} classes; there must be at least one", options.classes));
  require_labels_below<std::uint8_t>(labels.bytes, options.classes);
  auto items = std::make_shared<Items>();
  items->pixels = std::move(images.bytes);
  items->labels = labels.bytes;
  const Shape image = s.rank() == 4 ? s.removed(0) : s.removed(0).inserted(0, 1);
  items->input_shape = options.flatten ? Shape{image.size()} : image;
  items->target_shape = options.one_hot ? Shape{options.classes} : Shape{};
  items->classes = options.classes;
  items->normalize = options.normalize;
  size_ = s[0];
  items_ = std::move(items);
}

const Shape& Dataset::input_shape() const {
  if (!items_) throw ArgumentError("dataset: it is empty and has no shape");
  return items_->input_shape;
}

const Shape& Dataset::target_shape() const {
  if (!items_) throw ArgumentError("dataset: it is empty and has no shape");
  return items_->target_shape;
}

std::int64_t Dataset::classes() const noexcept { return items_ ? items_->classes : 0; }

Dataset Dataset::slice(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || end < begin || end > size_)
    throw ArgumentError(fmt::format("dataset: items {} to {} asked of {} items", begin, end, size_));
  Dataset part = *this;
  part.begin_ += begin;
  part.size_ = end - begin;
  return part;
}

Dataset::Split Dataset::split(std::int64_t validation, std::uint64_t seed) const {
  if (validation < 0 || validation > size_)
    throw ArgumentError(fmt::format("split: {} items asked for validation of {} items", validation, size_));
  Generator generator(seed);
  Dataset shuffled = *this;
  shuffled.order_ = permutation(size_, generator);
  shuffled.begin_ = 0;
  for (std::int64_t& i : shuffled.order_.mutable_values<std::int64_t>())
    i = order_.defined() ? order_.values<std::int64_t>()[static_cast<std::size_t>(begin_ + i)] : begin_ + i;
  return {shuffled.slice(validation, size_), shuffled.slice(0, validation)};
}

Batch Dataset::batch(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || end < begin || end > size_)
    throw ArgumentError(fmt::format("batch: items {} to {} asked of {} items", begin, end, size_));
  return collect(end - begin, [&](std::int64_t i) { return begin + i; });
}

Batch Dataset::gather(std::span<const std::int64_t> indices) const {
  for (const std::int64_t i : indices)
    if (i < 0 || i >= size_) throw ArgumentError(fmt::format("gather: item {} asked of {} items", i, size_));
  return collect(static_cast<std::int64_t>(indices.size()),
                 [&](std::int64_t i) { return indices[static_cast<std::size_t>(i)]; });
}

template <class IndexOf>
Batch Dataset::collect(std::int64_t count, IndexOf index_of) const {
  if (!items_) throw ArgumentError("dataset: it is empty and has no batches");
  const Items& items = *items_;
  const std::int64_t* order = order_.defined() ? TensorAccess::data_as<std::int64_t>(order_) : nullptr;
  const auto row = [&](std::int64_t i) {
    const std::int64_t at = begin_ + index_of(i);
    return static_cast<std::size_t>(order ? order[at] : at);
  };
  const bool one_hot = items.bytes() && items.target_shape.rank() == 1;
  const Dtype input_dtype = items.bytes() ? f32 : items.inputs.dtype();
  const Dtype target_dtype = items.bytes() ? (one_hot ? f32 : i64) : items.targets.dtype();
  Batch batch{Tensor::empty(with_items(count, items.input_shape), input_dtype),
              Tensor::empty(with_items(count, items.target_shape), target_dtype)};
  std::byte* x = TensorAccess::data(batch.x);
  std::byte* t = TensorAccess::data(batch.t);
  const std::size_t x_bytes = bytes_of(items.input_shape, input_dtype);
  const std::size_t t_bytes = bytes_of(items.target_shape, target_dtype);

  const std::byte* inputs = items.bytes() ? reinterpret_cast<const std::byte*>(items.pixels.data())
                                          : TensorAccess::data(items.inputs);
  const std::size_t stride = items.bytes() ? static_cast<std::size_t>(items.input_shape.size()) : x_bytes;

  const std::int64_t grain = tapegrad::detail::grain_for(items.input_shape.size());
  parallel_ranges(count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < std::min(begin + kAhead, end); ++i)
      prefetch(inputs + row(i) * stride, stride);
    for (std::int64_t i = begin; i < end; ++i) {
      std::byte* const to = x + static_cast<std::size_t>(i) * x_bytes;
      std::byte* const target = t + static_cast<std::size_t>(i) * t_bytes;
      const std::size_t from = row(i);
      if (i + kAhead < end) prefetch(inputs + row(i + kAhead) * stride, stride);
      if (!items.bytes()) {
        std::memcpy(to, inputs + from * stride, stride);
        std::memcpy(target, TensorAccess::data(items.targets) + from * t_bytes, t_bytes);
        continue;
      }
      dispatch_isa([&]() {
        convert(items.pixels.data() + from * stride, reinterpret_cast<float*>(to), items.input_shape.size(),
                items.normalize);
      });
      if (one_hot) {
        auto* hot = reinterpret_cast<float*>(target);
        std::fill_n(hot, static_cast<std::size_t>(items.classes), 0.0F);
        hot[items.labels[from]] = 1.0F;
      } else {
        *reinterpret_cast<std::int64_t*>(target) = items.labels[from];
      }
    }
  });
  return batch;
}

}  // namespace tapegrad::nn
