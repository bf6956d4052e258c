#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/sizes.h>

/// Pooling of images [n, c, h, w] and of sequences [n, c, l]: each plane of each channel by itself, over windows.
/// Sizes of results, with `padded` the size of an axis and the padding on both its sides, are
///
///     floor((padded - dilation (kernel - 1) - 1) / stride) + 1,
///
/// and one more with ceil_mode where windows do not come out even, unless that last one would start in the padding at
/// the end; all as in PyTorch. Inputs are f32 or f64, else DtypeError is thrown. All throw ShapeError for another
/// rank, for planes without elements and where no window fits, ArgumentError for kernel, stride or dilation below 1,
/// and for a padding that is negative or more than half of the kernel. A batch may be empty.
namespace tapegrad {

/// As the stride of a pooling: that of windows side by side, which is the kernel.
inline constexpr std::int64_t kKernelStride = std::numeric_limits<std::int64_t>::min();

/// By axis. The kernel has to be given.
template <std::size_t N>
struct MaxPoolOptions {
  Sizes<N> kernel{};                ///< of the windows
  Sizes<N> stride = kKernelStride;  ///< distance of neighbouring windows
  Sizes<N> padding{};               ///< on both sides, by -infinity
  Sizes<N> dilation = 1;            ///< distance of neighbouring elements of a window
  bool ceil_mode = false;           ///< whether the size of results is rounded up
};
/// Those of max_pool1d and max_pool2d.
using MaxPool1dOptions = MaxPoolOptions<1>;
using MaxPool2dOptions = MaxPoolOptions<2>;

/// The largest element of each window. Its gradient goes to that element: of equal ones to the first, row by row. A NaN
/// is the largest; of several, the last. A window that lies in the padding as a whole gives -infinity, and its
/// gradient goes nowhere.
///
///     max_pool2d(x, 2)                                                        // [n, c, h / 2, w / 2]
///     max_pool2d(x, {.kernel = 3, .stride = 2, .padding = {1, 0}})
TAPEGRAD_API Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options);
TAPEGRAD_API Tensor max_pool2d(const Tensor& x, std::int64_t kernel);
TAPEGRAD_API Tensor max_pool1d(const Tensor& x, const MaxPool1dOptions& options);
TAPEGRAD_API Tensor max_pool1d(const Tensor& x, std::int64_t kernel);

/// By axis. The kernel has to be given.
template <std::size_t N>
struct AvgPoolOptions {
  Sizes<N> kernel{};                ///< of the windows
  Sizes<N> stride = kKernelStride;  ///< distance of neighbouring windows
  Sizes<N> padding{};               ///< on both sides, by zeros
  bool ceil_mode = false;           ///< whether the size of results is rounded up
  /// Whether sums are divided by all elements of a window, those of the padding included; what overhangs the padding in
  /// ceil_mode never counts.
  bool count_include_pad = true;
};
/// Those of avg_pool1d and avg_pool2d.
using AvgPool1dOptions = AvgPoolOptions<1>;
using AvgPool2dOptions = AvgPoolOptions<2>;

/// The mean of each window.
TAPEGRAD_API Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options);
TAPEGRAD_API Tensor avg_pool2d(const Tensor& x, std::int64_t kernel);
TAPEGRAD_API Tensor avg_pool1d(const Tensor& x, const AvgPool1dOptions& options);
TAPEGRAD_API Tensor avg_pool1d(const Tensor& x, std::int64_t kernel);

/// Means of x [n, c, h, w] as [n, c, height, width], whatever h and w: result i along an axis is the mean of elements
/// floor(i h / height) to ceil((i + 1) h / height) - 1. Throws ArgumentError for a size below 1.
TAPEGRAD_API Tensor adaptive_avg_pool2d(const Tensor& x, const Sizes<2>& size);

/// The mean of each plane: x [n, c, ...] as [n, c]. Throws ShapeError for fewer than three axes.
TAPEGRAD_API Tensor global_avg_pool(const Tensor& x);

}  // namespace tapegrad
