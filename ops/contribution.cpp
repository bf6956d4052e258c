#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/loops/find.h>

namespace tapegrad::detail {

namespace {

bool has_zero(const Tensor& t) {
  return any_element(t, [](auto v) { return v == 0; });
}
bool any_true(const Tensor& t) {
  return any_element(t, [](auto v) { return v != 0; });
}

}  // namespace

bool all_finite(const Tensor& r) noexcept { return !has_non_finite(r); }

bool contributes_all(const Tensor& g, const Tensor& r) noexcept {
  if (has_non_finite(r)) return false;
  return !r.tracked() || g.tracked() || !has_zero(g);
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
  return r + where(cusp, sqrt(where(cusp, 0 * g, 1)), 0);
}

}  // namespace tapegrad::detail
