#include <tapegrad/ops/neural/conv_operands.h>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/kernels/conv/terms.h>

#include <fmt/format.h>

namespace tapegrad::detail {

ConvShape conv_shape(const Window2d& window, std::int64_t groups, const Shape& x, const Shape& y) {
  return {x[0], groups, x[1] / groups, y[1] / groups, {window, 0, x[2], y[2]}, {window, 1, x[3], y[3]}};
}

void require_groups(const char* op, const char* what, const Tensor& t, std::size_t axis,
                    std::int64_t groups) {
  if (groups < 1)
    throw ArgumentError(fmt::format("{}: groups is {}; it must be at least 1", op_label(op), groups));
  if (t.shape()[axis] % groups != 0)
    throw ShapeError(fmt::format("{}: {} {} has {} channels, which {} groups cannot share equally",
                                 op_label(op), what, to_string(t.shape()), t.shape()[axis], groups));
}

void require_bias(const char* op, const Tensor& x, const Tensor& bias, std::int64_t channels,
                  const Tensor& w) {
  if (!bias.defined()) return;
  require_same_dtype(op, x, bias, "input", "bias");
  if (bias.rank() != 1 || bias.size() != channels)
    throw ShapeError(fmt::format("{}: bias {} does not fit weight {}, which expects [{}]", op_label(op),
                                 to_string(bias.shape()), to_string(w.shape()), channels));
}

void require_result(const char* op, const Shape& x, const Shape& y, const Window2d& window) {
  const Size2d size = windows_of(op, x, window);
  if (size[0] != y[2] || size[1] != y[3])
    throw ShapeError(fmt::format("{}: windows over {} make images of {} x {}, not those of {}", op_label(op),
                                 to_string(x), size[0], size[1], to_string(y)));
}

Shape shape_of_conv(const char* op, const Window2d& window, std::int64_t groups, const Tensor& x,
                    const Tensor& w, const Tensor& bias) {
  require_same_dtype(op, x, w, "input", "weight");
  require_floating(op, x, "operands");
  require_groups(op, "the input", x, 1, groups);
  require_groups(op, "the weight", w, 0, groups);
  if (x.shape()[1] != w.shape()[1] * groups)
    throw ShapeError(fmt::format("{}: input {} has {} channels, weight {} with groups {} expects {}",
                                 op_label(op), to_string(x.shape()), x.shape()[1], to_string(w.shape()),
                                 groups, w.shape()[1] * groups));
  require_bias(op, x, bias, w.shape()[0], w);
  const Size2d size = windows_of(op, x.shape(), window);
  return {x.shape()[0], w.shape()[0], size[0], size[1]};
}

// ---- values ----

template <class T>
void write_y(const ConvShape& s, Gradient gradient, const T* x, const T* w, const T* bias, Destination<T> y) {
  const auto run = [&](Destination<T> to) { conv(s, x, w, bias, to); };
  if (gradient == Gradient::none) return run(y);  // 0 around the images is a number like others
  gradient_conv(
      gradient, x, s.input_size(), w, s.weight_size(), y, s.output_size(), run,
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(j, i, k); }); },
      [&](std::int64_t i) { return bias ? bias[i / s.output_plane() % (s.groups * s.out)] : T{0}; });
}

template <class T>
void write_x(const ConvShape& s, Gradient gradient, const T* y, const T* w, const T* bias, Destination<T> x) {
  gradient_conv(
      gradient, y, s.output_size(), w, s.weight_size(), x, s.input_size(),
      [&](Destination<T> to) { conv_transpose(s, y, w, bias, to); },
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(i, j, k); }); },
      [&](std::int64_t i) { return bias ? bias[i / s.input_plane() % (s.groups * s.in)] : T{0}; });
}

template <class T>
void write_w(const ConvShape& s, Gradient gradient, const T* x, const T* y, Destination<T> w) {
  gradient_conv(
      gradient, x, s.input_size(), y, s.output_size(), w, s.weight_size(),
      [&](Destination<T> to) { conv_weight(s, x, y, to); },
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(k, i, j); }); },
      [](std::int64_t) { return T{0}; });
}

#define TAPEGRAD_INSTANTIATE(T)                                                                       \
  template void write_y<T>(const ConvShape&, Gradient, const T*, const T*, const T*, Destination<T>); \
  template void write_x<T>(const ConvShape&, Gradient, const T*, const T*, const T*, Destination<T>); \
  template void write_w<T>(const ConvShape&, Gradient, const T*, const T*, Destination<T>);
TAPEGRAD_INSTANTIATE(float)
TAPEGRAD_INSTANTIATE(double)
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::detail
