#include <algorithm>
#include <numeric>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/planes.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Size2d;
using detail::TensorAccess;

namespace op {

/// y = the means of parts that cover an image, see adaptive_avg_pool2d.
struct AdaptiveAvgPool2d {
  static constexpr auto name = "adaptive_avg_pool2d";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Size2d size{};
  void describe(AttributeVisitor& v) const { v("size", std::span<const std::int64_t>(size)); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<AdaptiveAvgPool2d>& ctx);
  static void samples(Samples& s);
};

/// The adjoint: each element of a part gets what the part has, / its number of elements.
struct AdaptiveAvgPool2dAdjoint {
  static constexpr auto name = "adaptive_avg_pool2d_adjoint";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Size2d image{};
  void describe(AttributeVisitor& v) const { v("image", std::span<const std::int64_t>(image)); }
  Tensor forward(const Tensor& g) const;
  static void vjp(VjpContext<AdaptiveAvgPool2dAdjoint>& ctx);
  static void samples(Samples& s);
};

}  // namespace op

namespace {

/// Holds the product of two sizes.
__extension__ using Wide = __int128;

/// Part i of an axis: elements [first, last).
struct Part {
  std::int64_t first;
  std::int64_t last;
};
Part part_of(std::int64_t i, std::int64_t size, std::int64_t parts) {
  return {static_cast<std::int64_t>(Wide(i) * size / parts),
          static_cast<std::int64_t>((Wide(i + 1) * size + parts - 1) / parts)};
}

/// f(part, rows, columns) for each part of an image, in order.
template <class F>
void for_each_part(const Size2d& image, const Size2d& parts, F&& f) {
  for (std::int64_t i = 0; i < parts[0]; ++i) {
    const Part rows = part_of(i, image[0], parts[0]);
    for (std::int64_t j = 0; j < parts[1]; ++j) f(i * parts[1] + j, rows, part_of(j, image[1], parts[1]));
  }
}

double elements_of(const Part& rows, const Part& columns) {
  return static_cast<double>(rows.last - rows.first) * static_cast<double>(columns.last - columns.first);
}

}  // namespace

Tensor op::AdaptiveAvgPool2d::forward(const Tensor& x) const {
  const Size2d image{x.shape()[2], x.shape()[3]};
  Tensor y = Tensor::empty(x.shape().with(2, size[0]).with(3, size[1]), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    detail::parallel_planes(x.shape(), size, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const T* const in = TensorAccess::data_as<T>(x) + plane * image[0] * image[1];
        T* const out = TensorAccess::data_as<T>(y) + plane * size[0] * size[1];
        for_each_part(image, size, [&](std::int64_t part, const Part& rows, const Part& columns) {
          double sum = detail::kNothing;
          for (std::int64_t i = rows.first; i < rows.last; ++i)
            for (std::int64_t j = columns.first; j < columns.last; ++j)
              sum += static_cast<double>(in[i * image[1] + j]);
          out[part] = static_cast<T>(sum / elements_of(rows, columns));
        });
      }
    });
  });
  return y;
}
void op::AdaptiveAvgPool2d::vjp(VjpContext<AdaptiveAvgPool2d>& ctx) {
  const Shape x = ctx.input_shape(0);
  ctx.add(0, apply_op(op::AdaptiveAvgPool2dAdjoint{{x[2], x[3]}}, ctx.grad_output()));
}

