#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/graph/element_access.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/reducers.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/tensor/reduce.h>

/// What the rules of softmax and its losses ask of rows in which one class is far ahead.
namespace tapegrad::detail {

/// From which probability on a class is far ahead: 1 - p then loses a digit, and more beyond.
inline constexpr double kFarAhead = 0.9;
inline constexpr double kLnFarAhead = -0.10536051565782628;

/// A mask of the elements above a bound; undefined where there are none. Not recorded.
inline Tensor elements_above(const Tensor& y, double bound) {
  // A NaN is not above it.
  const bool none = all_hold(y, [bound]<class T>(T v) { return !(v > static_cast<T>(bound)); });
  return none ? Tensor{} : y.detach() > bound;
}

/// A class that has nearly all of the probability; `n` where there is none. A part of a loop for an instruction set.
template <class T>
std::int64_t dominant_class(const T* p, std::int64_t n) {
  return first_where(p, n, [](T v) { return v > static_cast<T>(kFarAhead); });
}

/// The same for one of the rows that are seen at a time: most often there is none in all of them.
template <class T>
class DominantClasses {
 public:
  DominantClasses(const T* p, std::int64_t rows, std::int64_t n)
      : any_(dominant_class(p, rows * n) < rows * n), n_(n) {}
  std::int64_t in(const T* row) const { return any_ ? dominant_class(row, n_) : n_; }

 private:
  bool any_;
  std::int64_t n_;
};

/// The sum of a row without element i, of all where i is n. A part of a loop for an instruction set: what adds is in
/// the code once, as the compiler puts all of it in line.
template <class T>
double sum_without(const T* x, std::int64_t n, std::int64_t i) {
  const std::int64_t begin[2] = {0, std::min(i + 1, n)}, end[2] = {i, n};
  double total = 0;
  for (int part = 0; part < 2; ++part) total += sum_of(x + begin[part], end[part] - begin[part]);
  return total;
}

/// A part of a loop for an instruction set.
template <class T>
bool all_zero(const T* x, std::int64_t n) {
  return first_where(x, n, [](T v) { return v != T{0}; }) == n;
}

/// g - sum g y along an axis, where the y of a row add up to 1: y times this is the gradient of y = softmax(x), g its
/// own. A shift of g changes nothing; by the g of an element that has nearly all of y no digit is lost, where g - sum g
/// y would be 1 - 1.
inline Tensor centred(const Tensor& y, const Tensor& g, std::size_t axis) {
  Tensor shifted = g;
  if (const Tensor ahead = elements_above(y, kFarAhead); ahead.defined())
    shifted = g - sum(where(ahead, g, 0), axis, KeepDims::yes);
  return shifted - sum(shifted * y, axis, KeepDims::yes);
}

/// out[j] = f(j, element j of the same) for one row, of which dominant_class is known; 0 where g is 0 throughout. A
/// part of a loop for an instruction set.
template <class T, class F>
void centre_row(const T* y, const T* g, std::int64_t n, std::int64_t ahead, T* out, F&& f) {
  const T shift = ahead < n ? g[ahead] : T{0};
  simd_for(n, [&](std::int64_t j) { out[j] = y[j] * (g[j] - shift); });
  const T mean = static_cast<T>(sum_of(out, n));
  if (mean - mean != T{0} && all_zero(g, n)) return std::fill_n(out, n, T{0}), void();
  simd_for(n, [&](std::int64_t j) { out[j] = f(j, (g[j] - shift) - mean); });
}

}  // namespace tapegrad::detail
