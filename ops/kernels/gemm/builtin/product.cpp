#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/engines.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

namespace {

constexpr std::int64_t kBlocksOfThread = 3;

template <class T>
Operand<T> operand_a(const GemmShape& s, const T* a) {
  return {a, s.transpose_a ? s.m : s.k, s.transpose_a};
}
template <class T>
Operand<T> operand_b(const GemmShape& s, const T* b) {
  return {b, s.transpose_b ? s.k : s.n, !s.transpose_b};
}

constexpr std::int64_t kTinyDepth = 64;
constexpr std::int64_t kTinyRows = 256;

/// A product of one panel; for others false. What a larger product has to work out first would take longer
/// than this.
template <class T>
bool run_panel(const GemmShape& s, T alpha, const T* a_data, const T* b_data, GemmStart<T> start, T* c) {
  const GemmKernels<T>& kernel = gemm_kernels<T>();
  if (s.n > 2 * kernel.lanes || s.k > kTinyDepth || s.k == 0) return false;
  if (s.m > (s.n == 1 ? kernel.rows[0] : kTinyRows)) return false;
  constexpr std::int64_t kMostPanel = 128 / sizeof(T);
  alignas(64) T buffer[kTinyDepth * kMostPanel];
  const Operand<T> a = operand_a(s, a_data);
  const Operand<T> b = operand_b(s, b_data);
  const std::int64_t vectors = s.n <= kernel.lanes ? 1 : 2;
  const std::int64_t width = vectors * kernel.lanes;
  Tile<T> tile{s.k, a.data, a.ld, b.data, b.ld, c, s.n, s.n, start, c, 0, s.k};
  if (!b.along_x || s.n != width || alpha != T{1}) {
    kernel.pack(b, s.n, s.k, width, alpha, buffer);
    tile.b = buffer;
    tile.b_step = width;
  }
  const auto* const of_rows = kernel.tile[!a.along_x][vectors - 1];
  const std::int64_t most_rows = kernel.rows[vectors - 1];
  if (s.m <= most_rows) {
    of_rows[s.m - 1](tile);
    return true;
  }
  const Partition tiles = Partition::into(s.m, most_rows);
  for (std::int64_t t = 0; t < tiles.count(); ++t) {
    const auto [i0, i1] = chunk(tiles, t);
    tile.a = a.at(i0, 0);
    tile.c = c + i0 * s.n;
    tile.next = tile.c;
    of_rows[i1 - i0 - 1](tile);
  }
  return true;
}

/// What tiles call into the cache while they work: rows of the next panel, which lie far apart in memory, so
/// that the processor does not foresee them.
template <class T>
struct Prefetch {
  const T* data = nullptr;
  std::int64_t step = 0;
  std::int64_t rows = 0;
};

/// A block of c: tiles of rows and panels of columns, numbered.
struct Block {
  Range tiles;
  Range panels;
};

template <class T>
class Product {
 public:
  Product(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c)
      : k_(gemm_kernels<T>()),
        m_(shape.m),
        n_(shape.n),
        c_step_(shape.n),
        depth_(shape.k),
        alpha_(alpha),
        start_(start),
        a_(operand_a(shape, a)),
        b_(operand_b(shape, b)),
        c_(c),
        work_(work_of(shape)) {}

  void run() {
    if (depth_ == 0) return begin(0, m_, 0, n_);
    if (m_ == 1 || n_ == 1) return run_vector();
    run_odd_columns();
    // Three vectors of columns are one panel: as two and one they would take as long as four.
    const std::int64_t vectors = blocks_of(n_, k_.lanes) == 3 ? 3 : 2;
    panel_ = vectors * k_.lanes;
    tiles_ = Partition::into(m_, k_.rows[vectors - 1]);
    panels_ = blocks_of(n_, panel_);
    step_ = blocks_of(depth_, blocks_of(depth_, k_.depth));
    step_ = blocks_of(step_, kStepUnit) * kStepUnit;
    steps_ = blocks_of(depth_, step_);
    // Packing pays for many columns, and for rows that come from memory.
    const bool near = a_.along_x || m_ * depth_ * static_cast<std::int64_t>(sizeof(T)) < kFarBytes;
    if (n_ <= k_.lanes || (panels_ <= kFewPanels && near) || work_ < kSmallWork)
      run_in_place();
    else
      run_packed();
  }

