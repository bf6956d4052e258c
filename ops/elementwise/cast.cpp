#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {
struct Cast {
  static constexpr auto name = "cast";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Dtype to = f32;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Cast>& ctx) { ctx.add(0, cast(ctx.grad_output(), ctx.input_dtype(0))); }
  void describe(AttributeVisitor& v) const { v("to", to); }
  static void samples(Samples& s) {
    s.add(Cast{.to = f64}, {Shape{2, 3}});
    s.add(Cast{.to = f64}, {Shape{263, 131}}, "beyond a block of the loops");
  }
};
}  // namespace op

namespace {

/// out[i] = from[i] for i in [begin, end).
template <class From, class To>
void convert(const From* from, To* out, std::int64_t begin, std::int64_t end) {
  if constexpr (std::is_same_v<To, std::int64_t> && !std::is_same_v<From, To>) {
    for (std::int64_t i = begin; i < end; ++i) {
      // The least i64 is a double, the number above the largest one is the next that is.
      if (!(from[i] >= -0x1p63 && from[i] < 0x1p63))
        throw ArgumentError(
            fmt::format("{}: {} at flat index {} does not fit i64", op_label(op::Cast::name), from[i], i));
      out[i] = static_cast<To>(from[i]);
    }
  } else {
    detail::dispatch_isa_for<To>([&] {
      detail::simd_for(end - begin, [x = from + begin, to = out + begin](std::int64_t i) {
        to[i] = static_cast<To>(x[i]);
      });
    });
  }
}

}  // namespace

Tensor op::Cast::forward(const Tensor& x) const {
  if (x.dtype() == to) return x;
  Tensor y = Tensor::empty(x.shape(), to);
  visit_dtype(x.dtype(), [&]<class From> {
    const From* from = detail::TensorAccess::data_as<From>(x);
    visit_dtype(to, [&]<class To> {
      To* out = detail::TensorAccess::data_as<To>(y);
      detail::parallel_elements(
          x.size(), [&](std::int64_t begin, std::int64_t end) { convert(from, out, begin, end); });
    });
  });
  return y;
}

Tensor cast(const Tensor& x, Dtype to) {
  return x.defined() && x.dtype() == to ? x : apply_op(op::Cast{.to = to}, x);
}

template const OpInfo& detail::info_of<op::Cast>();

}  // namespace tapegrad
