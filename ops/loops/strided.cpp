#include <algorithm>
#include <cstring>
#include <type_traits>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/strided.h>
#include <tapegrad/ops/numbers/real.h>

namespace tapegrad::detail {

void StridedPlan::axis(std::int64_t extent, std::int64_t to_stride, std::int64_t from_stride) {
  if (extent == 0) empty_ = true;
  if (extent == 1 || empty_) return;
  if (rank_ > 0) {
    Axis& outer = axes_[rank_ - 1];
    if (outer.to == to_stride * extent && outer.from == from_stride * extent) {
      outer = {outer.extent * extent, to_stride, from_stride};
      return;
    }
  }
  axes_[rank_++] = {extent, to_stride, from_stride};
}

std::array<std::int64_t, Shape::kMaxRank> row_major_strides(const Shape& shape) {
  std::array<std::int64_t, Shape::kMaxRank> stride{};
  std::int64_t elements = 1;
  for (std::size_t i = shape.rank(); i-- > 0; elements *= shape[i]) stride[i] = elements;
  return stride;
}

namespace {

using Axis = StridedPlan::Axis;

struct Store {
  template <class T>
  void operator()(T& to, T from) const {
    to = from;
  }
};
struct Add {
  template <class T>
  void operator()(T& to, T from) const {
    to = wrapping_add(to, from);
  }
};

template <class T, class Put>
void run(const Axis& a, T* to, const T* from, Put put) {
  if (a.to == 1 && a.from == 1) {
    if constexpr (std::is_same_v<Put, Store>)
      std::memcpy(to, from, static_cast<std::size_t>(a.extent) * sizeof(T));
    else
      for (std::int64_t i = 0; i < a.extent; ++i) put(to[i], from[i]);
  } else if (a.to == 1 && a.from == 0) {
    const T v = *from;
    for (std::int64_t i = 0; i < a.extent; ++i) put(to[i], v);
  } else {
    for (std::int64_t i = 0; i < a.extent; ++i) put(to[i * a.to], from[i * a.from]);
  }
}

// Two axes of which one is contiguous on either side: in tiles, so that every cache line is used whole.
template <class T, class Put>
void transpose(const Axis& outer, const Axis& inner, T* to, const T* from, Put put) {
  constexpr std::int64_t kTile = 64 / sizeof(T);
  for (std::int64_t i0 = 0; i0 < outer.extent; i0 += kTile) {
    const std::int64_t i1 = std::min(i0 + kTile, outer.extent);
    for (std::int64_t j0 = 0; j0 < inner.extent; j0 += kTile) {
      const std::int64_t j1 = std::min(j0 + kTile, inner.extent);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t j = j0; j < j1; ++j)
          put(to[i * outer.to + j * inner.to], from[i * outer.from + j * inner.from]);
    }
  }
}

/// The first `extent` elements of the outermost axis.
template <class T, class Put>
void walk(const StridedPlan& plan, std::int64_t extent, T* to, const T* from, Put put) {
  std::array<Axis, Shape::kMaxRank> axes{};
  for (std::size_t i = 0; i < plan.rank(); ++i) axes[i] = plan[i];
  axes[0].extent = extent;
  std::size_t outer = plan.rank() - 1;
  const Axis inner = axes[outer];
  // The axis along which the source is contiguous, where that is not the innermost, moves next to it.
  bool transposed = false;
  if (inner.from != 0 && inner.from != 1) {
    const auto last = axes.begin() + static_cast<std::ptrdiff_t>(outer);
    const auto contiguous = std::find_if(axes.begin(), last, [](const Axis& a) { return a.from == 1; });
    if (contiguous != last) {
      std::rotate(contiguous, contiguous + 1, last);
      transposed = true;
      --outer;
    }
  }
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::int64_t to_offset = 0;
  std::int64_t from_offset = 0;
  for (;;) {
    if (transposed)
      transpose(axes[outer], inner, to + to_offset, from + from_offset, put);
    else
      run(inner, to + to_offset, from + from_offset, put);
    std::size_t d = outer;
    for (; d > 0; --d) {
      const Axis& a = axes[d - 1];
      to_offset += a.to;
      from_offset += a.from;
      if (++index[d - 1] < a.extent) break;
      to_offset -= a.to * a.extent;
      from_offset -= a.from * a.extent;
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

// Shared among the threads along the outermost axis; no element is written twice.
template <class Put>
void walk_shared(const StridedPlan& plan, Tensor& to, std::int64_t to_offset, const Tensor& from,
                 std::int64_t from_offset, Put put) {
  visit_dtype(to.dtype(), [&]<class T> {
    T* const out = TensorAccess::data_as<T>(to) + to_offset;
    const T* const in = TensorAccess::data_as<T>(from) + from_offset;
    if (plan.empty()) return;
    if (plan.rank() == 0) return put(*out, *in);
    constexpr std::int64_t kTogether = 32 * 1024;
    std::int64_t inner = 1;
    for (std::size_t i = 1; i < plan.rank(); ++i) inner *= plan[i].extent;
    parallel_ranges(plan[0].extent, std::max<std::int64_t>(1, kTogether / inner),
                    [&](std::int64_t begin, std::int64_t end) {
                      walk(plan, end - begin, out + begin * plan[0].to, in + begin * plan[0].from, put);
                    });
  });
}

}  // namespace

void copy_strided(const StridedPlan& plan, Tensor& to, std::int64_t to_offset, const Tensor& from,
                  std::int64_t from_offset) {
  walk_shared(plan, to, to_offset, from, from_offset, Store{});
}

void add_strided(const StridedPlan& plan, Tensor& to, std::int64_t to_offset, const Tensor& from,
                 std::int64_t from_offset) {
  walk_shared(plan, to, to_offset, from, from_offset, Add{});
}

}  // namespace tapegrad::detail
