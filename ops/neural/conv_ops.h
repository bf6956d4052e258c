#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/ops/kernels/conv/terms.h>
#include <tapegrad/ops/neural/sizes.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/op.h>

/// The three operations of a convolution: each makes one of its tensors x [n, c, h, w], w [o, c / groups, kh, kw] and
/// y [n, o, h', w'] of both others and is linear in each, so the gradients of one are the two others.
namespace tapegrad::detail {

/// The window of a convolution along the last N of two axes: a line is an image of height 1. Throws ArgumentError as
/// require_window does, and for a padding in words other than "same" and "valid", or for "same" beside a stride.
template <std::size_t N>
Window2d conv_window(const char* op, const Sizes<N>& kernel, const Sizes<N>& stride,
                     const ConvPadding<N>& padding, const Sizes<N>& dilation);
extern template Window2d conv_window<1>(const char*, const Sizes<1>&, const Sizes<1>&, const ConvPadding<1>&,
                                        const Sizes<1>&);
extern template Window2d conv_window<2>(const char*, const Sizes<2>&, const Sizes<2>&, const ConvPadding<2>&,
                                        const Sizes<2>&);

/// Throws ArgumentError for an output_padding that is negative, or not less than the stride or the dilation, in entry
/// i.
void require_output_padding(const char* op, const Window2d& window, std::int64_t output_padding,
                            std::size_t i);

/// Tells a visitor the attributes that the three have in common.
void describe_conv(AttributeVisitor& v, const Window2d& window, std::int64_t groups, Gradient gradient);

}  // namespace tapegrad::detail

namespace tapegrad::op {

using detail::Gradient;
using detail::Window2d;

struct
    Conv2d {  // y = x * w + b:  dx = transpose(dy, w),  dw = weight(x, dy),  db = the sum of dy over images
  static constexpr auto name = "conv2d";
  static constexpr auto saves = saves_for(kIn1, kIn0, kNone);
  static constexpr std::uint8_t optional_inputs = 0b100;  // the bias
  static constexpr bool composed = false;
  Window2d window{};
  std::int64_t groups = 1;
  Gradient gradient = Gradient::none;
  void describe(AttributeVisitor& v) const;
  Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias) const;
  static void vjp(VjpContext<Conv2d>& ctx);
  static void vjp_fused(VjpContext<Conv2d>& ctx);
  static void samples(Samples& s);
};

struct
    ConvTranspose2d {  // x = transpose(y, w) + b:  dy = dx * w,  dw = weight(dx, y),  db = the sum of dx over images
  static constexpr auto name = "conv_transpose2d";
  static constexpr auto saves = saves_for(kIn1, kIn0, kNone);
  static constexpr std::uint8_t optional_inputs = 0b100;  // the bias
  static constexpr bool composed = false;
  Window2d window{};
  std::int64_t groups = 1;
  detail::Size2d size{};  ///< of x: several have a y of one size
  Gradient gradient = Gradient::none;
  void describe(AttributeVisitor& v) const;
  Tensor forward(const Tensor& y, const Tensor& w, const Tensor& bias) const;
  static void vjp(VjpContext<ConvTranspose2d>& ctx);
  static void vjp_fused(VjpContext<ConvTranspose2d>& ctx);
  static void samples(Samples& s);
};

/// In one pass over memory, forward; backward, the gradient passes the ReLU once for all three inputs.
struct Conv2dRelu {  // y = max(x * w + b, 0):  the gradients of Conv2d, of dy where y > 0
  static constexpr auto name = "conv2d_relu";
  static constexpr auto saves = saves_for(kIn1 | kOut, kIn0 | kOut, kOut);
  static constexpr std::uint8_t optional_inputs = 0b100;  // the bias
  static constexpr bool composed = false;
  Window2d window{};
  std::int64_t groups = 1;
  void describe(AttributeVisitor& v) const;
  Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias) const;
  Tensor branches(std::span<const Tensor* const> in) const;  // where y is above 0
  static void vjp(VjpContext<Conv2dRelu>& ctx);
  static void vjp_fused(VjpContext<Conv2dRelu>& ctx);
  static void samples(Samples& s);
};

/// A few images at a time, forward and backward, so that what is pooled comes from a cache and is never kept.
struct
    Conv2dMaxPool {  // y = the largest of each window of x * w + b:  the gradients of Conv2d, of dy at their places
  static constexpr auto name = "conv2d_max_pool";
  static constexpr auto saves = saves_for(kIn1 | kResidual0, kIn0 | kResidual0, kNone);
  static constexpr std::uint8_t optional_inputs = 0b100;  // the bias
  static constexpr bool composed = false;
  Window2d window{};
  std::int64_t groups = 1;
  Window2d pool{};  ///< without padding: whatever is pooled is the largest of something
  void describe(AttributeVisitor& v) const;
  Tensor forward(const Tensor& x, const Tensor& w, const Tensor& bias,
                 Residuals<1>& r) const;                     // r[0] as of MaxPool2d
  Tensor branches(std::span<const Tensor* const> in) const;  // likewise
  static void vjp(VjpContext<Conv2dMaxPool>& ctx);
  static void vjp_fused(VjpContext<Conv2dMaxPool>& ctx);
  static void samples(Samples& s);
};

struct ConvWeight2d {  // w = weight(x, y):  dx = transpose(y, dw),  dy = x * dw
  static constexpr auto name = "conv_weight2d";
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr bool composed = false;
  Window2d window{};
  std::int64_t groups = 1;
  Gradient gradient = Gradient::none;
  void describe(AttributeVisitor& v) const;
  Tensor forward(const Tensor& x, const Tensor& y) const;
  static void vjp(VjpContext<ConvWeight2d>& ctx);
  static void vjp_fused(VjpContext<ConvWeight2d>& ctx);
  static void samples(Samples& s);
};

}  // namespace tapegrad::op

namespace tapegrad::detail {

/// The gradients of x and of w in y = x * w, recorded; `g` is that of y.
Tensor gradient_of_x(const op::Conv2d& op, const Shape& x, const Tensor& w, const Tensor& g);
Tensor gradient_of_w(const op::Conv2d& op, const Tensor& x, const Tensor& g);

}  // namespace tapegrad::detail
