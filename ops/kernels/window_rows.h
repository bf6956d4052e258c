#pragma once

#include <cstdint>
#include <type_traits>

#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/window.h>

/// Loops over the windows of an image, a row of windows at a time: for each place of a window, those of the row whose
/// place lies within the image are one run of elements, a stride apart.
namespace tapegrad::detail {

/// f(i) for each i in [0, n), as simd_for; rows of windows are short, so that smaller blocks are worth it.
template <class F>
void simd_for_short(std::int64_t n, const F& f) {
  std::int64_t i = simd_blocks<kUnroll>(0, n, f);
  i = simd_blocks<kUnroll / 2>(i, n, f);
  i = simd_blocks<kUnroll / 4>(i, n, f);
  for (; i < n; ++i) f(i);
}

/// f(stride), a constant where it is 1 or 2, so that loops over runs become loops over vectors.
template <class F>
void with_stride(std::int64_t stride, F&& f) {
  if (stride == 1)
    f(std::integral_constant<std::int64_t, 1>{});
  else if (stride == 2)
    f(std::integral_constant<std::int64_t, 2>{});
  else
    f(stride);
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

  /// f(place, first, count, from) for each place, row major, of the windows of row `o`: windows first, ..., first + count
  /// - 1 of the row have elements from, from + stride, ... of the image there.
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
  struct Run {
    std::int64_t first;
    std::int64_t count;
    std::int64_t from;
  };
  Workspace<Run, 1024> runs_;  // of each place along w
};

}  // namespace tapegrad::detail