Tensor op::AdaptiveAvgPool2dAdjoint::forward(const Tensor& g) const {
  const Size2d size{g.shape()[2], g.shape()[3]};
  Tensor y = Tensor::empty(g.shape().with(2, image[0]).with(3, image[1]), g.dtype());
  visit_floating(g.dtype(), [&]<class T> {
    detail::parallel_planes(g.shape(), image, [&](std::int64_t begin, std::int64_t end) {
      // Shares of several parts may cancel: they are added in double.
      detail::Workspace<double> sums(image[0] * image[1]);
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const T* const in = TensorAccess::data_as<T>(g) + plane * size[0] * size[1];
        std::fill(sums.begin(), sums.end(), detail::kNothing);
        for_each_part(image, size, [&](std::int64_t part, const Part& rows, const Part& columns) {
          const double share = static_cast<double>(in[part]) / elements_of(rows, columns);
          for (std::int64_t i = rows.first; i < rows.last; ++i)
            for (std::int64_t j = columns.first; j < columns.last; ++j) sums[i * image[1] + j] += share;
        });
        std::transform(sums.begin(), sums.end(), TensorAccess::data_as<T>(y) + plane * sums.size(),
                       [](double v) { return static_cast<T>(v); });
      }
    });
  });
  return y;
}
void op::AdaptiveAvgPool2dAdjoint::vjp(VjpContext<AdaptiveAvgPool2dAdjoint>& ctx) {
  const Shape g = ctx.input_shape(0);
  ctx.add(0, apply_op(op::AdaptiveAvgPool2d{{g[2], g[3]}}, ctx.grad_output()));
}

namespace {
struct AdaptiveSample {
  Shape images;
  Size2d size;
  const char* label = "";
};
std::vector<AdaptiveSample> adaptive_samples() {
  return {{{2, 3, 4, 6}, {2, 3}},
          {{1, 2, 7, 5}, {3, 2}, "parts overlap"},
          {{2, 1, 2, 3}, {5, 3}, "more parts than elements"},
          {{1, 1, 4, 4}, {1, 1}},
          {{0, 2, 4, 4}, {2, 2}, "no images"},
          {{5, 7, 40, 41}, {6, 7}, "for several threads"}};
}
}  // namespace

void op::AdaptiveAvgPool2d::samples(Samples& s) {
  for (const AdaptiveSample& a : adaptive_samples()) s.add(AdaptiveAvgPool2d{a.size}, {a.images}, a.label);
}
void op::AdaptiveAvgPool2dAdjoint::samples(Samples& s) {
  for (const AdaptiveSample& a : adaptive_samples())
    s.add(AdaptiveAvgPool2dAdjoint{{a.images[2], a.images[3]}},
          {a.images.with(2, a.size[0]).with(3, a.size[1])}, a.label);
}

// ---- what users call ----

namespace {
/// Planes of images that have elements to take a mean of.
void require_planes(const char* op, const Tensor& x) {
  for (std::size_t axis = 2; axis < x.rank(); ++axis)
    if (x.shape()[axis] == 0)
      throw ShapeError(fmt::format("{}: axis {} of {} has no elements to take a mean of", op_label(op), axis,
                                   to_string(x.shape())));
}
}  // namespace

Tensor adaptive_avg_pool2d(const Tensor& x, const Sizes<2>& size) {
  constexpr auto name = op::AdaptiveAvgPool2d::name;
  detail::require_images(name, "the input", x, 2);
  detail::require_floating(name, x);
  if (size[0] < 1 || size[1] < 1)
    throw ArgumentError(fmt::format("{}: {} x {} results are asked of {}; both numbers must be at least 1",
                                    op_label(name), size[0], size[1], to_string(x.shape())));
  require_planes(name, x);
  return apply_op(op::AdaptiveAvgPool2d{size}, x);
}

Tensor global_avg_pool(const Tensor& x) {
  constexpr auto name = "global_avg_pool";
  detail::require_defined(name, x);
  detail::require_floating(name, x);
  if (x.rank() < 3)
    throw ShapeError(
        fmt::format("{}: the input is {}; it must be [n, c, ...], with at least one axis to take the mean "
                    "over",
                    op_label(name), to_string(x.shape())));
  require_planes(name, x);
  std::vector<std::int64_t> axes(x.rank() - 2);
  std::iota(axes.begin(), axes.end(), std::int64_t{2});
  return mean(x, Axes(std::span<const std::int64_t>(axes)));
}

template const OpInfo& detail::info_of<op::AdaptiveAvgPool2d>();
template const OpInfo& detail::info_of<op::AdaptiveAvgPool2dAdjoint>();

}  // namespace tapegrad
