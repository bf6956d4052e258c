#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/interpolation.h>
#include <tapegrad/ops/neural/planes.h>
#include <tapegrad/ops/neural/upsample.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Interpolation;
using detail::Places;
using detail::Shares;
using detail::Size2d;
using detail::TensorAccess;

namespace op {

/// y = elements of x, or means of neighbours; see upsample.
struct Upsample {
  static constexpr auto name = "upsample";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Size2d size{};
  Interpolation between{};
  void describe(AttributeVisitor& v) const {
    v("size", std::span<const std::int64_t>(size)), between.describe(v);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Upsample>& ctx);
  static void samples(Samples& s);
};

/// The adjoint: each element of an image gets its share of what the results have that are made of it.
struct UpsampleAdjoint {
  static constexpr auto name = "upsample_adjoint";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Size2d image{};
  Interpolation between{};
  void describe(AttributeVisitor& v) const {
    v("image", std::span<const std::int64_t>(image)), between.describe(v);
  }
  Tensor forward(const Tensor& g) const;
  static void vjp(VjpContext<UpsampleAdjoint>& ctx);
  static void samples(Samples& s);
};

}  // namespace op

namespace {

/// f(begin, end) as in parallel_planes, compiled for each instruction set.
template <class F>
void for_planes(const Shape& images, const Size2d& other, const F& f) {
  detail::parallel_planes(images, other, [&](std::int64_t begin, std::int64_t end) {
    detail::dispatch_isa([&] { f(begin, end); });
  });
}

/// A row with as many elements as there are places.
template <class T>
void interpolate_row(const Places& columns, const T* in, T* out) {
  for (std::int64_t j = 0; j < columns.size(); ++j) {
    const auto [k, share] = columns[j];
    const auto s = static_cast<T>(share);
    out[j] = share == 0 ? in[k] : (1 - s) * in[k] + s * in[k + 1];
  }
}

/// A plane: first each of its rows is interpolated, into `wide_rows`, then between these.
template <class T>
void interpolate_plane(const Places& rows, const Places& columns, const Size2d& image, const T* in,
                       T* wide_rows, T* out) {
  const std::int64_t width = columns.size();
  for (std::int64_t r = 0; r < image[0]; ++r)
    interpolate_row(columns, in + r * image[1], wide_rows + r * width);
  for (std::int64_t i = 0; i < rows.size(); ++i, out += width) {
    const auto [r, share] = rows[i];
    const T* const a = wide_rows + r * width;
    if (share == 0) {
      std::copy_n(a, width, out);
      continue;
    }
    const T* const b = a + width;
    const auto s = static_cast<T>(share), rest = 1 - s;
    T* const to = out;
    detail::simd_for(width, [&](std::int64_t j) { to[j] = rest * a[j] + s * b[j]; });
  }
}

/// sums[j] = what row r of an image has of all rows of g, in column j. They may cancel, and are added in double.
template <class T>
void sum_rows(const Shares& rows, std::int64_t r, const T* g, std::int64_t width, double* sums) {
  bool first = true;
  for (std::int64_t t = 0; t < rows.most(); ++t) {
    const double share = rows.at(t)[r];
    if (share == 0) continue;
    const T* const from = g + (rows.start(r) + t) * width;
    if (first)
      detail::simd_for(width, [&](std::int64_t j) { sums[j] = share * static_cast<double>(from[j]); });
    else
      detail::simd_for(width, [&](std::int64_t j) { sums[j] += share * static_cast<double>(from[j]); });
    first = false;
  }
  if (first) std::fill_n(sums, width, detail::kNothing);
}

/// What of element j is of account at a share: an infinity of which there is nothing is not.
inline double part(double share, double v) { return share == 0 ? detail::kNothing : share * v; }

/// The same along a row, of steps of this length.
template <std::int64_t kStride, class T>
void sum_columns(const Shares& columns, const double* sums, double* row, T* out) {
  const std::int64_t n = columns.elements();
  const double* const from = sums - columns.before();
  std::fill_n(row, n, detail::kNothing);
  for (std::int64_t t = 0; t < columns.most(); ++t) {
    const double* const share = columns.at(t);
    detail::simd_for(n, [&](std::int64_t k) { row[k] += part(share[k], from[k * kStride + t]); });
  }
  detail::simd_for(n, [&](std::int64_t k) { out[k] = static_cast<T>(row[k]); });
}
/// Of any.
template <class T>
void sum_columns(const Shares& columns, const double* sums, T* out) {
  for (std::int64_t k = 0; k < columns.elements(); ++k) {
    double sum = detail::kNothing;
    const double* const from = sums + columns.start(k);
    for (std::int64_t t = 0; t < columns.most(); ++t)
      if (const double share = columns.at(t)[k]; share != 0) sum += share * from[t];
    out[k] = static_cast<T>(sum);
  }
}

}  // namespace

