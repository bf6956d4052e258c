// The innermost loops of a matrix product, written once and compiled for each instruction set: gemm_SET.cpp
// includes this after it has defined TAPEGRAD_KERNEL, the attributes of a function for that set, and
//   kBytes, of a vector; kRows, of a tile; kDepth, of a panel, as a function of the size of an element;
//   load_part(p, count) and store_part(p, v, count), which touch the first `count` elements only, all of them
//   where it is more than a vector has; kFreeMasks, true where they cost no more than those of whole vectors.
// No lambda in here: it would not inherit the attributes.

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tapegrad::detail {
namespace {

/// A matrix of more bytes comes from beyond the cache of a core.
constexpr std::int64_t kAhead = 4;
constexpr std::int64_t kStreamBytes = 512 * 1024;

template <class T>
inline constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));

template <class T>
TAPEGRAD_KERNEL inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);  // vectors in memory are aligned as their elements
  return v;
}
template <class T>
TAPEGRAD_KERNEL inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// ---- a tile ----

template <class T, bool kWhole>
TAPEGRAD_KERNEL inline void write_last(T* to, Vec<T> v, std::int64_t count) {
  if constexpr (kWhole)
    store<T>(to, v);
  else
    store_part(to, v, count);
}

// c = start + sums. There is one multiplication to fuse with the one addition, so that tiles of any size
// round the same.
template <class T, int kTileRows, int kVectors, bool kWhole>
TAPEGRAD_KERNEL inline void write(const Tile<T>& tile, const Vec<T> (&sums)[kTileRows][kVectors]) {
  constexpr int n = kLanes<T>;
  constexpr int kLast = kVectors - 1;
  const std::int64_t last = tile.columns - kLast * n;
  const std::int64_t c_step = tile.c_step;
  T* c = tile.c;
  if (tile.start.bias) {
    Vec<T> bias[kVectors];
    bias[0] = kWhole || kLast > 0 ? load(tile.start.bias) : load_part(tile.start.bias, last);
    if constexpr (kLast > 0)
      bias[1] = kWhole ? load(tile.start.bias + n) : load_part(tile.start.bias + n, last);
#pragma GCC unroll 14
    for (int i = 0; i < kTileRows; ++i, c += c_step) {
      if constexpr (kLast > 0) store<T>(c, sums[i][0] + bias[0]);
      write_last<T, kWhole>(c + kLast * n, sums[i][kLast] + bias[kLast], last);
    }
  } else if (tile.start.beta != T{0}) {
    const T beta = tile.start.beta;
#pragma GCC unroll 14
    for (int i = 0; i < kTileRows; ++i, c += c_step) {
      if constexpr (kLast > 0) store<T>(c, sums[i][0] + beta * load(c));
      T* const to = c + kLast * n;
      write_last<T, kWhole>(to, sums[i][kLast] + beta * (kWhole ? load(to) : load_part(to, last)), last);
    }
  } else {
#pragma GCC unroll 14
    for (int i = 0; i < kTileRows; ++i, c += c_step) {
      if constexpr (kLast > 0) store<T>(c, sums[i][0]);
      write_last<T, kWhole>(c + kLast * n, sums[i][kLast], last);
    }
  }
}

// The sums stay in registers from the first term to the last: 14 x 2 of 32, or 6 x 2 of 16, leave room for a
// row of b and one element of a. A step then takes as many loads as rows and two more for twice as many
// multiplications, so that these are what it waits for.
template <class T, int kTileRows, int kVectors, bool kInRows>
TAPEGRAD_KERNEL void tile(const Tile<T>& t) {
  Vec<T> sums[kTileRows][kVectors];
#pragma GCC unroll 14
  for (int i = 0; i < kTileRows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = Vec<T>{};
      // c is written in the end; until then it has time to come.
      __builtin_prefetch(t.c + i * t.c_step + v * kLanes<T>, 1);
    }
  // Rows of a in place: three share a pointer, or the pointers alone would fill the registers.
  constexpr int kPointers = kInRows ? (kTileRows + 2) / 3 : 1;
  const std::int64_t a_step = t.a_step;
  const T* a[kPointers];
#pragma GCC unroll 5
  for (int i = 0; i < kPointers; ++i) a[i] = t.a + 3 * i * a_step;
  const T* b = t.b;
  const std::int64_t b_step = t.b_step;
  const T* next = t.next;
  for (std::int64_t left = t.depth; left > 0; left -= t.interval) {
    // Few at a time: more would fill the buffers that a's lines have to pass through.
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + 64 / sizeof(T), 0, 2);
    next += t.next_step;
    for (std::int64_t p = std::min(left, t.interval); p > 0; --p) {
      Vec<T> row[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) row[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 14
      for (int i = 0; i < kTileRows; ++i) {
        const T x = kInRows ? a[i / 3][(i % 3) * a_step] : a[0][i];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[i][v] += x * row[v];
      }
      b += b_step;
#pragma GCC unroll 5
      for (int i = 0; i < kPointers; ++i) a[i] += kInRows ? 1 : a_step;
    }
  }
  if (!kFreeMasks && t.columns == kVectors * kLanes<T>)
    write<T, kTileRows, kVectors, true>(t, sums);
  else
    write<T, kTileRows, kVectors, false>(t, sums);
}

