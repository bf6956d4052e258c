#include <cmath>
#include <limits>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/tensor/reduce.h>

namespace tapegrad::detail {

namespace {

/// Whether r, made of g, is all it should be, and nothing that g says is lost in it.
bool is_contribution(const Tensor& g, const Tensor& r) {
  return all_hold(r, [](auto v) { return (v - v == 0) & !vm::is_nothing(v); }) && !has_nothing(g);
}

Tensor apply_contribution(const Tensor& g, const Tensor& r) {
  return apply_op(op::Contribution{}, g.tracked() ? g : where(g == 0, kNothing, g), r);
}

}  // namespace

bool has_nothing(const Tensor& g) {
  return g.tracked() ? !all_hold(g, [](auto v) { return !vm::is_nothing(v); })
                     : !all_hold(g, [](auto v) { return v != 0; });
}

Tensor is_nothing(const Tensor& x) {
  Tensor mask = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    const T* from = TensorAccess::data_as<T>(x);
    T* to = TensorAccess::data_as<T>(mask);
    dispatch_isa_for<T>([&] {
      simd_for(x.size(), [=](std::int64_t i) { to[i] = static_cast<T>(vm::is_nothing(from[i])); });
    });
  });
  return mask;
}

Tensor contribution(const Tensor& g, const Tensor& r) {
  return is_contribution(g, r) ? r : apply_contribution(g, r);
}

Tensor contribution_of_constant(const Tensor& g, const Tensor& r, double c) {
  const bool finite = visit_floating(g.dtype(), [c]<class T> { return std::isfinite(static_cast<T>(c)); });
  return finite ? contribution(g, r) : r;
}

Tensor contribution_by(const Tensor& g, const Tensor& slope) {
  const Tensor r = contribution(g, g * slope);
  if (!has_nothing(slope)) return r;
  return where(slope.tracked() ? is_nothing(slope) : slope == 0, kNothing, r);
}

Tensor contribution_along(const Tensor& g, const Axes& axes, const Tensor& r) {
  if (is_contribution(g, r)) return r;
  const KeepDims keep{r.rank() == g.rank()};
  return apply_contribution(sum(where(g == 0, g, abs(g)), axes, keep), r);
}

Tensor undefined_where(const Tensor& x, const Tensor& mask) {
  return apply_op(op::UndefinedWhere{}, x, mask);
}
Tensor undefined(const Tensor& x) { return undefined_where(x, scalar_like(x, 1)); }

Tensor zero_without_slope(const Tensor& z) { return apply_op(op::Contribution{}, z, undefined(z)); }

Tensor undefined_at(const Tensor& cusp, const Tensor& g, const Tensor& r) {
  const Tensor c = contribution(g, r);
  if (!g.tracked() || all_hold(cusp, [](auto v) { return v == 0; })) return c;
  return where(cusp, zero_without_slope(contribution(g, 0 * g)), c);
}

}  // namespace tapegrad::detail
