#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/numbers/real.h>

/// Many elements made one. A reducer tells how: map(element, parameter of its output), then combine, with an
/// identity to start from; Again is the reducer of what was reduced before, and maps nothing. The order is that of this
/// file wherever elements are reduced, and depends on their number alone: lanes within a block, and blocks in pairs, so
/// that the error of a sum grows with the logarithm of its length. All this is for loops inside functions of
/// dispatch.h.
namespace tapegrad::detail {

// ---- reducers ----

template <class T>
struct SumReducer {
  using Again = SumReducer;
  static constexpr T kIdentity = static_cast<T>(kNothing);
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return wrapping_add(a, b); }
};

template <class T>
struct ProductReducer {
  using Again = ProductReducer;
  static constexpr T kIdentity{1};
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return wrapping_mul(a, b); }
};

/// A NaN is passed on. The comparison of two elements is an instruction by itself, not a branch: which of them is the
/// greater is not for a processor to predict, that neither is a NaN is.
template <class T>
struct MaximumReducer {
  using Again = MaximumReducer;
  using Limits = std::numeric_limits<T>;
  static constexpr T kIdentity = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) {
    const T greater = b > a ? b : a;
    return b != b ? b : greater;
  }
};
template <class T>
struct MinimumReducer {
  using Again = MinimumReducer;
  using Limits = std::numeric_limits<T>;
  static constexpr T kIdentity = Limits::has_infinity ? Limits::infinity() : Limits::max();
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) {
    const T smaller = b < a ? b : a;
    return b != b ? b : smaller;
  }
};

/// Never more than the maximum; with a NaN among the elements it may be less.
template <class T>
struct NumberMaximumReducer : MaximumReducer<T> {
  static T combine(T a, T b) { return a < b ? b : a; }
};

template <class T>
struct SquaresReducer : SumReducer<T> {
  static T map(T x, T) { return x * x; }
};
/// Distances from the parameter, a mean, and their squares.
template <class T>
struct DifferencesReducer : SumReducer<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T mean) { return x - mean; }
};
template <class T>
struct DeviationsReducer : SumReducer<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T mean) { return (x - mean) * (x - mean); }
};
/// e^(x - parameter), with the maximum as the parameter.
template <class T>
struct ExponentialsReducer : SumReducer<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T largest) { return exp(Real<T>{x - largest}).v; }
};
/// The same without the maximum itself.
template <class T>
struct OtherExponentialsReducer : ExponentialsReducer<T> {
  static T map(T x, T largest) { return x == largest ? T{0} : exp(Real<T>{x - largest}).v; }
};
/// Elements below the parameter.
template <class T>
struct BelowReducer : SumReducer<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T bound) { return x < bound ? x : T{0}; }
};
/// How many elements equal the parameter.
template <class T>
struct EqualsReducer : SumReducer<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T value) { return static_cast<T>(x == value); }
};

// ---- blocks in pairs ----

/// Which partial results are combined, and when: of equally many blocks each, as far as their number allows.
/// Results stand on levels; merge(i) combines level i + 1 into level i.
class PairwiseOrder {
 public:
  /// Levels in use: the next result goes to level top().
  std::size_t top() const { return top_; }
  /// A result was put on level top().
  template <class Merge>
  void pushed(const Merge& merge) {
    ++top_;
    for (std::uint64_t c = pushed_++; c & 1; c >>= 1) merge(--top_ - 1);
  }
  /// No more will come: level 0 is the result, if there was any.
  template <class Merge>
  void finish(const Merge& merge) {
    while (top_ > 1) merge(--top_ - 1);
  }

 private:
  std::uint64_t pushed_ = 0;
  std::size_t top_ = 0;
};

/// The same for values with R::combine.
template <class R, class T>
class Pairwise {
 public:
  void push(T v) {
    level_[order_.top()] = std::move(v);
    order_.pushed(merge());
  }
  T result() {
    if constexpr (requires { R::kIdentity; })
      if (order_.top() == 0) return R::kIdentity;
    order_.finish(merge());
    return std::move(level_[0]);
  }

