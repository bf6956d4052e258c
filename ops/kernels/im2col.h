#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/window_rows.h>

/// The loops of im2col over one plane of an image. A line of the columns holds one place of all windows.
namespace tapegrad::detail {

/// Lines [first, last) of the columns of an image, `outside` where a place lies in the padding.
template <class T>
void im2col_lines(const WindowRows& rows, const T* image, T outside, std::int64_t first, std::int64_t last,
                  T* columns) {
  const std::int64_t n = rows.w.windows;
  for (std::int64_t line = first; line < last; ++line) {
    const std::int64_t k = line / rows.w.kernel;
    const WindowRows::Run run = rows.run(line % rows.w.kernel);
    const WindowAxis::Range within = rows.h.windows_with(k);
    for (std::int64_t o = 0; o < rows.h.windows; ++o, columns += n) {
      const bool in_padding = o < within.first || o >= within.last;
      const std::int64_t begin = in_padding ? n : run.first, end = in_padding ? n : run.first + run.count;
      for (std::int64_t i = 0; i < begin; ++i) columns[i] = outside;
      if (begin < end) {
        const T* const from = image + (rows.h.start(o) + k * rows.h.dilation) * rows.w.size + run.from;
        T* const to = columns + begin;
        if (rows.w.stride == 1)
          simd_for(run.count, [=](std::int64_t i) { to[i] = from[i]; });
        else
          for (std::int64_t i = 0; i < run.count; ++i) to[i] = from[i * rows.w.stride];
      }
      for (std::int64_t i = end; i < n; ++i) columns[i] = outside;
    }
  }
}

/// Adds all lines to the image.
template <class T>
void col2im_plane(const WindowRows& rows, const T* columns, T* image) {
  const std::int64_t n = rows.w.windows, line_size = n * rows.h.windows;
  for (std::int64_t o = 0; o < rows.h.windows; ++o)
    rows.for_each_run(o, [&](std::int64_t place, std::int64_t first, std::int64_t count, std::int64_t from) {
      add_run(count, columns + place * line_size + o * n + first, image + from, rows.w.stride);
    });
}

}  // namespace tapegrad::detail
