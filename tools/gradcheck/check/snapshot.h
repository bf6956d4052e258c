#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::gradcheck::detail {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  using tapegrad::detail::TensorAccess;
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.size() == 0 || std::memcmp(TensorAccess::data(a), TensorAccess::data(b),
                                       static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0);
}

/// Whether a gradient is the same as when it was computed before: to the bit, or where a tolerance is given,
/// to that.
inline bool repeats(const Tensor& a, const Tensor& b, double tolerance) {
  if (same_bits(a, b)) return true;
  if (!(tolerance > 0) || a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Doubles x = to_doubles(a), y = to_doubles(b);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i] && !(std::abs(x[i] - y[i]) <= tolerance) && !(std::isnan(x[i]) && std::isnan(y[i])))
      return false;
  return true;
}

/// Remembers the bytes of tensors, to see later whether anybody wrote to them.
class Snapshot {
 public:
  explicit Snapshot(std::span<const Tensor> tensors) : tensors_(tensors.begin(), tensors.end()) {
    for (const Tensor& t : tensors_) copies_.push_back(t.copy());
  }
  /// The position of the first tensor that was changed, or -1.
  std::ptrdiff_t changed() const {
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      if (!same_bits(tensors_[i], copies_[i])) return static_cast<std::ptrdiff_t>(i);
    return -1;
  }

 private:
  std::vector<Tensor> tensors_, copies_;
};

}  // namespace tapegrad::gradcheck::detail
