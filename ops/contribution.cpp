#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/loops/find.h>

namespace tapegrad::detail {

namespace {

bool has_zero(const Tensor& t) {
  return any_element(t, [](auto v) { return v == 0; });
}

}  // namespace

bool contributes_all(const Tensor& g, const Tensor& r) noexcept {
  if (has_non_finite(r)) return false;
  return !r.tracked() || g.tracked() || !has_zero(g);
}

Tensor contribution(const Tensor& g, const Tensor& r, const Tensor& slope) {
  if (contributes_all(g, r)) return r;
  if (!g.tracked()) return where(g == 0, 0, r);
  const Tensor rest = where(where(g == 0, slope != slope, 0), 0, r);
  return has_non_finite(rest) ? apply_op(op::Contribution{}, g, rest) : rest;
}

}  // namespace tapegrad::detail
