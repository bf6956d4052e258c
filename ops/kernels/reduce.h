#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include <tapegrad/ops/kernels/broadcast.h>
#include <tapegrad/ops/kernels/real.h>

/// Reductions over any set of axes. Elements are folded in blocks that depend on the shape alone, and the
/// blocks in pairs, so that the error of a sum grows with the logarithm of their number.
namespace tapegrad::detail {

/// Steps through the offsets of the elements along a few axes, the last fastest; after the last comes the
/// first.
class Odometer {
 public:
  void axis(std::int64_t extent, std::int64_t stride) {
    extent_[rank_] = extent;
    stride_[rank_++] = stride;
    count_ *= extent;
  }
  std::int64_t count() const { return count_; }
  std::int64_t offset() const { return offset_; }
  void next() {
    for (std::size_t d = rank_; d-- > 0;) {
      offset_ += stride_[d];
      if (++index_[d] < extent_[d]) return;
      offset_ -= extent_[d] * stride_[d];
      index_[d] = 0;
    }
  }
  void restart() {
    offset_ = 0;
    index_ = {};
  }
  std::size_t rank() const { return rank_; }
  std::int64_t stride(std::size_t d) const { return stride_[d]; }

 private:
  std::size_t rank_ = 0;
  std::int64_t count_ = 1;
  std::int64_t offset_ = 0;
  std::array<std::int64_t, Shape::kMaxRank> extent_{};
  std::array<std::int64_t, Shape::kMaxRank> stride_{};
  std::array<std::int64_t, Shape::kMaxRank> index_{};
};

/// The axes of a reduction, taken apart. The innermost one is contiguous in the input: a run, which is folded
/// into one element where it is reduced, and otherwise lies along the output.
struct ReductionAxes {
  Odometer kept;     ///< without the run
  Odometer reduced;  ///< without the run
  std::int64_t run;
  bool run_is_reduced;

  /// `layout` is that of the output, stretched to the input.
  explicit ReductionAxes(const BroadcastLayout& layout) {
    std::array<std::int64_t, Shape::kMaxRank> stride{};
    std::int64_t elements = 1;
    for (std::size_t d = layout.rank; d-- > 0; elements *= layout.extent[d]) stride[d] = elements;
    const std::size_t inner = layout.rank - 1;
    for (std::size_t d = 0; d < inner; ++d)
      (layout.stride[d] ? kept : reduced).axis(layout.extent[d], stride[d]);
    run = layout.extent[inner];
    run_is_reduced = layout.stride[inner] == 0;
  }
};

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

// ---- across rows ----

inline constexpr std::int64_t kRowBlock = 32;
template <class T>
inline constexpr std::int64_t kColumnBlock = 1024 / sizeof(T);

/// out[j] = the fold of in[offset + j] over the offsets of `rows`, for j < width <= kColumnBlock.
template <class F, class T>
void fold_rows(const T* in, Odometer& rows, std::int64_t width, const T* parameter, T* out) {
  constexpr std::int64_t kWidth = kColumnBlock<T>;
  alignas(64) T level[60][kWidth];
  std::size_t top = 0;
  std::uint64_t pushed = 0;
  const auto p = [&](std::int64_t j) { return F::kParameter ? parameter[j] : T{}; };
  const auto row = [&] {
    const T* start = in + rows.offset();
    rows.next();
    return start;
  };
  const auto merge = [&] {
    --top;
    for (std::int64_t j = 0; j < width; ++j) level[top - 1][j] = F::combine(level[top - 1][j], level[top][j]);
  };
  for (std::int64_t left = rows.count(); left > 0;) {
    T* const sum = level[top++];
    std::int64_t block = std::min(left, kRowBlock);
    left -= block;
    if (block >= 4) {
      const T *a = row(), *b = row(), *c = row(), *d = row();
      for (std::int64_t j = 0; j < width; ++j)
        sum[j] = F::combine(F::combine(F::map(a[j], p(j)), F::map(b[j], p(j))),
                            F::combine(F::map(c[j], p(j)), F::map(d[j], p(j))));
      block -= 4;
    } else {
      std::fill_n(sum, width, F::kIdentity);
    }
    for (; block >= 4; block -= 4) {
      const T *a = row(), *b = row(), *c = row(), *d = row();
      for (std::int64_t j = 0; j < width; ++j)
        sum[j] = F::combine(sum[j], F::combine(F::combine(F::map(a[j], p(j)), F::map(b[j], p(j))),
                                               F::combine(F::map(c[j], p(j)), F::map(d[j], p(j)))));
    }
    for (; block > 0; --block) {
      const T* a = row();
      for (std::int64_t j = 0; j < width; ++j) sum[j] = F::combine(sum[j], F::map(a[j], p(j)));
    }
    for (std::uint64_t c = pushed++; c & 1; c >>= 1) merge();
  }
  while (top > 1) merge();
  std::copy_n(level[0], width, out);
}

/// The same for rows of a few elements that follow each other in memory: many of them are folded as one.
template <class F, class T>
void fold_narrow_rows(const T* in, std::int64_t count, std::int64_t width, T* out) {
  const std::int64_t together = kColumnBlock<T> / 2 / width;
  const std::int64_t wide = together * width;
  T partial[kColumnBlock<T>];
  Odometer rows;
  rows.axis(count / together, wide);
  fold_rows<F>(in, rows, wide, static_cast<const T*>(nullptr), partial);
  const T* rest = in + count / together * wide;
  const std::int64_t rest_size = count % together * width;
  for (std::int64_t j = 0; j < rest_size; ++j) partial[j] = F::combine(partial[j], F::map(rest[j], T{}));
  for (std::int64_t j = 0; j < width; ++j) {
    PairwiseFold<F, T> fold;
    for (std::int64_t i = j; i < wide; i += width) fold.push(partial[i]);
    out[j] = fold.result();
  }
}

/// Folds `in`, which is not empty, to `out`, whose layout stretches to it. `parameter` has a value for each
/// output, where the fold takes one.
template <template <class> class Fold, class T>
void reduce(const BroadcastLayout& layout, const T* in, const T* parameter, T* out) {
  using F = Fold<T>;
  ReductionAxes axes(layout);
  const auto p = [&](std::int64_t o) { return F::kParameter ? parameter[o] : T{}; };
  if (axes.run_is_reduced) {
    for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next()) {
      const T* from = in + axes.kept.offset();
      if (axes.reduced.count() == 1 && axes.run <= kFoldBlock) {
        out[o] = fold_block<F>(from, axes.run, p(o));
        continue;
      }
      PairwiseFold<F, T> fold;
      for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next())
        for (std::int64_t i = 0; i < axes.run; i += kFoldBlock)
          fold.push(
              fold_block<F>(from + axes.reduced.offset() + i, std::min(kFoldBlock, axes.run - i), p(o)));
      out[o] = fold.result();
    }
    return;
  }
  const bool adjacent = axes.reduced.rank() == 1 && axes.reduced.stride(0) == axes.run;
  for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next(), out += axes.run) {
    const T* from = in + axes.kept.offset();
    if constexpr (!F::kParameter)
      if (adjacent && axes.run <= kColumnBlock<T> / 8 && axes.reduced.count() >= kColumnBlock<T> / axes.run) {
        fold_narrow_rows<F>(from, axes.reduced.count(), axes.run, out);
        continue;
      }
    for (std::int64_t j = 0; j < axes.run; j += kColumnBlock<T>)
      fold_rows<F>(from + j, axes.reduced, std::min(kColumnBlock<T>, axes.run - j),
                   F::kParameter ? parameter + o * axes.run + j : nullptr, out + j);
  }
}

