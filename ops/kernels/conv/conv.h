#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/neural/window.h>

/// Convolutions of images, and their two derivatives. With x [n, c, ...], weights w [o, c, ...] and results y [n, o,
/// ...],
///
///     y[n, o, p] = sum over c, k of w[o, c, k] x[n, c, p stride + k dilation - padding],
///
/// where x is 0 outside of its image. The three functions below are the three ways to solve that form for one of its
/// tensors: each is linear in both others.
///
/// Images are never unrolled into matrices. Of a few rows of an image a copy is made that has zeros around it and, for
/// strides, elements of one phase side by side. In that copy all elements that one weight meets lie in a row, at a
/// distance that is the same for all results, so the kernels of matrix products read them where they lie. Kernels of
/// 3 x 3 with stride and dilation 1 take fewer multiplications by way of winograd.h, where that is faster. Planes that
/// have a kernel of their own are copied and multiplied one by one (depthwise.h).
///
/// Sums are cut by shapes alone: the bits are the same for any number of threads.
namespace tapegrad::detail {

struct ConvShape {
  std::int64_t batch;
  std::int64_t groups;
  std::int64_t in;   ///< channels of a group
  std::int64_t out;  ///< results of a group
  WindowAxis rows;
  WindowAxis columns;

  std::int64_t input_plane() const { return rows.size * columns.size; }
  std::int64_t output_plane() const { return rows.windows * columns.windows; }
  std::int64_t kernel_plane() const { return rows.kernel * columns.kernel; }
  std::int64_t input_size() const { return batch * groups * in * input_plane(); }
  std::int64_t output_size() const { return batch * groups * out * output_plane(); }
  std::int64_t weight_size() const { return groups * out * in * kernel_plane(); }
};

/// What becomes of the sums; with a ReLU, 0 of those that are negative. Then they are written, not added.
enum class Epilogue : bool { none, relu };

/// y from x and w, plus bias[o] where one is given.
template <class T>
TAPEGRAD_API void conv(const ConvShape& shape, const T* x, const T* w, const T* bias, Destination<T> y,
                       Epilogue epilogue = Epilogue::none);

/// x from y and w, plus bias[c] where one is given: what is called a transposed convolution.
template <class T>
TAPEGRAD_API void conv_transpose(const ConvShape& shape, const T* y, const T* w, const T* bias,
                                 Destination<T> x);

/// w from x and y.
template <class T>
TAPEGRAD_API void conv_weight(const ConvShape& shape, const T* x, const T* y, Destination<T> w);

}  // namespace tapegrad::detail