 private:
  auto merge() {
    return [this](std::size_t i) { level_[i] = R::combine(std::move(level_[i]), std::move(level_[i + 1])); };
  }

  PairwiseOrder order_;
  T level_[64];
};

// ---- along a run ----

/// Elements of a block; within one, a sum is taken in the elements' own type.
inline constexpr std::int64_t kReduceBlock = 1024;

/// Lanes that elements are combined in, each with what stands kUnroll elements on. They are four groups
/// rather than one of kLongUnroll: the compiler then keeps them in registers.
template <class R, class T>
struct Lanes {
  alignas(64) T lane[kUnroll];

  Lanes(const T* x, T parameter) {
    for (std::int64_t k = 0; k < kUnroll; ++k) lane[k] = R::map(x[k], parameter);
  }
  void combine(const T* x, T parameter) {
    for (std::int64_t k = 0; k < kUnroll; ++k) lane[k] = R::combine(lane[k], R::map(x[k], parameter));
  }
  void combine(const Lanes& other) {
    for (std::int64_t k = 0; k < kUnroll; ++k) lane[k] = R::combine(lane[k], other.lane[k]);
  }
  /// All lanes as one, the upper half with the lower each time.
  template <std::int64_t kWidth = kUnroll>
  T total() {
    if constexpr (kWidth == 1) {
      return lane[0];
    } else {
      for (std::int64_t k = 0; k < kWidth / 2; ++k) lane[k] = R::combine(lane[k], lane[k + kWidth / 2]);
      return total<kWidth / 2>();
    }
  }
};

/// The combined lanes of at least kUnroll elements, as far as they fill lanes; `taken` is how many do.
template <class R, class T>
T reduce_lanes(const T* x, std::int64_t n, T parameter, std::int64_t& taken) {
  constexpr std::int64_t kWidth = kUnroll;
  Lanes<R, T> a(x, parameter);
  std::int64_t i = kWidth;
  if (n >= kLongUnroll) {
    Lanes<R, T> b(x + kWidth, parameter), c(x + 2 * kWidth, parameter), d(x + 3 * kWidth, parameter);
    for (i = kLongUnroll; i + kLongUnroll <= n; i += kLongUnroll) {
      a.combine(x + i, parameter);
      b.combine(x + i + kWidth, parameter);
      c.combine(x + i + 2 * kWidth, parameter);
      d.combine(x + i + 3 * kWidth, parameter);
    }
    a.combine(c);
    b.combine(d);
    a.combine(b);
  }
  for (; i + kWidth <= n; i += kWidth) a.combine(x + i, parameter);
  taken = i;
  return a.total();
}

/// At most kReduceBlock elements.
template <class R, class T>
T reduce_block(const T* x, std::int64_t n, T parameter) {
  T all = R::kIdentity;
  std::int64_t i = 0;
  if (n >= kUnroll) all = reduce_lanes<R>(x, n, parameter, i);
  for (; i < n; ++i) all = R::combine(all, R::map(x[i], parameter));
  return all;
}

/// Any number of elements. Blocks are combined as numbers of type A, which may be wider than the elements.
template <template <class> class Reducer, class A, class T>
A reduce_run(const T* x, std::int64_t n, T parameter = {}) {
  using R = Reducer<T>;
  if (n <= kReduceBlock) return static_cast<A>(reduce_block<R>(x, n, parameter));
  Pairwise<Reducer<A>, A> all;
  for (std::int64_t i = 0; i < n; i += kReduceBlock)
    all.push(static_cast<A>(reduce_block<R>(x + i, std::min(kReduceBlock, n - i), parameter)));
  return all.result();
}

/// The sum of a run: in T within a block, in f64 beyond.
template <class T>
double sum_of(const T* x, std::int64_t n) {
  return reduce_run<SumReducer, double>(x, n);
}

/// The greatest of a run of numbers.
template <class T>
T greatest_of(const T* x, std::int64_t n) {
  return reduce_run<NumberMaximumReducer, T>(x, n);
}

}  // namespace tapegrad::detail