Tensor op::Upsample::forward(const Tensor& x) const {
  const Size2d image{x.shape()[2], x.shape()[3]};
  Tensor y = Tensor::empty(x.shape().with(2, size[0]).with(3, size[1]), x.dtype());
  if (y.size() == 0) return y;
  const Places rows(image[0], size[0], between), columns(image[1], size[1], between);
  visit_floating(x.dtype(), [&]<class T> {
    for_planes(x.shape(), size, [&](std::int64_t begin, std::int64_t end) {
      detail::Workspace<T> wide_rows(image[0] * size[1]);
      for (std::int64_t plane = begin; plane < end; ++plane)
        interpolate_plane(rows, columns, image, TensorAccess::data_as<T>(x) + plane * image[0] * image[1],
                          wide_rows.data(), TensorAccess::data_as<T>(y) + plane * size[0] * size[1]);
    });
  });
  return y;
}
void op::Upsample::vjp(VjpContext<Upsample>& ctx) {
  const Shape x = ctx.input_shape(0);
  ctx.add(0, apply_op(op::UpsampleAdjoint{{x[2], x[3]}, ctx.op().between}, ctx.grad_output()));
}

Tensor op::UpsampleAdjoint::forward(const Tensor& g) const {
  const Size2d size{g.shape()[2], g.shape()[3]};
  Tensor y = Tensor::empty(g.shape().with(2, image[0]).with(3, image[1]), g.dtype());
  if (y.size() == 0) return y;
  const Shares rows(image[0], size[0], between), columns(image[1], size[1], between);
  visit_floating(g.dtype(), [&]<class T> {
    for_planes(g.shape(), image, [&](std::int64_t begin, std::int64_t end) {
      detail::Workspace<double> padded(columns.before() + size[1] + columns.after()), row(image[1]);
      std::fill(padded.begin(), padded.end(), 0);
      double* const sums = padded.data() + columns.before();
      const auto each_row = [&](auto&& f) {
        for (std::int64_t plane = begin; plane < end; ++plane)
          for (std::int64_t r = 0; r < image[0]; ++r) {
            sum_rows(rows, r, TensorAccess::data_as<T>(g) + plane * size[0] * size[1], size[1], sums);
            f(TensorAccess::data_as<T>(y) + (plane * image[0] + r) * image[1]);
          }
      };
      switch (columns.stride()) {
        case 1:
          return each_row([&](T* out) { sum_columns<1>(columns, sums, row.data(), out); });
        case 2:
          return each_row([&](T* out) { sum_columns<2>(columns, sums, row.data(), out); });
        case 3:
          return each_row([&](T* out) { sum_columns<3>(columns, sums, row.data(), out); });
        case 4:
          return each_row([&](T* out) { sum_columns<4>(columns, sums, row.data(), out); });
        default:
          return each_row([&](T* out) { sum_columns(columns, sums, out); });
      }
    });
  });
  return y;
}
void op::UpsampleAdjoint::vjp(VjpContext<UpsampleAdjoint>& ctx) {
  const Shape g = ctx.input_shape(0);
  ctx.add(0, apply_op(op::Upsample{{g[2], g[3]}, ctx.op().between}, ctx.grad_output()));
}

// ---- samples ----

