#include <algorithm>
#include <cmath>

#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

namespace {

constexpr std::int64_t kSummedRows = 32;  // few enough to be summed in T
constexpr std::int64_t kTile = 256;       // columns: a block of their rows stays in the first-level cache

/// A matrix cut into tiles: the same columns of so many rows that there is enough to do.
struct Tiles {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t width = std::clamp<std::int64_t>(columns, 1, kTile);
  std::int64_t height = std::max(kSummedRows, grain_for(width) / kSummedRows * kSummedRows);
  std::int64_t across = blocks_of(columns, width);
  std::int64_t ranges = blocks_of(rows, height);

  /// f(range, first row, rows, first column, columns) for each tile.
  template <class F>
  void each(const F& f) const {
    const std::int64_t elements = std::min(rows, height) * width;
    parallel_ranges(ranges * across, grain_for(elements), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t range = t / across, column = t % across * width;
        f(range, range * height, std::min(height, rows - range * height), column,
          std::min(width, columns - column));
      }
    });
  }
};

/// f(j, offsets of rows...) for each column and for four rows at a time, then for each row that is left: what
/// belongs to a column is loaded once for four rows.
template <class F>
void by_fours(std::int64_t rows, std::int64_t stride, std::int64_t width, const F& f) {
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const std::int64_t a = r * stride, b = a + stride, c = b + stride, d = c + stride;
    simd_for(width, [&](std::int64_t j) { f(j, a + j, b + j, c + j, d + j); });
  }
  for (; r < rows; ++r) {
    const std::int64_t a = r * stride;
    simd_for(width, [&](std::int64_t j) { f(j, a + j); });
  }
}

template <class T>
T total(T a) {
  return a;
}
template <class T>
T total(T a, T b, T c, T d) {
  return (a + b) + (c + d);
}

/// What a mean loses as a T: sums and products of (x - mean) get it back from (x - centre).
template <class T>
double lost(double mean, T centre) {
  return mean - static_cast<double>(centre);
}

/// Mean and squared distances from it (in sum) of `rows_` rows so far, joined by those of further rows. Chan,
/// Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979.
void join(double so_far, double& mean, double& squares, double rows, double more_mean, double more_squares) {
  const double share = rows / (so_far + rows);
  const double apart = more_mean - mean;
  mean += apart * share;
  squares += more_squares + apart * apart * so_far * share;
}

template <class T>
void tile_statistics(std::int64_t rows, std::int64_t stride, std::int64_t width, const T* x,
                     double* __restrict mean, double* __restrict squares) {
  alignas(64) T centre[kTile], sum[kTile], square[kTile];
  simd_for(width, [&](std::int64_t j) { mean[j] = squares[j] = 0; });
  for (std::int64_t r = 0; r < rows; r += kSummedRows, x += kSummedRows * stride) {
    const std::int64_t n = std::min(kSummedRows, rows - r);
    std::fill_n(sum, width, T{0});
    by_fours(n, stride, width, [&](std::int64_t j, auto... at) { sum[j] += total(x[at]...); });
    const T per_row = T{1} / static_cast<T>(n);
    simd_for(width, [&](std::int64_t j) {
      centre[j] = sum[j] * per_row;
      sum[j] = T{0};
      square[j] = T{0};
    });
    by_fours(n, stride, width, [&](std::int64_t j, auto... at) {
      sum[j] += total((x[at] - centre[j])...);
      square[j] += total((x[at] - centre[j]) * (x[at] - centre[j])...);
    });
    const auto before = static_cast<double>(r), count = static_cast<double>(n);
    const double share = 1 / count;
    simd_for(width, [&](std::int64_t j) {
      const auto rest = static_cast<double>(sum[j]);  // what rounding has left between centre and mean
      join(before, mean[j], squares[j], count, static_cast<double>(centre[j]) + rest * share,
           static_cast<double>(square[j]) - rest * rest * share);
    });
  }
}

