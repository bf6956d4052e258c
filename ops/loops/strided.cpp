#include <algorithm>
#include <cstring>
#include <type_traits>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/strided.h>

namespace tapegrad::detail {

namespace {

using Axis = CopyNest::Axis;

template <class T, class Put>
void copy_run(const Axis& a, T* to, const T* from, Put put) {
  const std::int64_t to_stride = a.stride[0];
  const std::int64_t from_stride = a.stride[1];
  if (to_stride == 1 && from_stride == 1) {
    if constexpr (std::is_same_v<Put, WriteTo>)
      std::memcpy(to, from, static_cast<std::size_t>(a.size) * sizeof(T));
    else
      simd_for(a.size, [=](std::int64_t i) { put(to[i], from[i]); });
  } else if (to_stride == 1 && from_stride == 0) {
    simd_for(a.size, [=, v = *from](std::int64_t i) { put(to[i], v); });
  } else if (to_stride == 1 && from_stride == -1) {
    simd_for(a.size, [=](std::int64_t i) { put(to[i], from[-i]); });
  } else {
    for (std::int64_t i = 0; i < a.size; ++i) put(to[i * to_stride], from[i * from_stride]);
  }
}

/// Two axes of which one is contiguous on either side: in tiles, so that every cache line is used whole.
template <class T, class Put>
void copy_transposed(const Axis& outer, const Axis& inner, T* to, const T* from, Put put) {
  constexpr std::int64_t kTile = 64 / sizeof(T);
  for (std::int64_t i0 = 0; i0 < outer.size; i0 += kTile) {
    const std::int64_t i1 = std::min(i0 + kTile, outer.size);
    for (std::int64_t j0 = 0; j0 < inner.size; j0 += kTile) {
      const std::int64_t j1 = std::min(j0 + kTile, inner.size);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t j = j0; j < j1; ++j)
          put(to[i * outer.stride[0] + j * inner.stride[0]], from[i * outer.stride[1] + j * inner.stride[1]]);
    }
  }
}

/// The axis along which the source is contiguous, where that is not the innermost and this one strides;
/// nest.rank() where there is none.
std::size_t axis_to_transpose(const CopyNest& nest) {
  const std::int64_t stride = nest.inner().stride[1];
  if (stride != 0 && stride != 1)
    for (std::size_t d = 0; d + 1 < nest.rank(); ++d)
      if (nest[d].stride[1] == 1) return d;
  return nest.rank();
}

template <class T, class Put>
void copy_nest(CopyNest nest, T* to, const T* from, Put put) {
  if (nest.rank() == 0) return put(*to, *from);
  const std::size_t transposed = axis_to_transpose(nest);
  const bool transposes = transposed < nest.rank();
  const Axis inner = nest.take(nest.rank() - 1);
  const Axis outer = transposes ? nest.take(transposed) : Axis{};
  CopyNest::Cursor at(nest);
  for (std::int64_t i = 0; i < nest.size(); ++i, at.next())
    if (transposes)
      copy_transposed(outer, inner, to + at[0], from + at[1], put);
    else
      copy_run(inner, to + at[0], from + at[1], put);
}

}  // namespace

// Shared among the threads along the outermost axis.
template <class T>
void copy_strided(const CopyNest& nest, Destination<T> to, const T* from) {
  if (nest.size() == 0) return;
  to.choose([&](auto put) {
    if (nest.rank() == 0) return copy_nest(nest, to.data, from, put);
    const Axis& outermost = nest[0];
    parallel_ranges(outermost.size, grain_for(nest.size() / outermost.size),
                    [&](std::int64_t begin, std::int64_t end) {
                      copy_nest(nest.first(end - begin), to.data + begin * outermost.stride[0],
                                from + begin * outermost.stride[1], put);
                    });
  });
}

void copy_strided(const CopyNest& nest, Tensor& to, std::int64_t to_offset, const Tensor& from,
                  std::int64_t from_offset) {
  visit_dtype(to.dtype(), [&]<class T> {
    copy_strided<T>(nest, {TensorAccess::data_as<T>(to) + to_offset, false},
                    TensorAccess::data_as<T>(from) + from_offset);
  });
}

template void copy_strided(const CopyNest&, Destination<float>, const float*);
template void copy_strided(const CopyNest&, Destination<double>, const double*);
template void copy_strided(const CopyNest&, Destination<std::int64_t>, const std::int64_t*);

}  // namespace tapegrad::detail