/// For each output, where the first element equal to `value` is, counted along the reduced axes in row-major
/// order; a NaN equals a NaN.
template <class T>
void find_first(const BroadcastLayout& layout, const T* in, const T* value, std::int64_t* out) {
  ReductionAxes axes(layout);
  const auto found = [](T x, T v) { return x == v || (x != x && v != v); };
  if (axes.run_is_reduced) {
    for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next()) {
      std::int64_t before = 0;
      axes.reduced.restart();
      for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next()) {
        const T* from = in + axes.kept.offset() + axes.reduced.offset();
        const T* at = std::find_if(from, from + axes.run, [&](T x) { return found(x, value[o]); });
        before += at - from;
        if (at != from + axes.run) break;
      }
      out[o] = before;
    }
    return;
  }
  for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next(), out += axes.run, value += axes.run) {
    std::fill_n(out, axes.run, std::int64_t{-1});
    for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next()) {
      const T* from = in + axes.kept.offset() + axes.reduced.offset();
      for (std::int64_t j = 0; j < axes.run; ++j)
        out[j] = out[j] < 0 && found(from[j], value[j]) ? r : out[j];
    }
  }
}

/// to[i] = f(i, o), or to[i] += f(i, o), for each of `size` elements and the output o that it is reduced to.
template <class T, class F>
void spread(const BroadcastLayout& layout, std::int64_t size, T* __restrict to, bool add, F&& f) {
  if (size == 0) return;
  std::int64_t i = 0;
  layout.walk(0, size, [&](std::int64_t o, std::int64_t run, std::int64_t step) {
    const auto store = [&](auto&& value) {
      if (add)
        for (std::int64_t j = 0; j < run; ++j) to[i + j] += value(j);
      else
        for (std::int64_t j = 0; j < run; ++j) to[i + j] = value(j);
    };
    if (step)
      store([&](std::int64_t j) { return f(i + j, o + j); });
    else
      store([&](std::int64_t j) { return f(i + j, o); });
    i += run;
  });
}

}  // namespace tapegrad::detail
