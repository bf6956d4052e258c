#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/gemm/gradient_product.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/window.h>

/// What the operations of a convolution share: which operands fit, and how each of the three tensors is made of both
/// others. Operands that are gradients are told by Gradient: their zeros contribute nothing.
namespace tapegrad::detail {

/// Convolutions from images x to images y.
ConvShape conv_shape(const Window2d& window, std::int64_t groups, const Shape& x, const Shape& y);

/// Throws unless the channels of an operand, along `axis`, are equally many in each group.
void require_groups(const char* op, const char* what, const Tensor& t, std::size_t axis, std::int64_t groups);
/// Throws unless a bias, where there is one, has an element for each of so many channels.
void require_bias(const char* op, const Tensor& x, const Tensor& bias, std::int64_t channels,
                  const Tensor& w);
/// Throws unless windows over x make the images of y.
void require_result(const char* op, const Shape& x, const Shape& y, const Window2d& window);
/// That of conv2d. Throws for operands that do not fit.
Shape shape_of_conv(const char* op, const Window2d& window, std::int64_t groups, const Tensor& x,
                    const Tensor& w, const Tensor& bias);

/// The elements of an optional operand.
template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? TensorAccess::data_as<T>(t) : nullptr;
}

/// y of x and w, and a bias where it is not null.
template <class T>
void write_y(const ConvShape& s, Gradient gradient, const T* x, const T* w, const T* bias, Destination<T> y);
/// x of y and w, likewise.
template <class T>
void write_x(const ConvShape& s, Gradient gradient, const T* y, const T* w, const T* bias, Destination<T> x);
/// w of x and y.
template <class T>
void write_w(const ConvShape& s, Gradient gradient, const T* x, const T* y, Destination<T> w);

// ---- a few images at a time ----

/// How many images of y are taken together: few enough for what is made of them to stay in the second level of cache,
/// so many that threads may share them and that the weights are little beside them.
inline std::int64_t images_together(const ConvShape& s) {
  const std::int64_t elements = std::max<std::int64_t>(128 * 1024, 16 * s.weight_size());
  return std::max<std::int64_t>(1, elements / (s.groups * s.out * s.output_plane()));
}
/// The same convolution of so many images.
inline ConvShape with_batch(ConvShape s, std::int64_t images) {
  s.batch = images;
  return s;
}

/// The gradients of inputs 0 and 1, x and w, where they are asked for, in place, both while that of y is near, which
/// make(first, images, dy) writes for so many images: for each image once.
template <class T, class Context, class Make>
void accumulate_by_images(Context& ctx, const ConvShape& all, const Make& make) {
  const bool weighs = ctx.needs_grad(1);
  const Tensor x = weighs ? ctx.template input<0>() : Tensor();
  const Tensor w = ctx.needs_grad(0) ? ctx.template input<1>() : Tensor();
  const std::int64_t together = even_length(all.batch, images_together(all));
  const std::int64_t weights = weighs ? all.weight_size() : 0;
  Workspace<T> dy(with_batch(all, std::min(together, all.batch)).output_size()), dw(weights),
      of_images(weights);
  std::fill(dw.begin(), dw.end(), static_cast<T>(kNothing));
  const auto run = [&](Destination<T> to) {
    for (std::int64_t first = 0; first < all.batch; first += together) {
      const ConvShape s = with_batch(all, std::min(together, all.batch - first));
      const std::int64_t at = with_batch(all, first).input_size();  // in x
      make(first, s.batch, dy.data());
      if (w.defined())
        write_x<T>(s, Gradient::left, dy.data(), TensorAccess::data_as<T>(w), nullptr, to + at);
      if (!weighs) continue;
      // Not added to dw right away: a sum that is not finite is made once more.
      write_w<T>(s, Gradient::right, TensorAccess::data_as<T>(x) + at, dy.data(), {of_images.data(), false});
      for (std::int64_t i = 0; i < weights; ++i) dw[i] += of_images[i];
    }
  };
  if (w.defined())
    ctx.template accumulate<T>(0, run);
  else
    run({});
  ctx.template accumulate<T>(
      1, [&](Destination<T> to) { to.put(weights, [&](std::int64_t i) { return dw[i]; }); });
}

}  // namespace tapegrad::detail
