#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/sizes.h>

/// Windows of images as columns, by which a convolution is a product of matrices; torch.nn.functional.unfold and fold.
namespace tapegrad {

/// Of height and width. The kernel has to be given.
struct Im2colOptions {
  Sizes<2> kernel{};      ///< of the windows
  Sizes<2> stride = 1;    ///< distance of neighbouring windows
  Sizes<2> padding{};     ///< on both sides, by zeros
  Sizes<2> dilation = 1;  ///< distance of neighbouring elements of a window
};

/// The windows of x [n, c, h, w] as the columns of [n, c kh kw, oh ow], windows row by row and each of them channel by
/// channel, row by row. There are
///
///     oh = floor((h + 2 padding - dilation (kh - 1) - 1) / stride) + 1
///
/// along h, and along w in the same way. f32 or f64, else throws DtypeError. Throws ShapeError for another rank, for
/// planes without elements and where no window fits, ArgumentError for kernel, stride or dilation below 1 and a
/// negative padding.
TAPEGRAD_API Tensor im2col(const Tensor& x, const Im2colOptions& options);

/// Images [n, c, height, width] in which each element is the sum of what stands for it in the columns [n, c kh kw, oh
/// ow]: the adjoint of im2col. Throws as im2col, and ShapeError where the columns are not those of such images.
TAPEGRAD_API Tensor col2im(const Tensor& columns, const Sizes<2>& size, const Im2colOptions& options);

}  // namespace tapegrad