template <class T, bool kInRows, int kVectors, int... kIs>
constexpr void list_tiles(GemmKernels<T>& kernels, std::integer_sequence<int, kIs...>) {
  ((kernels.tile[kInRows][kVectors - 1][kIs] = &tile<T, kIs + 1, kVectors, kInRows>), ...);
}

// ---- packing ----

// Rows become columns: blocks of kHalf x kHalf change places, then blocks of half that size inside them.
template <class T, int kHalf, std::size_t... kIs>
TAPEGRAD_KERNEL inline void exchange(Vec<T>& x, Vec<T>& y, std::index_sequence<kIs...>) {
  constexpr int n = kLanes<T>;
  const Vec<T> lower = __builtin_shufflevector(x, y, (kIs & kHalf ? n + int(kIs) - kHalf : int(kIs))...);
  const Vec<T> upper = __builtin_shufflevector(x, y, (kIs & kHalf ? n + int(kIs) : int(kIs) + kHalf)...);
  x = lower;
  y = upper;
}

template <class T, int kHalf>
TAPEGRAD_KERNEL inline void transpose(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (kHalf > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i)
      if ((i & kHalf) == 0)
        exchange<T, kHalf>(rows[i], rows[i + kHalf], std::make_index_sequence<kLanes<T>>());
    transpose<T, kHalf / 2>(rows);
  }
}

// One vector's width of a panel, from an operand that lies along p.
template <class T>
TAPEGRAD_KERNEL void pack_across(const T* from, std::int64_t ld, std::int64_t count, std::int64_t depth,
                                 std::int64_t width, T scale, T* to) {
  constexpr std::int64_t n = kLanes<T>;
  Vec<T> rows[n];
  if (count >= n) {
    for (; depth >= n; depth -= n, from += n, to += n * width) {
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < n; ++i) {
        rows[i] = load(from + i * ld) * scale;
        __builtin_prefetch(from + i * ld + kAhead * n);
      }
      transpose<T, n / 2>(rows);
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < n; ++i) store<T>(to + i * width, rows[i]);
    }
  }
  for (; depth > 0; depth -= n, from += n, to += n * width) {
    const std::int64_t terms = std::min(depth, n);
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < n; ++i) {
      rows[i] = Vec<T>{};
      if (i < count) rows[i] = load_part(from + i * ld, terms) * scale;
    }
    transpose<T, n / 2>(rows);
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < n; ++i)
      if (i < terms) store<T>(to + i * width, rows[i]);
  }
}

// The same from an operand that lies along x.
template <class T>
TAPEGRAD_KERNEL void pack_along(const T* from, std::int64_t ld, std::int64_t count, std::int64_t depth,
                                std::int64_t width, T scale, T* to) {
  if (count >= kLanes<T>) {
    for (std::int64_t p = 0; p < depth; ++p) store<T>(to + p * width, load(from + p * ld) * scale);
  } else {
    for (std::int64_t p = 0; p < depth; ++p)
      store<T>(to + p * width, load_part(from + p * ld, count) * scale);
  }
}

