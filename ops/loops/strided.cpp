#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

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

/// A square of as many rows as a vector has elements: from[j * from_stride + i] to to[i * to_stride + j]. Rows,
/// interleaved with those half the square further on, are its columns when that was done as often as the square can
/// be halved. No loops, so that all of it stays in registers.
template <class T, std::size_t kBytes>
class VectorSquare {
 public:
  static constexpr std::size_t kRows = kBytes / sizeof(T);

  static void transpose(const T* from, std::int64_t from_stride, T* to, std::int64_t to_stride) {
    Vector v[kRows], w[kRows];
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (std::memcpy(&v[I], from + static_cast<std::int64_t>(I) * from_stride, kBytes), ...);
      interleave_all<kRows>(v, w, [&](const Vector* columns) {
        (std::memcpy(to + static_cast<std::int64_t>(I) * to_stride, &columns[I], kBytes), ...);
      });
    }
    (std::make_index_sequence<kRows>{});
  }

 private:
  typedef T Vector __attribute__((vector_size(kBytes)));

  template <std::size_t kLeft, class F>
  static void interleave_all(Vector* v, Vector* w, const F& done) {
    if constexpr (kLeft == 1) {
      done(v);
    } else {
      [&]<std::size_t... K>(std::index_sequence<K...>) {
        (interleave(v[K], v[K + kRows / 2], w[2 * K], w[2 * K + 1], std::make_index_sequence<kRows>{}), ...);
      }
      (std::make_index_sequence<kRows / 2>{});
      interleave_all<kLeft / 2>(w, v, done);
    }
  }
  template <std::size_t... I>
  static void interleave(const Vector& a, const Vector& b, Vector& low, Vector& high,
                         std::index_sequence<I...>) {
    low = __builtin_shufflevector(a, b, static_cast<int>(I % 2 * kRows + I / 2)...);
    high = __builtin_shufflevector(a, b, static_cast<int>(I % 2 * kRows + I / 2 + kRows / 2)...);
  }
};

/// Elements of a tile along each axis: a cache line.
template <class T>
inline constexpr std::int64_t kTile = 64 / sizeof(T);

/// Whole tiles of two axes of which each is contiguous on one side, in vectors of so many bytes.
template <std::size_t kBytes, class T>
void transpose_tiles(const Axis& outer, const Axis& inner, T* to, const T* from) {
  using Square = VectorSquare<T, kBytes>;
  constexpr auto kRows = static_cast<std::int64_t>(Square::kRows);
  const std::int64_t from_stride = inner.stride[1];
  const std::int64_t to_stride = outer.stride[0];
  dispatch_isa([=, rows = outer.size, columns = inner.size] {
    for (std::int64_t i0 = 0; i0 < rows; i0 += kTile<T>)
      for (std::int64_t j0 = 0; j0 < columns; j0 += kTile<T>)
        for (std::int64_t i = i0; i < i0 + kTile<T>; i += kRows)
          for (std::int64_t j = j0; j < j0 + kTile<T>; j += kRows)
            Square::transpose(from + i + j * from_stride, from_stride, to + i * to_stride + j, to_stride);
  });
}
template <class T>
void transpose_tiles(const Axis& outer, const Axis& inner, T* to, const T* from) {
  switch (isa()) {
    case Isa::avx512:
      return transpose_tiles<64>(outer, inner, to, from);
    case Isa::avx2:
      return transpose_tiles<32>(outer, inner, to, from);
    case Isa::base:
      return transpose_tiles<16>(outer, inner, to, from);
  }
}

/// Two axes of which one is contiguous on either side: in tiles, so that every cache line is used whole.
template <class T, class Put>
void copy_tiles(const Axis& outer, const Axis& inner, T* to, const T* from, Put put) {
  for (std::int64_t i0 = 0; i0 < outer.size; i0 += kTile<T>) {
    const std::int64_t i1 = std::min(i0 + kTile<T>, outer.size);
    for (std::int64_t j0 = 0; j0 < inner.size; j0 += kTile<T>) {
      const std::int64_t j1 = std::min(j0 + kTile<T>, inner.size);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t j = j0; j < j1; ++j)
          put(to[i * outer.stride[0] + j * inner.stride[0]], from[i * outer.stride[1] + j * inner.stride[1]]);
    }
  }
}

/// The same, whole tiles in vectors where they can be, the elements beside them singly.
template <class T, class Put>
void copy_transposed(const Axis& outer, const Axis& inner, T* to, const T* from, Put put) {
  const std::int64_t rows = outer.size / kTile<T> * kTile<T>;
  const std::int64_t columns = inner.size / kTile<T> * kTile<T>;
  const bool in_vectors =
      std::is_same_v<Put, WriteTo> && rows * columns > 0 && inner.stride[0] == 1 && outer.stride[1] == 1;
  if (!in_vectors) return copy_tiles(outer, inner, to, from, put);
  const Axis whole_rows{rows, outer.stride};
  const auto rest = [](const Axis& a, std::int64_t whole) { return Axis{a.size - whole, a.stride}; };
  transpose_tiles(whole_rows, Axis{columns, inner.stride}, to, from);
  copy_tiles(whole_rows, rest(inner, columns), to + columns, from + columns * inner.stride[1], put);
  copy_tiles(rest(outer, rows), inner, to + rows * outer.stride[0], from + rows, put);
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
