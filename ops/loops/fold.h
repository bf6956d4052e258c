#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/numbers/real.h>

/// Many elements made one, in blocks that depend on their number alone; the blocks are combined in pairs, so
/// that the error of a sum grows with the logarithm of their number.
namespace tapegrad::detail {

// ---- what is folded: map(element, parameter of its output), then combine ----

template <class T>
struct SumFold {
  static constexpr T kIdentity{0};
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return wrapping_add(a, b); }
};

template <class T>
struct ProductFold {
  static constexpr T kIdentity{1};
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return wrapping_mul(a, b); }
};

/// A NaN is passed on.
template <class T>
struct MaximumFold {
  using Limits = std::numeric_limits<T>;
  static constexpr T kIdentity = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return b > a || b != b ? b : a; }
};
template <class T>
struct MinimumFold {
  using Limits = std::numeric_limits<T>;
  static constexpr T kIdentity = Limits::has_infinity ? Limits::infinity() : Limits::max();
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
  static T combine(T a, T b) { return b < a || b != b ? b : a; }
};

template <class T>
struct SquaresFold : SumFold<T> {
  static T map(T x, T) { return x * x; }
};
/// Squares of the distance from the parameter, a mean.
template <class T>
struct DeviationsFold : SumFold<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T mean) { return (x - mean) * (x - mean); }
};
/// e^(x - parameter), with the maximum as the parameter.
template <class T>
struct ExponentialsFold : SumFold<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T largest) { return exp(Real<T>{x - largest}).v; }
};
/// How many elements equal the parameter.
template <class T>
struct EqualsFold : SumFold<T> {
  static constexpr bool kParameter = true;
  static T map(T x, T value) { return static_cast<T>(x == value); }
};

/// Folds what was folded before: elements are not mapped again.
template <class F, class T>
struct FoldAgain : F {
  static constexpr bool kParameter = false;
  static T map(T x, T) { return x; }
};

// ---- along a run ----

/// Folds partial results in pairs: of equally many elements each, as far as their number allows.
template <class F, class T>
class PairwiseFold {
 public:
  void push(T v) {
    for (std::uint64_t c = pushed_++; c & 1; c >>= 1) v = F::combine(std::move(level_[--top_]), v);
    level_[top_++] = std::move(v);
  }
  T result() {
    if constexpr (requires { F::kIdentity; })
      if (top_ == 0) return F::kIdentity;
    while (top_ > 1) {
      --top_;
      level_[top_ - 1] = F::combine(std::move(level_[top_ - 1]), level_[top_]);
    }
    return std::move(level_[0]);
  }

 private:
  std::uint64_t pushed_ = 0;
  std::size_t top_ = 0;
  T level_[64];
};

inline constexpr std::int64_t kFoldBlock = 1024;

/// At most kFoldBlock elements, in lanes that the compiler turns into vectors.
template <class F, class T>
T fold_block(const T* x, std::int64_t n, T parameter) {
  constexpr std::int64_t kLanes = 128 / sizeof(T);
  if (n < kLanes) {
    T all = F::kIdentity;
    for (std::int64_t i = 0; i < n; ++i) all = F::combine(all, F::map(x[i], parameter));
    return all;
  }
  T lane[kLanes];
  for (std::int64_t j = 0; j < kLanes; ++j) lane[j] = F::map(x[j], parameter);
  std::int64_t i = kLanes;
  for (; i + kLanes <= n; i += kLanes)
    for (std::int64_t j = 0; j < kLanes; ++j) lane[j] = F::combine(lane[j], F::map(x[i + j], parameter));
  for (std::int64_t j = 0; i + j < n; ++j) lane[j] = F::combine(lane[j], F::map(x[i + j], parameter));
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2)
    for (std::int64_t j = 0; j < width; ++j) lane[j] = F::combine(lane[j], lane[j + width]);
  return lane[0];
}

/// Elements that a thread is worth waking for; a power of two of blocks, so that ranges are folded as the
/// blocks in one go would be.
inline constexpr std::int64_t kFoldRange = 32 * kFoldBlock;

template <class F, class T>
T fold_run(const T* x, std::int64_t n, T parameter) {
  T result;
  dispatch_isa_for<T>([&] {
    if (n <= kFoldBlock) {
      result = fold_block<F>(x, n, parameter);
      return;
    }
    PairwiseFold<F, T> fold;
    for (std::int64_t i = 0; i < n; i += kFoldBlock)
      fold.push(fold_block<F>(x + i, std::min(kFoldBlock, n - i), parameter));
    result = fold.result();
  });
  return result;
}

/// A run that the threads share.
template <class F, class T>
T fold_long_run(const T* x, std::int64_t n, T parameter) {
  std::vector<T, PoolAllocator<T>> partial(static_cast<std::size_t>(blocks_of(n, kFoldRange)));
  parallel_ranges(n, kFoldRange, [&](std::int64_t begin, std::int64_t end) {
    partial[static_cast<std::size_t>(begin / kFoldRange)] = fold_run<F>(x + begin, end - begin, parameter);
  });
  PairwiseFold<F, T> fold;
  for (const T p : partial) fold.push(p);
  return fold.result();
}

}  // namespace tapegrad::detail
