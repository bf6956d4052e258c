#include <algorithm>
#include <cmath>

#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/kernels/normalize_tiles.h>

namespace tapegrad::detail {

namespace {

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

/// Mean and squared distances from it (in sum) of `so_far` elements, joined by those of further ones. Chan,
/// Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979.
void join(double so_far, double& mean, double& squares, double rows, double more_mean, double more_squares) {
  const double share = rows / (so_far + rows);
  const double apart = more_mean - mean;
  mean += apart * share;
  squares += more_squares + apart * apart * so_far * share;
}

/// Joins the statistics of each column with those of further rows; `before`: how many they are of already.
template <class T>
void add_statistics(std::int64_t before, std::int64_t rows, std::int64_t stride, std::int64_t width,
                    const T* x, double* __restrict mean, double* __restrict squares) {
  alignas(64) T centre[kTile], sum[kTile], square[kTile];
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
    const auto so_far = static_cast<double>(before + r), count = static_cast<double>(n);
    const double share = 1 / count;
    simd_for(width, [&](std::int64_t j) {
      const auto rest = static_cast<double>(sum[j]);  // what rounding has left between centre and mean
      join(so_far, mean[j], squares[j], count, static_cast<double>(centre[j]) + rest * share,
           static_cast<double>(square[j]) - rest * rest * share);
    });
  }
}

template <class T>
void tile_statistics(const TileOfFeatures& t, const T* x, double* __restrict mean,
                     double* __restrict squares) {
  simd_for(t.width, [&](std::int64_t j) { mean[j] = squares[j] = 0; });
  add_statistics(0, t.rows, t.stride, t.width, x, mean, squares);
}

template <class T>
void tile_statistics(const TileOfPlane& t, const T* x, double* mean, double* squares) {
  const TileLanes lanes(t);
  double means[2 * kLanes]{}, distances[2 * kLanes]{};  // of the lanes, and of the columns that are left
  for (std::int64_t r = 0; r < t.rows; ++r)
    add_statistics(r * lanes.rows, lanes.rows, kLanes, kLanes, x + r * t.stride, means, distances);
  add_statistics(0, t.rows, t.stride, lanes.rest, x + lanes.rest_first(), means + kLanes, distances + kLanes);
  *mean = *squares = 0;
  double so_far = 0;
  const auto join_all = [&](std::int64_t first, std::int64_t count, std::int64_t of_each) {
    if (of_each == 0) return;
    const auto elements = static_cast<double>(of_each);
    for (std::int64_t j = first; j < first + count; ++j, so_far += elements)
      join(so_far, *mean, *squares, elements, means[j], distances[j]);
  };
  join_all(0, kLanes, t.rows * lanes.rows);
  join_all(kLanes, lanes.rest, t.rows);
}

template <class T, class Tile>
void tile_normalize(const Tile& t, const T* x, const ChannelStatistics s, const T* gamma, const T* beta,
                    T* __restrict y) {
  typename Tile::template Numbers<T> centre, scale, offset;
  simd_for(centre.count(t.width), [&](std::int64_t j) {
    centre[j] = static_cast<T>(s.mean[j]);
    scale[j] = gamma[j] / static_cast<T>(std::sqrt(s.variance[j] + s.eps));  // a small eps is none in f32
    offset[j] = beta[j] - static_cast<T>(lost(s.mean[j], centre[j])) * scale[j];
  });
  by_fours(t.rows, t.stride, t.width,
           [&](std::int64_t j, auto... at) { ((y[at] = (x[at] - centre[j]) * scale[j] + offset[j]), ...); });
}

/// Adds to the sums of each column over rows: of g (x - centre), and of g.
template <class T, class Centre>
void add_sums(std::int64_t rows, std::int64_t stride, std::int64_t width, const T* g, const T* x,
              const Centre& centre, double* __restrict products, double* __restrict sums) {
  alignas(64) T product[kTile], sum[kTile];
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
}

template <class T>
void tile_sums(const TileOfFeatures& t, const T* g, const T* x, const ChannelStatistics s,
               double* __restrict products, double* __restrict sums) {
  NumbersOfColumns<T> centre;
  simd_for(t.width, [&](std::int64_t j) {
    centre[j] = static_cast<T>(s.mean[j]);
    products[j] = sums[j] = 0;
  });
  add_sums(t.rows, t.stride, t.width, g, x, centre, products, sums);
  simd_for(t.width, [&](std::int64_t j) {
    products[j] = (products[j] - lost(s.mean[j], centre[j]) * sums[j]) / std::sqrt(s.variance[j] + s.eps);
  });
}

template <class T>
void tile_sums(const TileOfPlane& t, const T* g, const T* x, const ChannelStatistics s, double* products,
               double* sums) {
  const TileLanes lanes(t);
  const NumberOfAll<T> centre{static_cast<T>(*s.mean)};
  double of_products[kLanes]{}, of_g[kLanes]{};
  for (std::int64_t r = 0; r < t.rows; ++r)
    add_sums(lanes.rows, kLanes, kLanes, g + r * t.stride, x + r * t.stride, centre, of_products, of_g);
  add_sums(t.rows, t.stride, lanes.rest, g + lanes.rest_first(), x + lanes.rest_first(), centre, of_products,
           of_g);
  *products = *sums = 0;
  for (std::int64_t j = 0; j < kLanes; ++j) *products += of_products[j], *sums += of_g[j];
  *products = (*products - lost(*s.mean, centre.v) * *sums) / std::sqrt(*s.variance + s.eps);
}

/// gamma / std (g - dbeta / n - (x - mean) / std dgamma / n)  =  scale g + slope (x - centre) + offset
template <class T, class Tile>
void tile_gradient(const Tile& t, T n, const T* g, const T* x, const ChannelStatistics s, const T* gamma,
                   const double* dgamma, const double* dbeta, Destination<T> dx) {
  typename Tile::template Numbers<T> centre, scale, slope, offset;
  simd_for(centre.count(t.width), [&](std::int64_t j) {
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
    by_fours(t.rows, t.stride, t.width,
             [&](std::int64_t j, auto... at) { (put(to[at], gradient(j, at)), ...); });
  });
}

}  // namespace