template <class T>
TAPEGRAD_KERNEL void pack(const Operand<T>& from, std::int64_t count, std::int64_t depth, std::int64_t width,
                          T scale, T* to) {
  if (from.along_x && count == 2 * kLanes<T> && width == count) {
    for (std::int64_t p = 0; p < depth; ++p) {
      store<T>(to + p * width, load(from.data + p * from.ld) * scale);
      store<T>(to + p * width + kLanes<T>, load(from.data + p * from.ld + kLanes<T>) * scale);
    }
    return;
  }
  for (std::int64_t x = 0; x < width; x += kLanes<T>) {
    if (x >= count) {
      for (std::int64_t p = 0; p < depth; ++p) store<T>(to + p * width + x, Vec<T>{});
    } else if (from.along_x) {
      pack_along(from.at(x, 0), from.ld, count - x, depth, width, scale, to + x);
    } else {
      pack_across(from.at(x, 0), from.ld, count - x, depth, width, scale, to + x);
    }
  }
}

// ---- a matrix and a vector ----

// The sums of the lanes of each row: the transpose, added up on the way.
template <class T, int kHalf>
TAPEGRAD_KERNEL inline Vec<T> sum_lanes(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (kHalf == 0) {
    return rows[0];
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      exchange<T, kHalf>(rows[i], rows[i + kHalf], std::make_index_sequence<kLanes<T>>());
      rows[i] += rows[i + kHalf];
    }
    return sum_lanes<T, kHalf / 2>(rows);
  }
}

// Each row has two sums of its own, however many rows go together: their number changes no bit.
template <class T, int kTogether>
TAPEGRAD_KERNEL inline void dots(std::int64_t k, const T* matrix, std::int64_t ld, const T* x,
                                 Vec<T>* results) {
  constexpr std::int64_t n = kLanes<T>;
  Vec<T> sums[kTogether][2] = {};
  std::int64_t p = 0;
  for (; p + 2 * n <= k; p += 2 * n) {
    const Vec<T> low = load(x + p);
    const Vec<T> high = load(x + p + n);
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) {
      sums[i][0] += load(matrix + i * ld + p) * low;
      sums[i][1] += load(matrix + i * ld + p + n) * high;
    }
  }
  for (; p < k; p += n) {
    const std::int64_t count = std::min(n, k - p);
    const Vec<T> part = load_part(x + p, count);
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) sums[i][0] += load_part(matrix + i * ld + p, count) * part;
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTogether; ++i) results[i] = sums[i][0] + sums[i][1];
}

template <class T>
TAPEGRAD_KERNEL void add_dots(std::int64_t rows, std::int64_t k, T alpha, const T* matrix, std::int64_t ld,
                              const T* x, T* y) {
  constexpr std::int64_t n = kLanes<T>;
  constexpr int kTogether = n < 4 ? static_cast<int>(n) : 4;
  for (std::int64_t i = 0; i < rows; i += n) {
    Vec<T> results[n];
    const std::int64_t count = std::min(n, rows - i);
    for (std::int64_t j = 0; j < n; j += kTogether) {
      if (j + kTogether <= count) {
        dots<T, kTogether>(k, matrix + (i + j) * ld, ld, x, results + j);
        continue;
      }
      for (std::int64_t l = j; l < j + kTogether; ++l) {
        results[l] = Vec<T>{};
        if (l < count) dots<T, 1>(k, matrix + (i + l) * ld, ld, x, results + l);
      }
    }
    store_part(y + i, load_part(y + i, count) + alpha * sum_lanes<T, n / 2>(results), count);
  }
}

// kVectors of y at a time stay in registers for all rows of the matrix.
template <class T, int kVectors>
TAPEGRAD_KERNEL inline void add_strip(std::int64_t k, T alpha, const T* matrix, std::int64_t ld, const T* x,
                                      T* y, std::int64_t last) {
  Vec<T> sums[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors - 1; ++v) sums[v] = load(y + v * kLanes<T>);
  constexpr int kLast = (kVectors - 1) * kLanes<T>;
  sums[kVectors - 1] = load_part(y + kLast, last);
  if (last >= kLanes<T>) {
    for (std::int64_t p = 0; p < k; ++p, matrix += ld) {
      const T factor = alpha * x[p];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[v] += factor * load(matrix + v * kLanes<T>);
    }
  } else {
    for (std::int64_t p = 0; p < k; ++p, matrix += ld) {
      const T factor = alpha * x[p];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors - 1; ++v) sums[v] += factor * load(matrix + v * kLanes<T>);
      sums[kVectors - 1] += factor * load_part(matrix + kLast, last);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors - 1; ++v) store<T>(y + v * kLanes<T>, sums[v]);
  store_part(y + kLast, sums[kVectors - 1], last);
}