template <class T>
void tile_normalize(std::int64_t rows, std::int64_t stride, std::int64_t width, const T* x,
                    const ColumnStatistics s, const T* gamma, const T* beta, T* __restrict y) {
  alignas(64) T centre[kTile], scale[kTile], offset[kTile];
  simd_for(width, [&](std::int64_t j) {
    centre[j] = static_cast<T>(s.mean[j]);
    scale[j] = gamma[j] / static_cast<T>(std::sqrt(s.variance[j] + s.eps));  // a small eps is none in f32
    offset[j] = beta[j] - static_cast<T>(lost(s.mean[j], centre[j])) * scale[j];
  });
  by_fours(rows, stride, width,
           [&](std::int64_t j, auto... at) { ((y[at] = (x[at] - centre[j]) * scale[j] + offset[j]), ...); });
}

template <class T>
void tile_sums(std::int64_t rows, std::int64_t stride, std::int64_t width, const T* g, const T* x,
               const ColumnStatistics s, double* __restrict products, double* __restrict sums) {
  alignas(64) T centre[kTile], product[kTile], sum[kTile];
  simd_for(width, [&](std::int64_t j) {
    centre[j] = static_cast<T>(s.mean[j]);
    products[j] = sums[j] = 0;
  });
  for (std::int64_t r = 0; r < rows; r += kSummedRows, g += kSummedRows * stride, x += kSummedRows * stride) {
    std::fill_n(product, width, T{0});
    std::fill_n(sum, width, T{0});
    by_fours(std::min(kSummedRows, rows - r), stride, width, [&](std::int64_t j, auto... at) {
      sum[j] += total(g[at]...);
      product[j] += total(g[at] * (x[at] - centre[j])...);
    });
    simd_for(width, [&](std::int64_t j) {
      products[j] += static_cast<double>(product[j]);
      sums[j] += static_cast<double>(sum[j]);
    });
  }
  simd_for(width, [&](std::int64_t j) {
    products[j] = (products[j] - lost(s.mean[j], centre[j]) * sums[j]) / std::sqrt(s.variance[j] + s.eps);
  });
}

/// gamma / std (g - dbeta / n - (x - mean) / std dgamma / n)  =  scale g + slope (x - centre) + offset
template <class T>
void tile_gradient(std::int64_t rows, std::int64_t stride, std::int64_t width, T n, const T* g, const T* x,
                   const ColumnStatistics s, const T* gamma, const double* dgamma, const double* dbeta,
                   Destination<T> dx) {
  alignas(64) T centre[kTile], scale[kTile], slope[kTile], offset[kTile];
  simd_for(width, [&](std::int64_t j) {
    const T inv_std = T{1} / static_cast<T>(std::sqrt(s.variance[j] + s.eps));
    centre[j] = static_cast<T>(s.mean[j]);
    scale[j] = gamma[j] * inv_std;
    slope[j] = -scale[j] * inv_std * (static_cast<T>(dgamma[j]) / n);
    offset[j] =
        -scale[j] * (static_cast<T>(dbeta[j]) / n) - static_cast<T>(lost(s.mean[j], centre[j])) * slope[j];
  });
  const auto gradient = [&](std::int64_t j, std::int64_t at) {
    return scale[j] * g[at] + (slope[j] * (x[at] - centre[j]) + offset[j]);
  };
  T* const to = dx.data;
  dx.choose([&](auto put) {
    by_fours(rows, stride, width, [&](std::int64_t j, auto... at) { (put(to[at], gradient(j, at)), ...); });
  });
}

/// A number for each column from each range of rows: those of the first where the result belongs, the others
/// in memory of their own.
class RangeResults {
 public:
  RangeResults(const Tiles& tiles, double* result)
      : columns_(tiles.columns), result_(result), others_((tiles.ranges - 1) * tiles.columns) {}
  double* of(std::int64_t range) { return range ? others_.data() + (range - 1) * columns_ : result_; }

