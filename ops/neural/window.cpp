#include <span>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/neural/window.h>

#include <fmt/format.h>

namespace tapegrad::detail {

namespace {

/// Sums of a few stay within 64 bits.
constexpr std::int64_t kMost = std::int64_t{1} << 59;

void require_between(const char* op, const char* what, std::int64_t value, std::int64_t least,
                     std::size_t axis) {
  if (value >= least && value <= kMost) return;
  throw ArgumentError(fmt::format("{}: {} is {} along axis {}; it must be at least {} and at most 2^59",
                                  op_label(op), what, value, axis, least));
}

/// "kernel 3, stride 2, padding 1".
std::string text_of(const Window2d& w, std::size_t i) {
  std::string text = fmt::format("kernel {}, stride {}", w.kernel[i], w.stride[i]);
  const auto& [before, after] = w.padding[i];
  if (before != after)
    text += fmt::format(", padding {} and {}", before, after);
  else if (before != 0)
    text += fmt::format(", padding {}", before);
  if (w.dilation[i] != 1) text += fmt::format(", dilation {}", w.dilation[i]);
  if (w.ceil_mode) text += ", ceil_mode";
  return text;
}

std::int64_t floor_of(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0); }

}  // namespace

void require_images(const char* op, const char* what, const Tensor& x, std::size_t axes) {
  require_defined(op, x, what);
  if (x.rank() != 2 + axes)
    throw ShapeError(fmt::format("{}: {} is {}; it must be {}", op_label(op), what, to_string(x.shape()),
                                 axes == 1 ? "[n, c, l]: a batch of sequences with channels"
                                           : "[n, c, h, w]: a batch of images with channels"));
}

void require_window(const char* op, std::size_t axis, const Window2d& w, std::size_t i) {
  require_between(op, "the kernel", w.kernel[i], 1, axis);
  require_between(op, "the stride", w.stride[i], 1, axis);
  require_between(op, "the dilation", w.dilation[i], 1, axis);
  require_between(op, "the padding before", w.padding[i].before, 0, axis);
  require_between(op, "the padding after", w.padding[i].after, 0, axis);
  std::int64_t gaps;
  if (__builtin_mul_overflow(w.kernel[i] - 1, w.dilation[i], &gaps) || gaps >= kMost)
    throw ArgumentError(
        fmt::format("{}: a window of {} elements, {} apart, along axis {} spans more than 2^59", op_label(op),
                    w.kernel[i], w.dilation[i], axis));
}

std::int64_t windows_along(const char* op, const Shape& x, std::size_t axis, const Window2d& w,
                           std::size_t i) {
  require_window(op, axis, w, i);
  const std::int64_t stride = w.stride[i];
  if (x[axis] == 0)
    throw ShapeError(fmt::format("{}: axis {} of {} has no elements for a window to stand on", op_label(op),
                                 axis, to_string(x)));

  const std::int64_t padded = w.padding[i].before + x[axis] + w.padding[i].after;
  const std::int64_t room = padded - w.span(i);
  std::int64_t count = floor_of(room, stride) + 1;
  const bool starts_within = count * stride < w.padding[i].before + x[axis];
  if (w.ceil_mode && room % stride != 0 && starts_within) ++count;
  if (count < 1)
    throw ShapeError(fmt::format(
        "{}: a window spans {} elements along axis {} of {}, which has {} with its padding "
        "({}); the result would have size {} there. Make the kernel smaller or the padding larger",
        op_label(op), w.span(i), axis, to_string(x), padded, text_of(w, i), count));
  return count;
}

Size2d windows_of(const char* op, const Shape& x, const Window2d& w) {
  const Size2d count{windows_along(op, x, 2, w, 0), windows_along(op, x, 3, w, 1)};
  std::int64_t area;
  if (__builtin_mul_overflow(w.kernel[0], w.kernel[1], &area) || area > kMost)
    throw ArgumentError(fmt::format("{}: a window of {} x {} elements is too large; it may have at most 2^59",
                                    op_label(op), w.kernel[0], w.kernel[1]));
  return count;
}

void describe_steps(AttributeVisitor& v, const Window2d& w) {
  const auto& [along_h, along_w] = w.padding;
  const std::array<std::int64_t, 4> padding{along_h.before, along_h.after, along_w.before, along_w.after};
  v("kernel", std::span<const std::int64_t>(w.kernel));
  v("stride", std::span<const std::int64_t>(w.stride));
  v("padding", std::span<const std::int64_t>(padding));
}

void describe_window(AttributeVisitor& v, const Window2d& w) {
  describe_steps(v, w);
  v("dilation", std::span<const std::int64_t>(w.dilation));
  v("ceil_mode", w.ceil_mode);
}

}  // namespace tapegrad::detail