// y is read and written once for so many rows of the matrix, which are as many streams from memory.
template <class T, int kTogether>
TAPEGRAD_KERNEL inline void add_some_rows(std::int64_t n, T alpha, const T* matrix, std::int64_t ld,
                                          const T* x, T* y) {
  T factors[kTogether];
  for (int i = 0; i < kTogether; ++i) factors[i] = alpha * x[i];
  std::int64_t j = 0;
  for (; j < n; j += kLanes<T>) {
    const std::int64_t count = n - j;
    if (count >= kLanes<T>) {
      Vec<T> sum = load(y + j);
#pragma GCC unroll 8
      for (int i = 0; i < kTogether; ++i) sum += factors[i] * load(matrix + i * ld + j);
      store<T>(y + j, sum);
    } else {
      Vec<T> sum = load_part(y + j, count);
#pragma GCC unroll 8
      for (int i = 0; i < kTogether; ++i) sum += factors[i] * load_part(matrix + i * ld + j, count);
      store_part(y + j, sum, count);
    }
  }
}

template <class T>
TAPEGRAD_KERNEL void add_rows(std::int64_t n, std::int64_t k, T alpha, const T* matrix, std::int64_t ld,
                              const T* x, T* y) {
  if (n * k * static_cast<std::int64_t>(sizeof(T)) > kStreamBytes) {
    constexpr int kTogether = 4;
    std::int64_t p = 0;
    for (; p + kTogether <= k; p += kTogether)
      add_some_rows<T, kTogether>(n, alpha, matrix + p * ld, ld, x + p, y);
    for (; p < k; ++p) add_some_rows<T, 1>(n, alpha, matrix + p * ld, ld, x + p, y);
    return;
  }
  constexpr std::int64_t v = kLanes<T>;
  std::int64_t j = 0;
  for (; j + 8 * v <= n; j += 8 * v) add_strip<T, 8>(k, alpha, matrix + j, ld, x, y + j, v);
  for (; j + 2 * v < n; j += 4 * v) {
    if (n - j > 3 * v)
      add_strip<T, 4>(k, alpha, matrix + j, ld, x, y + j, std::min(v, n - j - 3 * v));
    else
      add_strip<T, 3>(k, alpha, matrix + j, ld, x, y + j, n - j - 2 * v);
  }
  if (n - j > v)
    add_strip<T, 2>(k, alpha, matrix + j, ld, x, y + j, n - j - v);
  else if (n > j)
    add_strip<T, 1>(k, alpha, matrix + j, ld, x, y + j, n - j);
}

// ---- the table ----

template <class T>
constexpr GemmKernels<T> gemm_kernels() {
  GemmKernels<T> kernels{};
  kernels.lanes = kLanes<T>;
  kernels.rows = kRows;
  kernels.a_width = (kRows + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
  kernels.depth = kDepth / static_cast<int>(sizeof(T) / sizeof(float));
  constexpr std::make_integer_sequence<int, kRows> rows;
  list_tiles<T, false, 1>(kernels, rows);
  list_tiles<T, false, 2>(kernels, rows);
  list_tiles<T, true, 1>(kernels, rows);
  list_tiles<T, true, 2>(kernels, rows);
  kernels.pack = &pack<T>;
  kernels.add_dots = &add_dots<T>;
  kernels.add_rows = &add_rows<T>;
  return kernels;
}

}  // namespace
}  // namespace tapegrad::detail

#define TAPEGRAD_DEFINE_GEMM_KERNELS(set)                                    \
  namespace tapegrad::detail {                                               \
  template <class T>                                                         \
  const GemmKernels<T>& gemm_kernels_##set() noexcept {                      \
    static constexpr GemmKernels<T> kKernels = gemm_kernels<T>();            \
    return kKernels;                                                         \
  }                                                                          \
  template const GemmKernels<float>& gemm_kernels_##set<float>() noexcept;   \
  template const GemmKernels<double>& gemm_kernels_##set<double>() noexcept; \
  }
