#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <tapegrad/graph/values.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad::detail {

Tensor scales_of(const Tensor& x, const op::Reduction& r) {
  bool any = false;
  const Tensor scales =
      changed(reduce_floating<MaximumReducer>(abs(x.detach()), r), [&]<class T>(T v, std::int64_t) {
        if (is_moderate(v) || !std::isfinite(v)) return T{1};
        any = true;
        constexpr int kMost = std::numeric_limits<T>::max_exponent - 2;
        return std::ldexp(T{1}, std::clamp(-std::ilogb(v), -kMost, kMost));
      });
  return any ? scales : Tensor{};
}

Tensor scaled(const Tensor& x, const Tensor& scales, const op::Reduction& r) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    T* const to = TensorAccess::data_as<T>(y);
    broadcast_grad(nest_of(x.shape(), r.axes), Destination<T>{to, false},
                   [x = elements<T>(x), s = elements<T>(scales)](std::int64_t i, std::int64_t o) {
                     return x[i] * s[o];
                   });
  });
  return y;
}

Tensor unscaled(Tensor y, const Tensor& scales) {
  return changed(std::move(y), [&]<class T>(T v, std::int64_t o) { return v / elements<T>(scales)[o]; });
}

Tensor mean_of(const Tensor& x, const op::Reduction& r) {
  const auto n = static_cast<double>(reduced_count(x.shape(), r.axes));
  const auto mean = [&](const Tensor& t) {
    return changed(reduce_floating<SumReducer>(t, r),
                   [n]<class T>(T v, std::int64_t) { return v / static_cast<T>(n); });
  };
  const Tensor y = mean(x);
  if (all_finite(y)) return y;
  const Tensor scales = scales_of(x, r);  // a sum may be infinite whose mean is not
  return scales.defined() ? unscaled(mean(scaled(x, scales, r)), scales) : y;
}

bool all_in_range(const Tensor& sums) {
  return all_hold(sums, []<class T>(T v) {
    using Limits = std::numeric_limits<T>;
    constexpr T kLeast = Limits::min() / (Limits::epsilon() * Limits::epsilon());
    return v >= kLeast && v <= Limits::max();
  });
}

}  // namespace tapegrad::detail
