#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/im2col.h>
#include <tapegrad/ops/neural/im2col.h>
#include <tapegrad/ops/neural/planes.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::both_sides;
using detail::Planes;
using detail::Size2d;
using detail::TensorAccess;
using detail::Window2d;
using detail::WindowRows;

namespace op {

/// y [n, c kh kw, oh ow] = the windows of x [n, c, h, w]. Of the gradient of columns, what stands in the padding is not
/// 0 but nothing, see <tapegrad/graph/nothing.h>; so is what no window has of that of images.
struct Im2col {
  static constexpr auto name = "im2col";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Window2d window;
  bool of_gradient = false;
  void describe(AttributeVisitor& v) const {
    describe_steps(v, window);
    v("dilation", std::span<const std::int64_t>(window.dilation)), v("of_gradient", of_gradient);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Im2col>& ctx);
  static void samples(Samples& s);
};

/// The adjoint.
struct Col2im {
  static constexpr auto name = "col2im";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Window2d window;
  Size2d image{};
  bool of_gradient = false;
  void describe(AttributeVisitor& v) const {
    describe_steps(v, window);
    v("dilation", std::span<const std::int64_t>(window.dilation));
    v("image", std::span<const std::int64_t>(image)), v("of_gradient", of_gradient);
  }
  Tensor forward(const Tensor& columns) const;
  static void vjp(VjpContext<Col2im>& ctx);
  static void samples(Samples& s);
};

}  // namespace op

namespace {

/// What stands where there is no element.
template <class T>
T outside_of(bool of_gradient) {
  return of_gradient ? static_cast<T>(detail::kNothing) : T{0};
}

/// [n, c kh kw, oh ow].
Shape columns_of(const char* op, const Planes& p) {
  std::int64_t lines;
  if (__builtin_mul_overflow(p.images[1], p.window.area(), &lines))
    throw ShapeError(fmt::format("{}: {} channels of {} x {} elements are more than can be counted",
                                 op_label(op), p.images[1], p.window.kernel[0], p.window.kernel[1]));
  return {p.images[0], lines, p.windows_size()};
}

/// The images that columns [n, c kh kw, oh ow] are the windows of.
Planes planes_of(const char* op, const Shape& columns, const Window2d& window, const Size2d& image) {
  const auto planes = [&](std::int64_t channels) {
    return Planes(op, Shape{columns[0], channels, image[0], image[1]}, window);
  };
  if (columns.rank() != 3)
    throw ShapeError(fmt::format("{}: the columns are {}; they must be [n, c kh kw, oh ow]", op_label(op),
                                 to_string(columns)));
  const Planes one = planes(1);
  if (columns[1] % window.area() != 0 || columns[2] != one.windows_size())
    throw ShapeError(
        fmt::format("{}: the columns are {}; images of {} x {} have {} x {} windows of {} x {} elements, so "
                    "that they must be "
                    "[n, {} c, {}]",
                    op_label(op), to_string(columns), image[0], image[1], one.windows[0], one.windows[1],
                    window.kernel[0], window.kernel[1], window.area(), one.windows_size()));
  return planes(columns[1] / window.area());
}

}  // namespace

Tensor op::Im2col::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  const Planes p(name, x.shape(), window);
  Tensor y = Tensor::empty(columns_of(name, p), x.dtype());
  const std::int64_t area = window.area(), line = p.windows_size();
  visit_floating(x.dtype(), [&]<class T> {
    const T* const in = TensorAccess::data_as<T>(x);
    T* const out = TensorAccess::data_as<T>(y);
    // Lines are divided among threads, of which a plane has several.
    detail::parallel_ranges(y.size() == 0 ? 0 : p.count() * area, detail::grain_for(line),
                            [&](std::int64_t begin, std::int64_t end) {
                              detail::dispatch_isa([&] {
                                const WindowRows rows(window, p.image, p.windows);
                                for (std::int64_t at = begin; at < end;) {
                                  const std::int64_t plane = at / area, first = at % area;
                                  const std::int64_t last = std::min(area, first + end - at);
                                  im2col_lines(rows, in + plane * p.image_size(), outside_of<T>(of_gradient),
                                               first, last, out + at * line);
                                  at += last - first;
                                }
                              });
                            });
  });
  return y;
}
void op::Im2col::vjp(VjpContext<Im2col>& ctx) {
  const Shape x = ctx.input_shape(0);
  ctx.add(0, apply_op(op::Col2im{ctx.op().window, {x[2], x[3]}, true}, ctx.grad_output()));
}

