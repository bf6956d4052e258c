#include <algorithm>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/neural/planes.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/pool_window.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad {

using detail::both_sides;
using detail::Planes;
using detail::simd_for;
using detail::TensorAccess;
using detail::Window2d;
using detail::WindowAxis;
using detail::WindowRows;
using detail::Workspace;

namespace op {

/// y = the sum of each window / its number of elements.
struct AvgPool2d {
  static constexpr auto name = "avg_pool2d";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Window2d window;
  bool count_include_pad = true;
  void describe(AttributeVisitor& v) const {
    describe_steps(v, window);
    v("ceil_mode", window.ceil_mode), v("count_include_pad", count_include_pad);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<AvgPool2d>& ctx);
  static void samples(Samples& s);
};

/// The adjoint: each element of a window gets what the window has, / its number of elements.
struct AvgPool2dAdjoint {
  static constexpr auto name = "avg_pool2d_adjoint";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Window2d window;
  bool count_include_pad = true;
  detail::Size2d image{};
  void describe(AttributeVisitor& v) const {
    describe_steps(v, window);
    v("ceil_mode", window.ceil_mode), v("count_include_pad", count_include_pad);
    v("image", std::span<const std::int64_t>(image));
  }
  Tensor forward(const Tensor& g) const;
  static void vjp(VjpContext<AvgPool2dAdjoint>& ctx);
  static void samples(Samples& s);
};

}  // namespace op

namespace {

/// By how many elements the sum of window o is divided, along one axis.
double divisor(const WindowAxis& axis, std::int64_t o, bool count_include_pad) {
  const WindowAxis::Range within = axis.places(o);
  const std::int64_t padded = axis.size + axis.before - axis.start(o);  // pooling pads both sides alike
  return static_cast<double>(count_include_pad ? std::min(axis.kernel, padded) : within.last - within.first);
}

/// The divisors of the windows along w.
class Divisors {
 public:
  Divisors(const WindowRows& rows, bool count_include_pad)
      : rows_(rows), count_include_pad_(count_include_pad), of_columns_(rows.w.windows) {
    for (std::int64_t i = 0; i < of_columns_.size(); ++i)
      of_columns_[i] = divisor(rows.w, i, count_include_pad);
  }
  /// to[i] = from[i] / the divisor of window i of row o.
  template <class From, class To>
  void divide(std::int64_t o, const From* from, To* to) const {
    simd_for(of_columns_.size(), [=, of_row = divisor(rows_.h, o, count_include_pad_),
                                  of_column = of_columns_.data()](std::int64_t i) {
      to[i] = static_cast<To>(static_cast<double>(from[i]) / (of_row * of_column[i]));
    });
  }

 private:
  const WindowRows& rows_;
  bool count_include_pad_;
  Workspace<double> of_columns_;
};

}  // namespace

Tensor op::AvgPool2d::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  const Planes p(name, x.shape(), window);
  Tensor y = Tensor::empty(p.pooled(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    p.for_ranges([&](const WindowRows& rows, std::int64_t begin, std::int64_t end) {
      const Divisors divisors(rows, count_include_pad);
      detail::PaddedRows<T> padded(rows, static_cast<T>(detail::kNothing));
      const std::int64_t blocks = padded.in_blocks();
      Workspace<double> sums(blocks);
      for (std::int64_t plane = begin; plane < end; ++plane) {
        T* const out = TensorAccess::data_as<T>(y) + plane * p.windows_size();
        padded.start(TensorAccess::data_as<T>(x) + plane * p.image_size());
        for (std::int64_t o = 0; o < rows.h.windows; ++o) {
          padded.advance(o);
          std::fill_n(sums.data(), blocks, detail::kNothing);
          const WindowAxis::Range r = rows.h.places(o);
          for (std::int64_t k = r.first; k < r.last; ++k)
            for (std::int64_t j = 0; j < rows.w.places_met(); ++j)
              detail::simd_blocks<detail::kUnroll>(
                  0, blocks,
                  [sum = sums.data(), in = padded.row(rows.h.start(o) + k) + padded.offset(j)](
                      std::int64_t i) { sum[i] += static_cast<double>(in[i]); });
          divisors.divide(o, sums.data(), out + o * rows.w.windows);
        }
      }
    });
  });
  return y;
}
void op::AvgPool2d::vjp(VjpContext<AvgPool2d>& ctx) {
  const Shape x = ctx.input_shape(0);
  const op::AvgPool2d& op = ctx.op();
  ctx.add(0,
          apply_op(op::AvgPool2dAdjoint{op.window, op.count_include_pad, {x[2], x[3]}}, ctx.grad_output()));
}

