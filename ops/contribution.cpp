#include <iterator>
#include <span>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/loops/find.h>

namespace tapegrad::detail {

namespace {

/// Whether a condition holds for any element. These tests are made at each recorded rule: they cost a fraction of it.
template <class F>
bool any(const Tensor& t, const F& holds) {
  return visit_floating(t.dtype(), [&]<class T> {
    const std::span<const T> v = t.values<T>();
    bool found = false;
    dispatch_isa([&] { found = first_where(v.data(), std::ssize(v), holds) < std::ssize(v); });
    return found;
  });
}
bool has_zero(const Tensor& t) {
  return any(t, [](auto v) { return v == 0; });
}
bool has_non_finite(const Tensor& t) {
  return any(t, [](auto v) { return v - v != 0; });
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
