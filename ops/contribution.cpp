#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/loops/find.h>

namespace tapegrad::detail {

namespace {

bool any_true(const Tensor& mask) {
  return !all_hold(mask, [](auto v) { return v == 0; });
}

}  // namespace

bool contributes_all(const Tensor& g, const Tensor& r) noexcept {
  if (!all_finite(r)) return false;
  return !r.tracked() || g.tracked() || all_hold(g, [](auto v) { return v != 0; });
}

Tensor contribution(const Tensor& g, const Tensor& r, const Tensor& slope) {
  if (contributes_all(g, r)) return r;
  if (!g.tracked()) return where(g == 0, 0, r);
  // Element by element: what is not finite beside one changes nothing of it, at any order.
  const Tensor none = where(g == 0, slope != slope, 0);
  const Tensor rest = any_true(none) ? where(none, 0, r) : r;
  const Tensor value = rest.detach();
  const Tensor singular = where(g == 0, value - value != 0, 0);
  return any_true(singular) ? where(singular, apply_op(op::Contribution{}, g, rest), rest) : rest;
}

Tensor undefined_at(const Tensor& cusp, const Tensor& g, const Tensor& r) {
  if (!g.tracked() || !any_true(cusp)) return r;
  return r + where(cusp, zero_without_slope(0 * g, cusp), 0);
}

}  // namespace tapegrad::detail
