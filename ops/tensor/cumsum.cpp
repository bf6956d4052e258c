#include <algorithm>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

namespace tapegrad {

namespace op {

struct CumSum {  // the gradient is the running sum from the other end
  static constexpr auto name = "cumsum";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  bool reverse = false;
  void describe(AttributeVisitor& v) const { v("axis", axis), v("reverse", reverse); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<CumSum>& ctx);
  static void samples(Samples& s) {
    s.add(CumSum{}, {Shape{1}});
    s.add(CumSum{}, {Shape{601}});
    s.add(CumSum{}, {Shape{5, 3}});
    s.add(CumSum{.axis = 1, .reverse = true}, {Shape{3, 5}});
    s.add(CumSum{.axis = 1}, {Shape{2, 3, 5}});
    s.add(CumSum{.axis = 1}, {Shape{263, 131}}, "for several threads");
    s.add(CumSum{}, {Shape{131, 263}}, "the same, by columns");
  }
};

}  // namespace op

using detail::TensorAccess;

namespace {

constexpr std::int64_t kColumns = 64;

/// Up to kColumns columns, `width` apart from row to row, are summed together, in a type in which a long running sum
/// stays exact to the last digit or so.
template <class T>
void running_sums(const T* in, T* out, std::int64_t length, std::int64_t columns, std::int64_t width,
                  bool reverse) {
  using Total = detail::AccumulatorType<T>;
  Total total[kColumns];
  std::fill_n(total, columns, static_cast<Total>(detail::kNothing));
  const std::int64_t step = reverse ? -width : width;
  std::int64_t at = reverse ? (length - 1) * width : 0;
  for (std::int64_t i = 0; i < length; ++i, at += step)
    detail::simd_for(columns, [&](std::int64_t j) {
      total[j] = detail::wrapping_add(total[j], static_cast<Total>(in[at + j]));
      out[at + j] = static_cast<T>(total[j]);
    });
}

}  // namespace

Tensor op::CumSum::forward(const Tensor& x) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  if (x.size() == 0) return y;
  const detail::AxisView view(x.shape(), axis);
  visit_dtype(x.dtype(), [&]<class T> {
    const T* in = TensorAccess::data_as<T>(x);
    T* out = TensorAccess::data_as<T>(y);
    const std::int64_t strips = detail::blocks_of(view.inner, kColumns);  // of each outer
    detail::parallel_ranges(view.outer * strips,
                            detail::grain_for(view.size * std::min(view.inner, kColumns)),
                            [&](std::int64_t begin, std::int64_t end) {
                              detail::dispatch_isa_for<T>([&] {
                                for (std::int64_t strip = begin; strip < end; ++strip) {
                                  const std::int64_t o = strips == 1 ? strip : strip / strips;
                                  const std::int64_t column = (strip - o * strips) * kColumns;
                                  const std::int64_t at = o * view.size * view.inner + column;
                                  running_sums(in + at, out + at, view.size,
                                               std::min(kColumns, view.inner - column), view.inner, reverse);
                                }
                              });
                            });
  });
  return y;
}
void op::CumSum::vjp(VjpContext<CumSum>& ctx) {
  ctx.add(0, apply_op(op::CumSum{.axis = ctx.op().axis, .reverse = !ctx.op().reverse}, ctx.grad_output()));
}

Tensor cumsum(const Tensor& x, std::int64_t axis) {
  return apply_op(op::CumSum{.axis = static_cast<std::uint8_t>(detail::axis_of(x, axis, op::CumSum::name))},
                  x);
}

template const OpInfo& detail::info_of<op::CumSum>();

}  // namespace tapegrad
