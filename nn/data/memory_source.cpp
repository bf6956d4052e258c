#include <algorithm>
#include <cstring>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/memory_source.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::dispatch_isa;
using tapegrad::detail::grain_for;
using tapegrad::detail::kLongUnroll;
using tapegrad::detail::parallel_ranges;
using tapegrad::detail::simd_for;
using tapegrad::detail::TensorAccess;

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

void prefetch(const std::byte* item, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kMost = 4096;  // from there on the processor follows by itself
  for (std::size_t at = 0; at < std::min(bytes, kMost); at += kLine) __builtin_prefetch(item + at);
}

/// f(i, row) for each index i, whose row lies `stride` bytes behind the one before it, from `rows` on. Items that were
/// shuffled lie anywhere in memory: the next ones are fetched while this one is worked on.
template <class F>
void for_each_row(std::span<const std::int64_t> indices, const std::byte* rows, std::size_t stride,
                  std::int64_t elements, const F& f) {
  constexpr std::int64_t kAhead = 3;
  const auto row = [&](std::int64_t i) {
    return rows + static_cast<std::size_t>(indices[static_cast<std::size_t>(i)]) * stride;
  };
  parallel_ranges(std::ssize(indices), grain_for(elements), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < std::min(begin + kAhead, end); ++i) prefetch(row(i), stride);
    for (std::int64_t i = begin; i < end; ++i) {
      if (i + kAhead < end) prefetch(row(i + kAhead), stride);
      f(i, row(i));
    }
  });
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

/// The rows with these indices of a tensor.
Tensor rows_of(const Tensor& all, std::span<const std::int64_t> indices) {
  const Tensor rows =
      TensorAccess::make(all.shape().with(0, std::ssize(indices)), all.dtype(), "dataset: a batch");
  const std::int64_t elements = all.shape().removed(0).size();
  const std::size_t bytes = static_cast<std::size_t>(elements) * size_of(all.dtype());
  if (bytes == 0) return rows;
  std::byte* const to = TensorAccess::data(rows);
  for_each_row(indices, TensorAccess::data(all), bytes, elements, [&](std::int64_t i, const std::byte* from) {
    std::memcpy(to + static_cast<std::size_t>(i) * bytes, from, bytes);
  });
  return rows;
}

}  // namespace

Item item_of(const Batch& batch) {
  const auto without_axis = [](const Tensor& t) {
    return t.defined() ? TensorAccess::view(t, 0, t.shape().removed(0)) : Tensor();
  };
  Item item{without_axis(batch.x), without_axis(batch.t)};
  for (const auto& [name, tensor] : batch.more) item.more.emplace_back(name, without_axis(tensor));
  return item;
}

TensorSource::TensorSource(const Batch& all, std::int64_t classes) : classes_(classes) {
  if (classes < 0)
    throw ArgumentError(
        fmt::format("dataset: {} classes; give their number, or 0 where there are none", classes));
  batching::require_names("dataset", all);
  bool have_items = true;
  batching::for_each(all,
                     [&](std::string_view, const Tensor& t) { have_items = have_items && t.rank() > 0; });
  if (!have_items || !batching::has_items(all, all.size()))
    throw ShapeError(fmt::format("dataset: {} given; each needs a first axis with one entry for each item",
                                 batching::describe(all)));
  if (classes > 0 && all.t.defined() && all.t.dtype() == i64 && all.t.rank() == 1)
    require_labels_below(all.t.values<std::int64_t>(), classes);
  all_.x = all.x.detach();
  all_.t = all.t.detach();
  for (const auto& [name, tensor] : all.more) all_.more.emplace_back(name, tensor.detach());
}

Item TensorSource::item(std::int64_t index) const { return item_of(gather({&index, 1})); }

Batch TensorSource::gather(std::span<const std::int64_t> indices) const {
  Batch batch;
  if (all_.x.defined()) batch.x = rows_of(all_.x, indices);
  if (all_.t.defined()) batch.t = rows_of(all_.t, indices);
  batch.more.reserve(all_.more.size());
  for (const auto& [name, tensor] : all_.more) batch.more.emplace_back(name, rows_of(tensor, indices));
  return batch;
}

ImageSource::ImageSource(IdxArray images, const IdxArray& labels, const ImageOptions& options)
    : options_(options) {
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
  const Shape image = s.rank() == 4 ? s.removed(0) : s.removed(0).inserted(0, 1);
  image_ = options.flatten ? Shape{image.size()} : image;
  pixels_ = std::move(images.bytes);
  labels_ = labels.bytes;
}

Item ImageSource::item(std::int64_t index) const { return item_of(gather({&index, 1})); }

Batch ImageSource::gather(std::span<const std::int64_t> indices) const {
  const std::int64_t count = std::ssize(indices);
  const std::int64_t classes = options_.classes;
  Batch batch{Tensor::empty(image_.inserted(0, count)),
              options_.one_hot ? Tensor::empty({count, classes}) : Tensor::empty({count}, i64)};
  const std::int64_t size = image_.size();
  float* const x = TensorAccess::data_as<float>(batch.x);
  for_each_row(
      indices, reinterpret_cast<const std::byte*>(pixels_.data()), static_cast<std::size_t>(size), size,
      [&](std::int64_t i, const std::byte* from) {
        dispatch_isa([&]() {
          convert(reinterpret_cast<const std::uint8_t*>(from), x + i * size, size, options_.normalize);
        });
        const std::uint8_t label = labels_[static_cast<std::size_t>(indices[static_cast<std::size_t>(i)])];
        if (options_.one_hot) {
          float* const hot = TensorAccess::data_as<float>(batch.t) + i * classes;
          std::fill_n(hot, classes, 0.0F);
          hot[label] = 1.0F;
        } else {
          TensorAccess::data_as<std::int64_t>(batch.t)[i] = label;
        }
      });
  return batch;
}

}  // namespace tapegrad::nn