 private:
  static constexpr std::int64_t kLeastInterval = 8;
  static constexpr std::int64_t kRowsOfC = 16;
  static constexpr double kVectorBlockWork = 128 * 1024;
  static constexpr std::int64_t kVectorUnit = 64;
  static constexpr std::int64_t kVectorLength = 4096;
  static constexpr std::int64_t kStepUnit = 16;
  static constexpr std::int64_t kFewPanels = 4;
  static constexpr double kSmallWork = 1 << 17;
  // The part of an operand that a block goes through again and again: this many elements of its x, one step
  // deep, stay in the second level of cache.
  static constexpr std::int64_t kNear = 512;
  static constexpr std::int64_t kNearRow = 1024 / sizeof(T);
  static constexpr std::int64_t kFarBytes = 1 << 20;

  // ---- partitions ----

  /// How many blocks make the threads finish together. No bit depends on it, as no sum is cut.
  std::int64_t parallel_block_count(double least = kBlockWork) const {
    const int threads = threads_here();
    const std::int64_t most = threads == 1 ? 1 : kBlocksOfThread * threads;
    return std::clamp(static_cast<std::int64_t>(work_ / least), std::int64_t{1}, most);
  }
  std::int64_t step_begin(std::int64_t s) const { return s * step_; }
  std::int64_t step_depth(std::int64_t s) const { return std::min(step_, depth_ - s * step_); }
  std::int64_t panel_columns(std::int64_t j) const { return std::min(panel_, n_ - j * panel_); }
  /// Of a packed panel.
  std::int64_t panel_width(std::int64_t j) const { return blocks_of(panel_columns(j), k_.lanes) * k_.lanes; }

  // ---- one block ----

  /// Brings c to what the product is added to.
  void begin(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    for (std::int64_t i = i0; i < i1; ++i) {
      T* row = c_ + i * c_step_;
      if (start_.bias) {
        std::copy(start_.bias + j0, start_.bias + j1, row + j0);
      } else if (start_.beta == T{0}) {
        std::fill(row + j0, row + j1, T{0});
      } else if (start_.beta != T{1}) {
        for (std::int64_t j = j0; j < j1; ++j) row[j] *= start_.beta;
      }
    }
  }

  struct Source {
    const T* data;
    std::int64_t step;
    bool rows;
  };

  void tile(std::int64_t t, std::int64_t j, std::int64_t s, const Source& a, const Source& b,
            const Prefetch<T>& next = {}) const {
    const auto [i0, i1] = chunk(tiles_, t);
    Tile<T> tile;
    tile.depth = step_depth(s);
    tile.a = a.data;
    tile.a_step = a.step;
    tile.b = b.data;
    tile.b_step = b.step;
    tile.c = c_ + i0 * c_step_ + j * panel_;
    tile.c_step = c_step_;
    tile.columns = panel_columns(j);
    tile.start = s > 0 ? GemmStart<T>{T{1}, nullptr} : start_;
    if (tile.start.bias) tile.start.bias += j * panel_;
    tile.next = next.data ? next.data : tile.c;
    tile.next_step = next.step;
    // Often enough for all rows of c, too.
    tile.interval =
        std::max(kLeastInterval, next.rows <= kRowsOfC ? tile.depth / kRowsOfC : tile.depth / next.rows);
    k_.tile[a.rows][(tile.columns - 1) / k_.lanes][i1 - i0 - 1](tile);
  }

