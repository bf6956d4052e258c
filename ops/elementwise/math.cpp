#include <algorithm>
#include <span>

#include <tapegrad/graph/values.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/elementwise/special_ops.h>

namespace tapegrad {

#define TAPEGRAD_ROW(function, Op)                                   \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

Tensor gaussian(const Tensor& x, double c) { return apply_op(op::Gaussian{.c = c}, x); }

namespace {

bool has_zero(const Tensor& t) {
  return visit_floating(t.dtype(), [&]<class T> {
    const std::span<const T> v = t.values<T>();
    return std::find(v.begin(), v.end(), T{0}) != v.end();
  });
}

}  // namespace

bool detail::contributes_all(const Tensor& g, const Tensor& r) noexcept {
  if (first_non_finite(r) >= 0) return false;
  return !r.tracked() || g.tracked() || !has_zero(g);
}

Tensor detail::contribution(const Tensor& g, const Tensor& r, const Tensor& slope) {
  if (!g.tracked()) return where(g == 0, 0, r);
  const Tensor rest = where(where(g == 0, slope != slope, 0), 0, r);
  return first_non_finite(rest) < 0 ? rest : apply_op(op::Contribution{}, g, rest);
}

}  // namespace tapegrad
