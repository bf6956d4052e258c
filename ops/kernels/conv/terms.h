#pragma once

#include <cmath>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/gemm/gradient_product.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/workspace.h>

/// Convolutions with a gradient, in which an element of exactly 0 contributes nothing, even where it meets an infinity
/// or a NaN; nor does what the kernels read beyond the images.
namespace tapegrad::detail {

/// f(i, k, j) for each term x[i] w[k] of y[j] that lies within the image.
template <class F>
void for_each_term(const ConvShape& s, const F& f) {
  const WindowAxis& r = s.rows;
  const WindowAxis& c = s.columns;
  for (std::int64_t i = 0; i < s.batch * s.groups * s.out * s.in; ++i) {
    const std::int64_t channel = i % s.in;
    const std::int64_t o = i / s.in;  // of all results
    const std::int64_t x = (o / s.out * s.in + channel) * s.input_plane();
    const std::int64_t w = (o % (s.groups * s.out) * s.in + channel) * s.kernel_plane();
    for (std::int64_t oy = 0; oy < r.windows; ++oy)
      for (std::int64_t ox = 0; ox < c.windows; ++ox) {
        const WindowAxis::Range rows = r.places(oy), columns = c.places(ox);
        for (std::int64_t ky = rows.first; ky < rows.last; ++ky)
          for (std::int64_t kx = columns.first; kx < columns.last; ++kx)
            f(x + (r.start(oy) + ky * r.dilation) * c.size + c.start(ox) + kx * c.dilation,
              w + ky * c.kernel + kx, o * s.output_plane() + oy * c.windows + ox);
      }
  }
}

/// One of the three tensors of a convolution, as made of both others, `left` and `right`, by `run(to)`. `terms(f)`
/// calls f(target, left, right) with the indices of each of its terms, `start(i)` is what element i begins with.
template <class T, class Run, class Terms, class Start>
void gradient_conv(Gradient gradient, const T* left, std::int64_t left_size, const T* right,
                   std::int64_t right_size, Destination<T> to, std::int64_t size, const Run& run,
                   const Terms& terms, const Start& start) {
  const auto factors_are_finite = [&] {
    return all_finite(left, left_size) && all_finite(right, right_size);
  };
  if (to.add) {  // what is there could not be had again from a sum that is not finite
    if (factors_are_finite()) return run(to);
    return to.through(size, [&](T* out) {
      gradient_conv(gradient, left, left_size, right, right_size, Destination<T>{out, false}, size, run,
                    terms, start);
    });
  }
  run(to);
  if (all_finite(to.data, size) || factors_are_finite()) return;
  Workspace<bool> again(size);
  for (std::int64_t i = 0; i < size; ++i) {
    again[i] = !std::isfinite(to.data[i]);
    if (again[i]) to.data[i] = start(i);
  }
  terms([&](std::int64_t target, std::int64_t l, std::int64_t r) {
    if (!again[target]) return;
    const bool nothing = (is_left(gradient) && left[l] == T{0}) || (is_right(gradient) && right[r] == T{0});
    if (!nothing) to.data[target] += left[l] * right[r];
  });
}

}  // namespace tapegrad::detail
