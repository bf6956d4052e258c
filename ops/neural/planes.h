#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/graph/shape.h>
#include <tapegrad/ops/kernels/window_rows.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/neural/window.h>

/// What the ops over windows of images share: how planes are divided among threads, and how options become windows.
namespace tapegrad::detail {

/// f(begin, end) for ranges of the planes of images [n, c, h, w], shared among threads. Each plane becomes, or comes
/// from, one of the size `other`: the larger of both says how much work it is.
template <class F>
void parallel_planes(const Shape& images, const Size2d& other, const F& f) {
  const std::int64_t work = std::max(images[2] * images[3], other[0] * other[1]);
  parallel_ranges(images[0] * images[1], grain_for(work), f);
}

/// The planes of images [n, c, h, w], and the windows on each.
struct Planes {
  Window2d window;
  Shape images;
  Size2d image;
  Size2d windows;

  /// Throws as windows_of.
  Planes(const char* op, const Shape& x, const Window2d& w)
      : window(w), images(x), windows(windows_of(op, x, w)) {
    image = {x[2], x[3]};
  }

  std::int64_t count() const { return images[0] * images[1]; }
  std::int64_t image_size() const { return image[0] * image[1]; }
  std::int64_t windows_size() const { return windows[0] * windows[1]; }
  /// [n, c, windows along h, windows along w].
  Shape pooled() const { return images.with(2, windows[0]).with(3, windows[1]); }

  /// f(rows, begin, end) for ranges of planes, shared among threads, compiled for each instruction set. `work`: how
  /// many elements a plane stands for.
  template <class F>
  void for_ranges(F&& f) const {
    for_ranges(std::max(image_size(), windows_size()), f);
  }
  template <class F>
  void for_ranges(std::int64_t work, F&& f) const {
    parallel_ranges(count(), grain_for(work), [&](std::int64_t begin, std::int64_t end) {
      dispatch_isa([&] { f(WindowRows(window, image, windows), begin, end); });
    });
  }
  /// The same for what is seldom, and not worth the code of several instruction sets.
  template <class F>
  void for_ranges_of_base(F&& f) const {
    parallel_planes(images, windows, [&](std::int64_t begin, std::int64_t end) {
      f(WindowRows(window, image, windows), begin, end);
    });
  }
};

}  // namespace tapegrad::detail