Tensor op::AvgPool2dAdjoint::forward(const Tensor& g) const {
  const Planes p(name, g.shape().with(2, image[0]).with(3, image[1]), window);
  Tensor y = Tensor::empty(p.images, g.dtype());
  visit_floating(g.dtype(), [&]<class T> {
    p.for_ranges([&](const WindowRows& rows, std::int64_t begin, std::int64_t end) {
      const Divisors divisors(rows, count_include_pad);
      // Shares of several windows may cancel: they are added in double.
      Workspace<double> shares(rows.w.windows), sums(p.image_size());
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const T* const in = TensorAccess::data_as<T>(g) + plane * p.windows_size();
        std::fill_n(sums.data(), p.image_size(), detail::kNothing);
        for (std::int64_t o = 0; o < rows.h.windows; ++o) {
          divisors.divide(o, in + o * rows.w.windows, shares.data());
          rows.for_each_run(o, [&](std::int64_t, std::int64_t first, std::int64_t count, std::int64_t from) {
            detail::add_run(count, shares.data() + first, sums.data() + from, rows.w.stride);
          });
        }
        simd_for(p.image_size(),
                 [from = sums.data(), to = TensorAccess::data_as<T>(y) + plane * p.image_size()](
                     std::int64_t i) { to[i] = static_cast<T>(from[i]); });
      }
    });
  });
  return y;
}
void op::AvgPool2dAdjoint::vjp(VjpContext<AvgPool2dAdjoint>& ctx) {
  ctx.add(0, apply_op(op::AvgPool2d{ctx.op().window, ctx.op().count_include_pad}, ctx.grad_output()));
}

// ---- samples ----

namespace {

struct AvgSample {
  Window2d window;
  bool count_include_pad;
  Shape images;
  const char* label = "";
};
std::vector<AvgSample> avg_samples() {
  return {
      {{.kernel = {2, 2}, .stride = {2, 2}}, true, {2, 3, 4, 6}},
      {{.kernel = {2, 2}, .stride = {2, 2}}, true, {1, 1, 5, 7}, "a row and a column are left"},
      {{.kernel = {2, 3}, .stride = {2, 2}, .padding = both_sides({1, 1}), .ceil_mode = true},
       true,
       {1, 2, 6, 7},
       "the last windows overhang"},
      {{.kernel = {2, 3}, .stride = {2, 2}, .padding = both_sides({1, 1}), .ceil_mode = true},
       false,
       {1, 2, 6, 7},
       "the same, without the padding"},
      {{.kernel = {3, 2}, .stride = {1, 3}, .padding = both_sides({1, 0})}, false, {2, 1, 5, 8}},
      {{.kernel = {1, 3}, .stride = {1, 1}}, true, {3, 2, 1, 5}, "a sequence"},
      {{.kernel = {2, 2}, .stride = {2, 2}}, true, {0, 3, 4, 4}, "no images"},
      {{.kernel = {3, 3}, .stride = {2, 2}, .padding = both_sides({1, 1})},
       true,
       {5, 7, 39, 40},
       "for several threads"},
  };
}

}  // namespace

void op::AvgPool2d::samples(Samples& s) {
  for (const AvgSample& a : avg_samples())
    s.add(AvgPool2d{a.window, a.count_include_pad}, {a.images}, a.label);
}
void op::AvgPool2dAdjoint::samples(Samples& s) {
  for (const AvgSample& a : avg_samples())
    s.add(AvgPool2dAdjoint{a.window, a.count_include_pad, {a.images[2], a.images[3]}},
          {Planes(name, a.images, a.window).pooled()}, a.label);
}

// ---- what users call ----

Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& o) {
  const Window2d window = detail::pool_window(op::AvgPool2d::name, x, o, Sizes<2>(1));
  return apply_op(op::AvgPool2d{window, o.count_include_pad}, x);
}
Tensor avg_pool2d(const Tensor& x, std::int64_t kernel) {
  return avg_pool2d(x, AvgPool2dOptions{.kernel = kernel});
}
Tensor avg_pool1d(const Tensor& x, const AvgPool1dOptions& o) {
  const op::AvgPool2d pool{detail::pool_window("avg_pool1d", x, o, Sizes<1>(1)), o.count_include_pad};
  return detail::on_sequences(x, [&](const Tensor& images) { return apply_op(pool, images); });
}
Tensor avg_pool1d(const Tensor& x, std::int64_t kernel) {
  return avg_pool1d(x, AvgPool1dOptions{.kernel = kernel});
}

template const OpInfo& detail::info_of<op::AvgPool2d>();
template const OpInfo& detail::info_of<op::AvgPool2dAdjoint>();

}  // namespace tapegrad
