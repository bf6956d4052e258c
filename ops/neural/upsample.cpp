#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/upsample.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Size2d;
using detail::TensorAccess;

namespace op {

/// Which elements results are made of.
struct Interpolation {
  bool bilinear = false;
  bool align_corners = false;
  void describe(AttributeVisitor& v) const { v("bilinear", bilinear), v("align_corners", align_corners); }
};

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

/// Holds the product of two sizes.
__extension__ using Wide = __int128;

/// (1 - share) of one element and `share` of the next; where that is 0, none of it.
struct Place {
  std::int64_t first;
  double share;
};

/// Where element i of `out` stands among `in`. Exact: of whole numbers, with one division.
Place place_of(std::int64_t i, std::int64_t in, std::int64_t out, const op::Interpolation& between) {
  if (!between.bilinear) return {static_cast<std::int64_t>(Wide(i) * in / out), 0};
  const Wide over =
      between.align_corners ? Wide(i) * (in - 1) : std::max<Wide>(0, (2 * Wide(i) + 1) * in - out);
  const Wide under = between.align_corners ? std::max<Wide>(1, out - 1) : 2 * Wide(out);
  const auto first = static_cast<std::int64_t>(over / under);
  if (first >= in - 1) return {in - 1, 0};
  return {first, static_cast<double>(over % under) / static_cast<double>(under)};
}

/// The places of an axis.
class Places {
 public:
  Places(std::int64_t in, std::int64_t out, const op::Interpolation& between) : all_(out) {
    for (std::int64_t i = 0; i < out; ++i) all_[i] = place_of(i, in, out, between);
  }
  const Place& operator[](std::int64_t i) const { return all_[i]; }
  std::int64_t size() const { return all_.size(); }

