#include <algorithm>
#include <span>

#include <tapegrad/graph/values.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>

namespace tapegrad::detail {

namespace {

bool has_zero(const Tensor& t) {
  return visit_floating(t.dtype(), [&]<class T> {
    const std::span<const T> v = t.values<T>();
    return std::find(v.begin(), v.end(), T{0}) != v.end();
  });
}

}  // namespace

bool contributes_all(const Tensor& g, const Tensor& r) noexcept {
  if (first_non_finite(r) >= 0) return false;
  return !r.tracked() || g.tracked() || !has_zero(g);
}

Tensor contribution(const Tensor& g, const Tensor& r, const Tensor& slope) {
  if (contributes_all(g, r)) return r;
  if (!g.tracked()) return where(g == 0, 0, r);
  const Tensor rest = where(where(g == 0, slope != slope, 0), 0, r);
  return first_non_finite(rest) < 0 ? rest : apply_op(op::Contribution{}, g, rest);
}

}  // namespace tapegrad::detail
