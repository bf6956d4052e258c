#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/window.h>

/// Loops over the windows of an image, a row of windows at a time: for each place of a window, those of the row whose
/// place lies within the image are one run of elements, a stride apart.
namespace tapegrad::detail {

/// f(i) for each i in [0, n), as simd_for. Rows of windows are short, so that smaller blocks are worth it.
template <class F>
void simd_for_short(std::int64_t n, const F& f) {
  std::int64_t i = simd_blocks<kUnroll>(0, n, f);
  i = simd_blocks<kUnroll / 2>(i, n, f);
  i = simd_blocks<kUnroll / 4>(i, n, f);
  for (; i < n; ++i) f(i);
}

/// f(i) for each i in [0, n), for some of them twice: the last block overlaps the one before. That must make no
/// difference.
template <class F>
void simd_for_overlapping(std::int64_t n, const F& f) {
  const auto blocks = [&]<std::int64_t kBlock>(std::integral_constant<std::int64_t, kBlock>) {
    if (simd_blocks<kBlock>(0, n, f) < n) simd_blocks<kBlock>(n - kBlock, n, f);
  };
  if (n >= kUnroll)
    blocks(std::integral_constant<std::int64_t, kUnroll>{});
  else if (n >= kUnroll / 2)
    blocks(std::integral_constant<std::int64_t, kUnroll / 2>{});
  else if (n >= kUnroll / 4)
    blocks(std::integral_constant<std::int64_t, kUnroll / 4>{});
  else
    for (std::int64_t i = 0; i < n; ++i) f(i);
}

/// The windows of an image [h, w].
class WindowRows {
 public:
  WindowRows(const Window2d& window, const Size2d& image, const Size2d& windows)
      : h(window, 0, image[0], windows[0]), w(window, 1, image[1], windows[1]), runs_(w.places_met()) {
    for (std::int64_t k = 0; k < runs_.size(); ++k) {
      const WindowAxis::Range r = w.windows_with(k);
      runs_[k] = {r.first, r.last - r.first, w.start(r.first) + k * w.dilation};
    }
  }

  /// Windows first, ..., first + count - 1 of a row, whose place has elements from, from + stride, ... of a row.
  struct Run {
    std::int64_t first;
    std::int64_t count;
    std::int64_t from;
  };
  /// Of place k along w.
  Run run(std::int64_t k) const { return k < runs_.size() ? runs_[k] : Run{0, 0, 0}; }

  /// f(place, first, count, from) for each place, row by row, that windows of row `o` have a run for: `from` counts
  /// from the start of the image.
  template <class F>
  void for_each_run(std::int64_t o, F&& f) const {
    const WindowAxis::Range rows = h.places(o);
    for (std::int64_t k = rows.first; k < rows.last; ++k) {
      const std::int64_t row = (h.start(o) + k * h.dilation) * w.size;
      for (std::int64_t j = 0; j < runs_.size(); ++j)
        if (runs_[j].count > 0) f(k * w.kernel + j, runs_[j].first, runs_[j].count, row + runs_[j].from);
    }
  }

  WindowAxis h;
  WindowAxis w;

 private:
  Workspace<Run, 1024> runs_;  // of each place along w
};

/// to[i stride] += from[i]: what windows have is added to a run of elements.
template <class T>
void add_run(std::int64_t count, const T* from, T* to, std::int64_t stride) {
  if (stride == 1)
    simd_for(count, [=](std::int64_t i) { to[i] += from[i]; });
  else
    for (std::int64_t i = 0; i < count; ++i) to[i * stride] += from[i];
}

/// The rows of an image with their padding, laid out so that place k of all windows of a row is contiguous: elements a
/// stride apart follow each other. What is read of it may be read in whole blocks of vectors.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const WindowRows& rows, T padding)
      : h_(rows.h),
        w_(rows.w),
        stride_(w_.windows == 1 ? 1 : w_.stride),
        in_blocks_((w_.windows + kUnroll - 1) / kUnroll * kUnroll),
        length_(in_blocks_ + (w_.places_met() - 1) * w_.dilation / stride_ + 1),
        rows_(std::min(h_.size, (h_.kernel - 1) * h_.dilation + 1 + h_.stride)),
        elements_(rows_ * stride_ * length_),
        offsets_(w_.places_met()) {
    for (T& x : elements_) x = padding;
    for (std::int64_t k = 0; k < offsets_.size(); ++k)
      offsets_[k] = k * w_.dilation % stride_ * length_ + k * w_.dilation / stride_;
  }

  /// Number of windows of a row, in whole blocks.
  std::int64_t in_blocks() const { return in_blocks_; }

  /// From here on rows are those of this image.
  void start(const T* image) {
    image_ = image;
    loaded_ = 0;
  }
  /// To be called for each row of windows, in order. Rows of the next one are loaded as well: what was written just now
  /// would have to be waited for.
  void advance(std::int64_t o) {
    const std::int64_t end = std::min(h_.size, h_.start(o + 1) + (h_.kernel - 1) * h_.dilation + 1);
    for (; loaded_ < end; ++loaded_) load(image_ + loaded_ * w_.size, at(loaded_));
  }

  /// A row of the image. Place k of its windows, in order, is what follows from offset(k) on.
  const T* row(std::int64_t i) { return at(i); }
  std::int64_t offset(std::int64_t k) const { return offsets_[k]; }

 private:
  T* at(std::int64_t i) { return elements_.data() + i % rows_ * stride_ * length_; }

  void load(const T* row, T* to) const {
    // Element i of the row is number before + i with the padding.
    if (stride_ == 2) {
      T* const even = to + w_.before % 2 * length_ + w_.before / 2;
      T* const odd = to + (1 - w_.before % 2) * length_ + (w_.before + 1) / 2;
      const std::int64_t n = std::min(w_.size, 2 * length_ - w_.before);
      simd_for(n / 2, [=](std::int64_t i) { even[i] = row[2 * i], odd[i] = row[2 * i + 1]; });
      if (n % 2) even[n / 2] = row[n - 1];
      return;
    }
    for (std::int64_t phase = 0; phase < stride_; ++phase) {
      const std::int64_t first = std::max<std::int64_t>(0, (w_.before - phase + stride_ - 1) / stride_);
      const T* const from = row + first * stride_ + phase - w_.before;
      const std::int64_t n =
          std::min(length_ - first, (w_.size + w_.before - phase + stride_ - 1) / stride_ - first);
      T* const out = to + phase * length_ + first;
      if (stride_ == 1)
        simd_for(n, [=](std::int64_t i) { out[i] = from[i]; });
      else
        for (std::int64_t i = 0; i < n; ++i) out[i] = from[i * stride_];
    }
  }

  WindowAxis h_;
  WindowAxis w_;
  std::int64_t stride_;
  std::int64_t in_blocks_;
  std::int64_t length_;  ///< of each of the parts of a row, one for each remainder of the stride
  std::int64_t rows_;    ///< so many are kept, the last ones
  Workspace<T> elements_;
  Workspace<std::int64_t, 512> offsets_;  // of each place
  const T* image_ = nullptr;
  std::int64_t loaded_ = 0;
};

}  // namespace tapegrad::detail