template <class T>
void channel_statistics(const ChannelShape& shape, const T* x, double* mean, double* variance) {
  with_tiles(shape, [&](const auto& tiles) {
    PartResults means(tiles.parts(), shape.channels, mean);
    PartResults squares(tiles.parts(), shape.channels, variance);
    tiles.each([&](const auto& t) { tile_statistics(t, x + t.first, means.of(t), squares.of(t)); });
    auto before = static_cast<double>(tiles.elements(0));
    for (std::int64_t part = 1; part < tiles.parts(); ++part) {
      const auto count = static_cast<double>(tiles.elements(part));
      for (std::int64_t j = 0; j < shape.channels; ++j)
        join(before, mean[j], variance[j], count, means.of(part)[j], squares.of(part)[j]);
      before += count;
    }
  });
  const double share = 1 / static_cast<double>(shape.elements());
  for (std::int64_t j = 0; j < shape.channels; ++j) variance[j] *= share;
}

template <class T>
void normalize_channels(const ChannelShape& shape, const T* x, const ChannelStatistics& s, const T* gamma,
                        const T* beta, T* y) {
  with_tiles(shape, [&](const auto& tiles) {
    tiles.each([&](const auto& t) {
      tile_normalize(t, x + t.first, s.from(t.channel), gamma + t.channel, beta + t.channel, y + t.first);
    });
  });
}

template <class T>
void normalize_sums(const ChannelShape& shape, const T* g, const T* x, const ChannelStatistics& s,
                    double* dgamma, double* dbeta) {
  with_tiles(shape, [&](const auto& tiles) {
    PartResults products(tiles.parts(), shape.channels, dgamma);
    PartResults sums(tiles.parts(), shape.channels, dbeta);
    tiles.each([&](const auto& t) {
      tile_sums(t, g + t.first, x + t.first, s.from(t.channel), products.of(t), sums.of(t));
    });
    for (std::int64_t part = 1; part < tiles.parts(); ++part)
      for (std::int64_t j = 0; j < shape.channels; ++j) {
        dgamma[j] += products.of(part)[j];
        dbeta[j] += sums.of(part)[j];
      }
  });
}

template <class T>
void normalize_gradient(const ChannelShape& shape, const T* g, const T* x, const ChannelStatistics& s,
                        const T* gamma, const double* dgamma, const double* dbeta, Destination<T> dx) {
  with_tiles(shape, [&](const auto& tiles) {
    tiles.each([&](const auto& t) {
      tile_gradient(t, static_cast<T>(shape.elements()), g + t.first, x + t.first, s.from(t.channel),
                    gamma + t.channel, dgamma + t.channel, dbeta + t.channel, dx + t.first);
    });
  });
}

#define TAPEGRAD_NORMALIZE(T)                                                                              \
  template void channel_statistics(const ChannelShape&, const T*, double*, double*);                       \
  template void normalize_channels(const ChannelShape&, const T*, const ChannelStatistics&, const T*,      \
                                   const T*, T*);                                                          \
  template void normalize_sums(const ChannelShape&, const T*, const T*, const ChannelStatistics&, double*, \
                               double*);                                                                   \
  template void normalize_gradient(const ChannelShape&, const T*, const T*, const ChannelStatistics&,      \
                                   const T*, const double*, const double*, Destination<T>);
TAPEGRAD_NORMALIZE(float)
TAPEGRAD_NORMALIZE(double)
#undef TAPEGRAD_NORMALIZE

}  // namespace tapegrad::detail