 private:
  detail::Workspace<Place> all_;
};

/// f(begin, end) for ranges of planes, shared among threads.
template <class F>
void for_ranges(std::int64_t planes, const Size2d& image, const Size2d& size, F&& f) {
  const std::int64_t work = std::max(image[0] * image[1], size[0] * size[1]);
  detail::parallel_ranges(planes, detail::grain_for(work), [&](std::int64_t begin, std::int64_t end) {
    detail::dispatch_isa([&] { f(begin, end); });
  });
}

/// A row with as many elements as there are places.
template <class T>
void stretch_row(const Places& columns, const T* in, T* out) {
  for (std::int64_t j = 0; j < columns.size(); ++j) {
    const auto [k, share] = columns[j];
    const auto s = static_cast<T>(share);
    out[j] = share == 0 ? in[k] : (1 - s) * in[k] + s * in[k + 1];
  }
}

/// A plane: first its rows are stretched, into `stretched`, then rows of them are taken together.
template <class T>
void stretch_plane(const Places& rows, const Places& columns, const Size2d& image, const T* in, T* stretched,
                   T* out) {
  const std::int64_t width = columns.size();
  for (std::int64_t r = 0; r < image[0]; ++r) stretch_row(columns, in + r * image[1], stretched + r * width);
  for (std::int64_t i = 0; i < rows.size(); ++i, out += width) {
    const auto [r, share] = rows[i];
    const T* const a = stretched + r * width;
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

/// The adjoint, in the opposite order. Shares of several results may cancel: they are added in double.
template <class T>
void gather_plane(const Places& rows, const Places& columns, const Size2d& image, const T* g, double* sums,
                  double* row, T* out) {
  const std::int64_t width = columns.size();
  std::fill_n(sums, image[0] * width, detail::kNothing);
  const auto add_row = [&](std::int64_t r, double share, const T* from) {
    double* const to = sums + r * width;
    detail::simd_for(width, [&](std::int64_t j) { to[j] += share * static_cast<double>(from[j]); });
  };
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const auto [r, share] = rows[i];
    add_row(r, 1 - share, g + i * width);
    if (share != 0) add_row(r + 1, share, g + i * width);
  }
  for (std::int64_t r = 0; r < image[0]; ++r, sums += width, out += image[1]) {
    std::fill_n(row, image[1], detail::kNothing);
    for (std::int64_t j = 0; j < width; ++j) {
      const auto [k, share] = columns[j];
      row[k] += (1 - share) * sums[j];
      if (share != 0) row[k + 1] += share * sums[j];
    }
    for (std::int64_t k = 0; k < image[1]; ++k) out[k] = static_cast<T>(row[k]);
  }
}

}  // namespace

Tensor op::Upsample::forward(const Tensor& x) const {
  const Size2d image{x.shape()[2], x.shape()[3]};
  Tensor y = Tensor::empty(x.shape().with(2, size[0]).with(3, size[1]), x.dtype());
  const Places rows(image[0], size[0], between), columns(image[1], size[1], between);
  visit_floating(x.dtype(), [&]<class T> {
    for_ranges(x.shape()[0] * x.shape()[1], image, size, [&](std::int64_t begin, std::int64_t end) {
      detail::Workspace<T> stretched(image[0] * size[1]);
      for (std::int64_t plane = begin; plane < end; ++plane)
        stretch_plane(rows, columns, image, TensorAccess::data_as<T>(x) + plane * image[0] * image[1],
                      stretched.data(), TensorAccess::data_as<T>(y) + plane * size[0] * size[1]);
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
  const Places rows(image[0], size[0], between), columns(image[1], size[1], between);
  visit_floating(g.dtype(), [&]<class T> {
    for_ranges(g.shape()[0] * g.shape()[1], image, size, [&](std::int64_t begin, std::int64_t end) {
      detail::Workspace<double> sums(image[0] * size[1]), row(image[1]);
      for (std::int64_t plane = begin; plane < end; ++plane)
        gather_plane(rows, columns, image, TensorAccess::data_as<T>(g) + plane * size[0] * size[1],
                     sums.data(), row.data(), TensorAccess::data_as<T>(y) + plane * image[0] * image[1]);
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
  op::Interpolation between{};
  const char* label = "";
};
std::vector<UpsampleSample> upsample_samples() {
  constexpr op::Interpolation kBilinear{.bilinear = true}, kAligned{.bilinear = true, .align_corners = true};
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

/// The size of the result along an axis.
std::int64_t scaled_size(const Tensor& x, std::size_t axis, double scale) {
  const double size = std::floor(static_cast<double>(x.shape()[axis]) * scale);
  constexpr double kMost = 1LL << 53;
  if (!(size >= 1 && size <= kMost))
    throw ArgumentError(fmt::format("{}: axis {} of {} times {} is {}; it must be at least 1, and below 2^53",
                                    op_label(op::Upsample::name), axis, to_string(x.shape()), scale, size));
  return static_cast<std::int64_t>(size);
}

}  // namespace

Tensor upsample(const Tensor& x, const UpsampleOptions& o) {
  constexpr auto name = op::Upsample::name;
  detail::require_defined(name, x);
  detail::require_floating(name, x);
  const auto refuse = [&](const std::string& why) {
    throw ArgumentError(fmt::format("{}: {}", op_label(name), why));
  };
  if (x.rank() != 4)
    throw ShapeError(
        fmt::format("{}: the input is {}; it must be [n, c, h, w]: a batch of images with channels",
                    op_label(name), to_string(x.shape())));
  if (x.shape()[2] == 0 || x.shape()[3] == 0)
    throw ShapeError(fmt::format("{}: the images of {} have no elements to take results from", op_label(name),
                                 to_string(x.shape())));
  const bool bilinear = o.mode == UpsampleMode::bilinear;
  if (o.align_corners && !bilinear)
    refuse("align_corners is of bilinear; nearest elements are the same without it");
  const bool by_size = o.size != Size2d{};
  if (by_size == (o.scale != 0))
    refuse(by_size ? "both size and scale are given; one of them says how large the result is"
                   : "neither size nor scale is given; one of them says how large the result is");
  if (by_size && (o.size[0] < 1 || o.size[1] < 1))
    refuse(fmt::format("a result of {} x {} is asked of {}; both numbers must be at least 1", o.size[0],
                       o.size[1], to_string(x.shape())));
  if (!by_size && !(o.scale > 0 && std::isfinite(o.scale)))
    refuse(fmt::format("scale is {}; it must be positive and finite", o.scale));
  const Size2d size = by_size ? o.size : Size2d{scaled_size(x, 2, o.scale), scaled_size(x, 3, o.scale)};
  return apply_op(op::Upsample{size, {bilinear, o.align_corners}}, x);
}
Tensor upsample(const Tensor& x, double scale) { return upsample(x, UpsampleOptions{.scale = scale}); }

template const OpInfo& detail::info_of<op::Upsample>();
template const OpInfo& detail::info_of<op::UpsampleAdjoint>();

}  // namespace tapegrad