  void pack_b(std::int64_t j, std::int64_t s, T* to) const {
    k_.pack(b_.from(j * panel_, step_begin(s)), panel_columns(j), step_depth(s), panel_width(j), alpha_, to);
  }
  void pack_a(std::int64_t t, std::int64_t s, T* to) const {
    const auto [i0, i1] = chunk(tiles_, t);
    k_.pack(a_.from(i0, step_begin(s)), i1 - i0, step_depth(s), k_.a_width, T{1}, to);
  }
  /// Panels of b are packed one after the other and stay in the first level of cache for all tiles; the rows
  /// of a that they meet, packed unless they are used in place, stay in the second.
  void by_columns(const Block& e, bool a_in_place) const {
    const std::int64_t tiles = e.tiles.to - e.tiles.from;
    const std::int64_t depth = std::min(step_, depth_);
    Workspace<T> panel(depth * panel_);
    Workspace<T> slab(a_in_place ? 0 : tiles * depth * k_.a_width);
    const bool b_in_place =
        b_.along_x && alpha_ == T{1} && (b_.ld <= kNearRow || (tiles <= 2 && b_bytes() < kFarBytes));
    for (std::int64_t s = 0; s < steps_; ++s) {
      const std::int64_t size = k_.a_width * step_depth(s);
      if (!a_in_place)
        for (std::int64_t t = 0; t < tiles; ++t) pack_a(e.tiles.from + t, s, slab.data() + t * size);
      for (std::int64_t j = e.panels.from; j < e.panels.to; ++j) {
        Source b{panel.data(), panel_width(j), false};
        if (b_in_place && panel_columns(j) % k_.lanes == 0)
          b = {b_.at(j * panel_, step_begin(s)), b_.ld, false};
        else
          pack_b(j, s, panel.data());
        const Panel next = far(e.panels, j, s);
        for (std::int64_t t = 0; t < tiles; ++t) {
          const Source a =
              a_in_place ? Source{a_.at(tiles_.bound(e.tiles.from + t), step_begin(s)), a_.ld, !a_.along_x}
                         : Source{slab.data() + t * size, k_.a_width, false};
          tile(e.tiles.from + t, j, s, a, b, share(next, t, tiles));
        }
      }
    }
  }

  /// The same with the operands' parts exchanged.
  void by_rows(const Block& e) const {
    const std::int64_t panels = e.panels.to - e.panels.from;
    const std::int64_t depth = std::min(step_, depth_);
    Workspace<T> panel(depth * k_.a_width);
    Workspace<T> slab(panels * depth * panel_);
    for (std::int64_t s = 0; s < steps_; ++s) {
      const std::int64_t size = panel_ * step_depth(s);
      for (std::int64_t j = 0; j < panels; ++j) pack_b(e.panels.from + j, s, slab.data() + j * size);
      for (std::int64_t t = e.tiles.from; t < e.tiles.to; ++t) {
        pack_a(t, s, panel.data());
        for (std::int64_t j = 0; j < panels; ++j)
          tile(t, e.panels.from + j, s, {panel.data(), k_.a_width, false},
               {slab.data() + j * size, panel_width(e.panels.from + j), false}, {});
      }
    }
  }

  /// What to call from memory while panel j of step s is worked on: the one after it.
  struct Panel {
    Operand<T> from{};
    std::int64_t depth = 0;
  };
  Panel far(const Range& panels, std::int64_t j, std::int64_t s) const {
    if (b_bytes() < kFarBytes) return {};
    if (++j == panels.to) {
      j = panels.from;
      if (++s == steps_) return {};
    }
    return {b_.from(j * panel_, step_begin(s)), step_depth(s)};
  }
  /// What tile `i` of `count` calls of it.
  Prefetch<T> share(const Panel& panel, std::int64_t i, std::int64_t count) const {
    if (panel.depth == 0) return {};
    if (panel.from.along_x) {
      const auto [p0, p1] = chunk(Partition(panel.depth, count), i);
      return {panel.from.at(0, p0), panel.from.ld, p1 - p0};
    }
    constexpr std::int64_t kTerms = 128 / sizeof(T);
    const auto [p0, p1] = chunk(Partition(blocks_of(panel.depth, kTerms), count), i);
    if (p0 == p1) return {};
    return {panel.from.at(0, p0 * kTerms), panel.from.ld, panel_};
  }

  std::int64_t b_bytes() const { return n_ * depth_ * static_cast<std::int64_t>(sizeof(T)); }

  // ---- the whole ----

  /// A block for each chunk of the rows and each of the columns, in parallel.
  template <class F>
  void parallel_blocks(const Partition& rows, const Partition& columns, F&& f) const {
    parallel_for(rows.count() * columns.count(), [&](std::int64_t i) {
      f(Block{chunk(rows, i % rows.count()), chunk(columns, i / rows.count())});
    });
  }