namespace {

struct UpsampleSample {
  Shape images;
  Size2d size;
  Interpolation between{};
  const char* label = "";
};
std::vector<UpsampleSample> upsample_samples() {
  constexpr Interpolation kBilinear{.bilinear = true}, kAligned{.bilinear = true, .align_corners = true};
  return {{{2, 3, 2, 3}, {4, 6}},
          {{1, 2, 3, 5}, {7, 4}, {}, "nearest, one axis shrinks"},
          {{2, 3, 2, 3}, {4, 6}, kBilinear, "bilinear"},
          {{1, 2, 3, 5}, {8, 18}, kBilinear, "bilinear, odd"},
          {{1, 2, 7, 5}, {3, 2}, kBilinear, "bilinear, shrinking"},
          {{1, 2, 1, 1}, {3, 2}, kBilinear, "bilinear of one element"},
          {{2, 3, 2, 3}, {4, 7}, kAligned, "aligned"},
          {{1, 1, 4, 5}, {1, 3}, kAligned, "aligned, shrinking"},
          {{0, 2, 4, 4}, {8, 8}, kBilinear, "no images"},
          {{5, 7, 20, 21}, {40, 41}, {}, "nearest, for several threads"},
          {{5, 7, 20, 21}, {40, 41}, kBilinear, "bilinear, for several threads"}};
}

}  // namespace

void op::Upsample::samples(Samples& s) {
  for (const UpsampleSample& u : upsample_samples()) s.add(Upsample{u.size, u.between}, {u.images}, u.label);
}
void op::UpsampleAdjoint::samples(Samples& s) {
  for (const UpsampleSample& u : upsample_samples())
    s.add(UpsampleAdjoint{{u.images[2], u.images[3]}, u.between},
          {u.images.with(2, u.size[0]).with(3, u.size[1])}, u.label);
}

// ---- what users call ----

namespace {

constexpr std::int64_t kMostAlong = std::int64_t{1} << 53;

/// The size of the result along an axis.
std::int64_t scaled_size(const Shape& x, std::size_t axis, double scale) {
  const double size = std::floor(static_cast<double>(x[axis]) * scale);
  if (!(size >= 1 && size <= static_cast<double>(kMostAlong)))
    throw ArgumentError(
        fmt::format("{}: axis {} of {} times {} is {}; it must be at least 1 and at most 2^53",
                    op_label(op::Upsample::name), axis, to_string(x), scale, size));
  return static_cast<std::int64_t>(size);
}

/// Height and width of the result. Throws as upsample does.
Size2d size_of_result(const Shape& x, const UpsampleOptions& o) {
  const auto refuse = [&](const std::string& why) {
    throw ArgumentError(fmt::format("{}: {}", op_label(op::Upsample::name), why));
  };
  const bool by_size = o.size != Size2d{};
  if (by_size == (o.scale != 0))
    refuse(by_size ? "both size and scale are given; one of them says how large the result is"
                   : "neither size nor scale is given; one of them says how large the result is");
  if (!by_size) {
    if (!(o.scale > 0 && std::isfinite(o.scale)))
      refuse(fmt::format("scale is {}; it must be positive and finite", o.scale));
    return {scaled_size(x, 2, o.scale), scaled_size(x, 3, o.scale)};
  }
  for (const std::int64_t along : o.size)
    if (along < 1 || along > kMostAlong)
      refuse(
          fmt::format("a result of {} x {} is asked of {}; both numbers must be at least 1 and at most 2^53",
                      o.size[0], o.size[1], to_string(x)));
  return o.size;
}

}  // namespace

Tensor upsample(const Tensor& x, const UpsampleOptions& o) {
  constexpr auto name = op::Upsample::name;
  detail::require_images(name, "the input", x, 2);
  detail::require_floating(name, x);
  if (x.shape()[2] == 0 || x.shape()[3] == 0)
    throw ShapeError(fmt::format("{}: the images of {} have no elements to take results from", op_label(name),
                                 to_string(x.shape())));
  const bool bilinear = o.mode == UpsampleMode::bilinear;
  if (o.align_corners && !bilinear)
    throw ArgumentError(fmt::format(
        "{}: align_corners is of bilinear; nearest elements are the same without it", op_label(name)));
  return apply_op(op::Upsample{size_of_result(x.shape(), o), {bilinear, o.align_corners}}, x);
}
Tensor upsample(const Tensor& x, double scale) { return upsample(x, UpsampleOptions{.scale = scale}); }

template const OpInfo& detail::info_of<op::Upsample>();
template const OpInfo& detail::info_of<op::UpsampleAdjoint>();

}  // namespace tapegrad
