#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/terms.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/op.h>
#include <tapegrad/ops/samples.h>

/// The three operations of a convolution: each makes one of its tensors x [n, c, h, w], w [o, c / groups, kh, kw] and
/// y [n, o, h', w'] of both others and is linear in each, so the gradients of one are the two others.
namespace tapegrad::detail {

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