 private:
  std::int64_t columns_;
  double* result_;
  Workspace<double> others_;
};

}  // namespace

template <class T>
void column_statistics(std::int64_t rows, std::int64_t columns, const T* x, double* mean, double* variance) {
  const Tiles tiles{rows, columns};
  RangeResults means(tiles, mean), squares(tiles, variance);
  tiles.each(
      [&](std::int64_t range, std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t width) {
        dispatch_isa([&]() {
          tile_statistics(count, columns, width, x + row * columns + column, means.of(range) + column,
                          squares.of(range) + column);
        });
      });
  for (std::int64_t range = 1; range < tiles.ranges; ++range) {
    const auto before = static_cast<double>(range * tiles.height);
    const auto count = static_cast<double>(std::min(tiles.height, rows - range * tiles.height));
    for (std::int64_t j = 0; j < columns; ++j)
      join(before, mean[j], variance[j], count, means.of(range)[j], squares.of(range)[j]);
  }
  const double share = 1 / static_cast<double>(rows);
  for (std::int64_t j = 0; j < columns; ++j) variance[j] *= share;
}

template <class T>
void normalize_columns(std::int64_t rows, std::int64_t columns, const T* x, const ColumnStatistics& s,
                       const T* gamma, const T* beta, T* y) {
  Tiles{rows, columns}.each(
      [&](std::int64_t, std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t width) {
        const std::int64_t first = row * columns + column;
        dispatch_isa([&]() {
          tile_normalize(count, columns, width, x + first, s.from(column), gamma + column, beta + column,
                         y + first);
        });
      });
}

template <class T>
void normalize_sums(std::int64_t rows, std::int64_t columns, const T* g, const T* x,
                    const ColumnStatistics& s, double* dgamma, double* dbeta) {
  const Tiles tiles{rows, columns};
  RangeResults products(tiles, dgamma), sums(tiles, dbeta);
  tiles.each(
      [&](std::int64_t range, std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t width) {
        const std::int64_t first = row * columns + column;
        dispatch_isa([&]() {
          tile_sums(count, columns, width, g + first, x + first, s.from(column), products.of(range) + column,
                    sums.of(range) + column);
        });
      });
  for (std::int64_t range = 1; range < tiles.ranges; ++range)
    for (std::int64_t j = 0; j < columns; ++j) {
      dgamma[j] += products.of(range)[j];
      dbeta[j] += sums.of(range)[j];
    }
}

template <class T>
void normalize_gradient(std::int64_t rows, std::int64_t columns, const T* g, const T* x,
                        const ColumnStatistics& s, const T* gamma, const double* dgamma, const double* dbeta,
                        Destination<T> dx) {
  Tiles{rows, columns}.each(
      [&](std::int64_t, std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t width) {
        const std::int64_t first = row * columns + column;
        dispatch_isa([&]() {
          tile_gradient(count, columns, width, static_cast<T>(rows), g + first, x + first, s.from(column),
                        gamma + column, dgamma + column, dbeta + column, dx + first);
        });
      });
}

#define TAPEGRAD_NORMALIZE(T)                                                                               \
  template void column_statistics(std::int64_t, std::int64_t, const T*, double*, double*);                  \
  template void normalize_columns(std::int64_t, std::int64_t, const T*, const ColumnStatistics&, const T*,  \
                                  const T*, T*);                                                            \
  template void normalize_sums(std::int64_t, std::int64_t, const T*, const T*, const ColumnStatistics&,     \
                               double*, double*);                                                           \
  template void normalize_gradient(std::int64_t, std::int64_t, const T*, const T*, const ColumnStatistics&, \
                                   const T*, const double*, const double*, Destination<T>);
TAPEGRAD_NORMALIZE(float)
TAPEGRAD_NORMALIZE(double)
#undef TAPEGRAD_NORMALIZE

}  // namespace tapegrad::detail
