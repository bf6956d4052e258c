#include <tapegrad/ops/neural/conv.h>

#include <algorithm>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/neural/conv_ops.h>
#include <tapegrad/ops/neural/pool_window.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Size2d;
using detail::Window2d;

namespace {

/// The padding of an axis, where `name` may say it in a word.
Padding padding_of(const char* op, const char* name, const Window2d& w, std::size_t i) {
  if (!name || std::string_view(name) == "valid") return w.padding[i];
  if (std::string_view(name) != "same")
    throw ArgumentError(fmt::format("{}: the padding is \"{}\"; it must be \"same\", \"valid\" or numbers",
                                    op_label(op), name));
  if (w.stride[i] != 1)
    throw ArgumentError(
        fmt::format("{}: the padding is \"same\" beside a stride of {}; results are as many as elements only "
                    "for a stride of 1",
                    op_label(op), w.stride[i]));
  const std::int64_t all = w.span(i) - 1;
  return {all / 2, all - all / 2};
}

void require_weight(const char* op, const Tensor& weight, std::size_t axes, const char* form) {
  detail::require_defined(op, weight, "the weight");
  if (weight.rank() != 2 + axes)
    throw ShapeError(
        fmt::format("{}: the weight is {}; it must be {}", op_label(op), to_string(weight.shape()), form));
}

/// The window of a weight [.., .., kernel] and options.
template <std::size_t N, class Options>
Window2d window_of(const char* op, const Tensor& weight, const Options& o) {
  Sizes<N> kernel = 1;
  for (std::size_t i = 0; i < N; ++i) kernel[i] = weight.shape()[2 + i];
  return detail::conv_window(op, kernel, o.stride, o.padding, o.dilation);
}

/// What conv_transpose makes of one axis of x, by entry i of the window.
std::int64_t transposed_size(const char* op, const Tensor& x, const Tensor& weight, const Window2d& w,
                             std::int64_t output_padding, std::size_t i) {
  const std::size_t axis = 2 + i;
  detail::require_output_padding(op, w, output_padding, i);
  std::int64_t between;  // from the first window to the last one
  constexpr std::int64_t kMost = std::int64_t{1} << 59;
  if (__builtin_mul_overflow(x.shape()[axis] - 1, w.stride[i], &between) || between > kMost)
    throw ShapeError(
        fmt::format("{}: with a stride of {} the result of {} would be longer than 2^59 along axis {}",
                    op_label(op), w.stride[i], to_string(x.shape()), axis));
  const std::int64_t size = between - w.padding[i].before - w.padding[i].after + w.span(i) + output_padding;
  if (size >= 1) return size;
  throw ShapeError(fmt::format(
      "{}: the result of {} and weight {} would have size {} along axis {}. Make the padding smaller",
      op_label(op), to_string(x.shape()), to_string(weight.shape()), size, axis));
}

Tensor transpose_of(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Window2d& w, const Size2d& output_padding, std::int64_t groups) {
  const Size2d size{transposed_size(op, x, weight, w, output_padding[0], 0),
                    transposed_size(op, x, weight, w, output_padding[1], 1)};
  return apply_op(op::ConvTranspose2d{w, groups, size}, x, weight, bias);
}

}  // namespace

template <std::size_t N>
Window2d detail::conv_window(const char* op, const Sizes<N>& kernel, const Sizes<N>& stride,
                             const ConvPadding<N>& padding, const Sizes<N>& dilation) {
  Window2d w = window_over(kernel, stride, padding.sides(), dilation);
  for (std::size_t i = 0; i < N; ++i) {
    const std::size_t at = 2 - N + i;
    require_window(op, 2 + i, w, at);
    w.padding[at] = padding_of(op, padding.name(), w, at);
  }
  return w;
}
template Window2d detail::conv_window<1>(const char*, const Sizes<1>&, const Sizes<1>&, const ConvPadding<1>&,
                                         const Sizes<1>&);
template Window2d detail::conv_window<2>(const char*, const Sizes<2>&, const Sizes<2>&, const ConvPadding<2>&,
                                         const Sizes<2>&);

void detail::require_output_padding(const char* op, const Window2d& w, std::int64_t output_padding,
                                    std::size_t i) {
  if (output_padding == 0) return;
  if (output_padding > 0 && output_padding < std::max(w.stride[i], w.dilation[i])) return;
  throw ArgumentError(fmt::format(
      "{}: output_padding is {} along axis {}; it must be at least 0 and less than the stride {} or the "
      "dilation {}",
      op_label(op), output_padding, 2 + i, w.stride[i], w.dilation[i]));
}

namespace {

template <class Op>
Tensor conv_of_images(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  detail::require_images(Op::name, "the input", x, 2);
  require_weight(Op::name, weight, 2, "[out, in / groups, kh, kw]");
  return apply_op(Op{window_of<2>(Op::name, weight, o), o.groups}, x, weight, bias);
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  return conv_of_images<op::Conv2d>(x, weight, bias, o);
}

Tensor conv2d_relu(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  return conv_of_images<op::Conv2dRelu>(x, weight, bias, o);
}

Tensor conv2d_max_pool(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const MaxPool2dOptions& pool, const Conv2dOptions& o) {
  constexpr const char* kName = op::Conv2dMaxPool::name;
  detail::require_images(kName, "the input", x, 2);
  require_weight(kName, weight, 2, "[out, in / groups, kh, kw]");
  for (std::size_t i = 0; i < 2; ++i)
    if (pool.padding[i] != 0)
      throw ArgumentError(fmt::format(
          "{}: the padding of the pooling is {} along axis {}; it must be 0. Call max_pool2d behind conv2d",
          op_label(kName), pool.padding[i], 2 + i));
  const Window2d window = window_of<2>(kName, weight, o);
  return apply_op(op::Conv2dMaxPool{window, o.groups, detail::given_pool_window(pool, pool.dilation)}, x,
                  weight, bias);
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  detail::require_images("conv1d", "the input", x, 1);
  require_weight("conv1d", weight, 1, "[out, in / groups, k]");
  const op::Conv2d conv{window_of<1>("conv1d", weight, o), o.groups};
  return detail::named("conv1d", [&] {
    return detail::on_sequences(
        x, [&](const Tensor& images) { return apply_op(conv, images, detail::as_images(weight), bias); });
  });
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dOptions& o) {
  constexpr const char* kName = op::ConvTranspose2d::name;
  detail::require_images(kName, "the input", x, 2);
  require_weight(kName, weight, 2, "[in, out / groups, kh, kw]");
  return transpose_of(kName, x, weight, bias, window_of<2>(kName, weight, o), o.output_padding, o.groups);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose1dOptions& o) {
  detail::require_images("conv_transpose1d", "the input", x, 1);
  require_weight("conv_transpose1d", weight, 1, "[in, out / groups, k]");
  const Window2d w = window_of<1>("conv_transpose1d", weight, o);
  return detail::named("conv_transpose1d", [&] {
    return detail::on_sequences(x, [&](const Tensor& images) {
      return transpose_of("conv_transpose1d", images, detail::as_images(weight), bias, w,
                          {0, o.output_padding[0]}, o.groups);
    });
  });
}

}  // namespace tapegrad