  void run_in_place() const {
    const std::int64_t blocks = parallel_block_count();
    const bool rows = tiles_.count() >= panels_;
    parallel_blocks({tiles_.count(), rows ? std::min(blocks, tiles_.count()) : 1},
                    {panels_, rows ? 1 : std::min(blocks, panels_)},
                    [&](const Block& e) { by_columns(e, true); });
  }

  void run_packed() const {
    const bool columns = m_ <= n_;
    const Partition slabs = columns ? Partition::into(tiles_.count(), kNear / k_.rows[1])
                                    : Partition::into(panels_, kNear / panel_);
    const std::int64_t stream = columns ? panels_ : tiles_.count();
    const Partition streams{
        stream, std::clamp<std::int64_t>(blocks_of(parallel_block_count(), slabs.count()), 1, stream)};
    if (columns)
      parallel_blocks(slabs, streams, [&](const Block& e) { by_columns(e, false); });
    else
      parallel_blocks(streams, slabs, [&](const Block& e) { by_rows(e); });
  }

  /// Takes off a column or two beyond three vectors and computes them as products of matrix and vector. In a
  /// tile they would take as long as a whole vector of columns.
  void run_odd_columns() {
    const std::int64_t odd = n_ - 3 * k_.lanes;
    if (odd <= 0 || odd > k_.lanes / 8 || m_ < k_.lanes || depth_ < k_.lanes) return;
    // Each reads all of a, which must be near, and should lie along the sums that it takes part in.
    if (a_.along_x || m_ * depth_ * static_cast<std::int64_t>(sizeof(T)) > kFarBytes) return;
    Workspace<T> x(b_.along_x ? depth_ : 0);
    Workspace<T> y(m_);
    for (std::int64_t j = n_ - odd; j < n_; ++j) {
      const T* factors = b_.at(j, 0);
      if (b_.along_x) {
        for (std::int64_t p = 0; p < depth_; ++p) x.data()[p] = *b_.at(j, p);
        factors = x.data();
      }
      begin(0, m_, j, j + 1);
      for (std::int64_t i = 0; i < m_; ++i) y.data()[i] = c_[i * c_step_ + j];
      k_.add_dots(m_, depth_, alpha_, a_.data, a_.ld, factors, y.data());
      for (std::int64_t i = 0; i < m_; ++i) c_[i * c_step_ + j] = y.data()[i];
    }
    n_ -= odd;
  }

  /// The vector lies without gaps whether it counts as transposed or not.
  void run_vector() const {
    const bool column = n_ == 1;
    const Operand<T>& matrix = column ? a_ : b_;
    const T* const vector = column ? b_.data : a_.data;
    const std::int64_t length = column ? m_ : n_;
    const std::int64_t blocks =
        std::min(parallel_block_count(kVectorBlockWork), blocks_of(length, kVectorUnit));
    parallel_for(blocks, [&](std::int64_t i) {
      const Partition units{blocks_of(length, kVectorUnit), blocks};
      const std::int64_t from = units.bound(i) * kVectorUnit;
      const std::int64_t to = std::min(length, units.bound(i + 1) * kVectorUnit);
      if (column)
        begin(from, to, 0, 1);
      else
        begin(0, 1, from, to);
      if (!matrix.along_x)
        return k_.add_dots(to - from, depth_, alpha_, matrix.at(from, 0), matrix.ld, vector, c_ + from);
      for (std::int64_t j = from; j < to; j += kVectorLength)
        k_.add_rows(std::min(kVectorLength, to - j), depth_, alpha_, matrix.at(j, 0), matrix.ld, vector,
                    c_ + j);
    });
  }
  const GemmKernels<T>& k_;
  std::int64_t m_, n_, c_step_, depth_;
  T alpha_;
  GemmStart<T> start_;
  Operand<T> a_, b_;
  T* c_;
  double work_;
  std::int64_t panel_ = 0;
  Partition tiles_{};
  std::int64_t panels_ = 0;
  std::int64_t step_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace

template <class T>
void builtin_gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c) {
  if (!run_panel(shape, alpha, a, b, start, c)) Product<T>(shape, alpha, a, b, start, c).run();
}

template void builtin_gemm<float>(const GemmShape&, float, const float*, const float*, GemmStart<float>,
                                  float*);
template void builtin_gemm<double>(const GemmShape&, double, const double*, const double*, GemmStart<double>,
                                   double*);

}  // namespace tapegrad::detail
