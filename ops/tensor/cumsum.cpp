#include <algorithm>

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
  }
};

}  // namespace op

using detail::TensorAccess;

namespace {
// Columns of a block are summed together, in a type in which a long running sum stays exact to the last digit
// or so.
template <class T>
void running_sums(const T* in, T* out, std::int64_t length, std::int64_t width, std::int64_t step) {
  using Wide = detail::AccumulatorType<T>;
  constexpr std::int64_t kColumns = 64;
  for (std::int64_t j0 = 0; j0 < width; j0 += kColumns) {
    const std::int64_t columns = std::min(kColumns, width - j0);
    Wide total[kColumns] = {};
    std::int64_t at = (step > 0 ? 0 : (length - 1) * width) + j0;
    for (std::int64_t i = 0; i < length; ++i, at += step * width)
      detail::simd_for(columns, [&](std::int64_t j) {
        total[j] = detail::wrapping_add(total[j], static_cast<Wide>(in[at + j]));
        out[at + j] = static_cast<T>(total[j]);
      });
  }
}
}  // namespace

Tensor op::CumSum::forward(const Tensor& x) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  if (x.size() == 0) return y;
  const detail::AxisView view(x.shape(), axis);
  visit_dtype(x.dtype(), [&]<class T> {
    const T* in = TensorAccess::data_as<T>(x);
    T* out = TensorAccess::data_as<T>(y);
    const std::int64_t block = view.size * view.inner;
    detail::dispatch_isa_for<T>([&] {
      for (std::int64_t o = 0; o < x.size(); o += block)
        running_sums(in + o, out + o, view.size, view.inner, reverse ? -1 : 1);
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