Tensor op::Col2im::forward(const Tensor& columns) const {
  detail::require_floating(name, columns);
  const Planes p = planes_of(name, columns.shape(), window, image);
  Tensor y = Tensor::empty(p.images, columns.dtype());
  visit_floating(columns.dtype(), [&]<class T> {
    const T* const in = TensorAccess::data_as<T>(columns);
    T* const out = TensorAccess::data_as<T>(y);
    const std::int64_t size = window.area() * p.windows_size();
    p.for_ranges(std::max(size, p.image_size()), [&](const WindowRows& rows, std::int64_t begin,
                                                     std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        T* const to = out + plane * p.image_size();
        detail::simd_for(p.image_size(), [=, v = outside_of<T>(of_gradient)](std::int64_t i) { to[i] = v; });
        col2im_plane(rows, in + plane * size, to);
      }
    });
  });
  return y;
}
void op::Col2im::vjp(VjpContext<Col2im>& ctx) {
  ctx.add(0, apply_op(op::Im2col{ctx.op().window, true}, ctx.grad_output()));
}

// ---- samples ----

namespace {

struct ColumnsSample {
  Window2d window;
  Shape images;
  const char* label = "";
};
std::vector<ColumnsSample> columns_samples() {
  return {
      {{.kernel = {2, 3}}, {2, 3, 4, 5}},
      {{.kernel = {3, 3}, .stride = {2, 2}, .padding = both_sides({1, 1})}, {1, 2, 6, 5}, "padding"},
      {{.kernel = {2, 2}, .stride = {1, 3}, .padding = {{{2, 0}, {0, 1}}}, .dilation = {2, 3}},
       {2, 1, 5, 8},
       "windows and elements apart"},
      {{.kernel = {2, 2}, .stride = {3, 3}}, {1, 2, 6, 7}, "elements of no window"},
      {{.kernel = {2, 2}}, {0, 2, 3, 3}, "no images"},
      {{.kernel = {3, 3}, .padding = both_sides({1, 1})}, {3, 3, 40, 41}, "for several threads"},
  };
}

}  // namespace

void op::Im2col::samples(Samples& s) {
  for (const ColumnsSample& c : columns_samples()) s.add(Im2col{c.window}, {c.images}, c.label);
  s.add(Im2col{{.kernel = {2, 2}, .padding = both_sides({1, 1})}, true}, {Shape{1, 2, 3, 3}},
        "of a gradient");
}
void op::Col2im::samples(Samples& s) {
  for (const ColumnsSample& c : columns_samples())
    s.add(Col2im{c.window, {c.images[2], c.images[3]}}, {columns_of(name, Planes(name, c.images, c.window))},
          c.label);
  s.add(Col2im{{.kernel = {2, 2}, .stride = {2, 2}}, {3, 3}, true}, {Shape{1, 8, 1}}, "of a gradient");
}

// ---- what users call ----

namespace {
Window2d window_of(const Im2colOptions& o) {
  return {.kernel = o.kernel, .stride = o.stride, .padding = both_sides(o.padding), .dilation = o.dilation};
}
}  // namespace

Tensor im2col(const Tensor& x, const Im2colOptions& options) {
  detail::require_images(op::Im2col::name, "the input", x, 2);
  return apply_op(op::Im2col{window_of(options)}, x);
}
Tensor col2im(const Tensor& columns, const Sizes<2>& size, const Im2colOptions& options) {
  detail::require_defined(op::Col2im::name, columns);
  return apply_op(op::Col2im{window_of(options), size}, columns);
}

template const OpInfo& detail::info_of<op::Im2col>();
template const OpInfo& detail::info_of<op::Col2im>();

}  // namespace tapegrad
