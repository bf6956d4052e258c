#pragma once

#include <cstdint>
#include <vector>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/threads.h>

#include "both_rules.h"
#include "op_support.h"

namespace tapegrad::test {

/// Windows and images that differ in what loops over them distinguish. Padding is the same on both sides.
struct WindowCase {
  std::array<std::int64_t, 2> kernel;
  std::array<std::int64_t, 2> stride;
  std::array<std::int64_t, 2> padding;
  std::array<std::int64_t, 2> dilation;
  bool ceil_mode;
  Shape images;
};

inline std::vector<WindowCase> window_cases() {
  return {
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {2, 3, 4, 6}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {3, 2, 24, 24}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {1, 1, 5, 67}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, true, {1, 2, 5, 7}},
      {{2, 2}, {2, 2}, {1, 1}, {1, 1}, false, {1, 2, 5, 7}},
      {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false, {2, 1, 7, 6}},
      {{3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {2, 1, 8, 41}},
      {{3, 3}, {1, 1}, {1, 1}, {1, 1}, false, {2, 2, 5, 19}},
      {{3, 2}, {1, 3}, {0, 1}, {2, 1}, false, {1, 2, 6, 35}},
      {{2, 3}, {3, 2}, {1, 1}, {1, 2}, true, {1, 1, 7, 8}},
      {{1, 1}, {1, 1}, {0, 0}, {1, 1}, false, {1, 1, 1, 1}},
      {{1, 1}, {3, 2}, {0, 0}, {1, 1}, false, {1, 1, 5, 5}},
      {{5, 4}, {1, 1}, {2, 2}, {1, 1}, false, {1, 2, 5, 4}},
      {{2, 2}, {4, 5}, {1, 0}, {1, 1}, true, {1, 1, 6, 7}},
      {{16, 17}, {1, 2}, {3, 8}, {1, 1}, false, {1, 1, 18, 24}},
      {{3, 3}, {7, 9}, {1, 1}, {1, 1}, true, {1, 1, 3, 3}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {0, 3, 4, 4}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {3, 0, 4, 4}},
      {{2, 2}, {2, 2}, {0, 0}, {1, 1}, false, {5, 7, 40, 40}},
      {{3, 3}, {2, 2}, {1, 1}, {1, 1}, false, {5, 7, 39, 40}},
  };
}

inline detail::Window2d window_of(const WindowCase& c) {
  return {.kernel = c.kernel,
          .stride = c.stride,
          .padding = detail::both_sides(c.padding),
          .dilation = c.dilation,
          .ceil_mode = c.ceil_mode};
}

inline std::string text_of(const WindowCase& c) {
  AttributeText text;
  detail::describe_window(text, window_of(c));
  return to_string(c.images) + ", " + text.text();
}

/// f(window, place, element) for every place of every window of every plane, row by row: the place's number in the
/// window, and the flat index of its element in the images, -1 in the padding. One loop inside the other, nothing
/// clever.
template <class F>
void for_each_place(const WindowCase& c, F&& f) {
  const std::int64_t h = c.images[2], w = c.images[3];
  const detail::Size2d windows = detail::windows_of("test", c.images, window_of(c));
  std::int64_t window = 0;
  for (std::int64_t plane = 0; plane < c.images[0] * c.images[1]; ++plane)
    for (std::int64_t oh = 0; oh < windows[0]; ++oh)
      for (std::int64_t ow = 0; ow < windows[1]; ++ow, ++window)
        for (std::int64_t kh = 0; kh < c.kernel[0]; ++kh)
          for (std::int64_t kw = 0; kw < c.kernel[1]; ++kw) {
            const std::int64_t y = oh * c.stride[0] - c.padding[0] + kh * c.dilation[0];
            const std::int64_t x = ow * c.stride[1] - c.padding[1] + kw * c.dilation[1];
            const bool inside = y >= 0 && y < h && x >= 0 && x < w;
            f(static_cast<std::size_t>(window), kh * c.kernel[1] + kw, inside ? (plane * h + y) * w + x : -1);
          }
}

/// The same bits of f's results and gradients with 1, 2 and 4 threads, and shared work with 2.
template <class F>
void check_threads(const Tensor& x, F&& f) {
  const auto run = [&](int threads) {
    const detail::ThreadLimit limit(threads);
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor y = f(leaf);
    std::vector<std::vector<double>> all{numbers(y)};
    all.push_back(numbers(tape.grad(sum(y * random(y.shape(), x.dtype())), leaf)));
    return all;
  };
  const auto one = run(1);
  BOOST_TEST((run(2) == one));
  BOOST_TEST((run(4) == one));
}

}  // namespace tapegrad::test
