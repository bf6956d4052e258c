#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/real.h>
#include <tapegrad/ops/kernels/rows.h>

/// The exponentials of a row, without overflow.
namespace tapegrad::detail {

/// y = e^(x - max x); returns the sum of y.
template <class T>
T shifted_exp(const T* x, std::int64_t n, T* y) {
  const T largest = fold_row<MaximumFold>(x, n);
  for (std::int64_t j = 0; j < n; ++j) y[j] = exp(Real<T>{x[j] - largest}).v;
  return fold_row<SumFold>(y, n);
}

/// ln sum e^x as two terms: taken from x one after the other they keep digits that their sum would lose.
template <class T>
class LogSumExpOfRow {
 public:
  LogSumExpOfRow(const T* x, std::int64_t n)
      : largest_(fold_row<MaximumFold>(x, n)),
        rest_(log(Real<T>{fold_row<ExponentialsFold>(x, n, largest_)}).v) {}
  T log_softmax(T x) const { return (x - largest_) - rest_; }

 private:
  T largest_;
  T rest_;
};

}  // namespace tapegrad::detail
