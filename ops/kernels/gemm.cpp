#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/kernels/gemm.h>
#include <tapegrad/ops/kernels/gemm_kernels.h>
#include <tapegrad/ops/kernels/parallel.h>

namespace tapegrad::detail {

namespace {

template <class T>
const GemmKernels<T>& kernels() {
  switch (isa()) {
#if TAPEGRAD_X86
    case Isa::avx512:
      return gemm_kernels_avx512<T>();
    case Isa::avx2:
      return gemm_kernels_avx2<T>();
#endif
    default:
      return gemm_kernels_base<T>();
  }
}

// Multiply-adds of a block that is worth a thread.
constexpr double kTaskWork = 1 << 20;
constexpr std::int64_t kMostTasks = 16;

double work_of(const GemmShape& s) {
  return static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

/// [0, extent) in `count` parts as equal as can be.
struct Cut {
  std::int64_t extent;
  std::int64_t count;

  std::int64_t bound(std::int64_t i) const { return extent * i / count; }
  /// In parts of at most `length`.
  static Cut into(std::int64_t extent, std::int64_t length) { return {extent, blocks_of(extent, length)}; }
};

struct Range {
  std::int64_t from;
  std::int64_t to;
};
Range part(const Cut& cut, std::int64_t i) { return {cut.bound(i), cut.bound(i + 1)}; }

/// Memory for a panel: the stack's while it is small, else the pool's.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t elements)
      : data_(elements <= kSmall
                  ? small_
                  : static_cast<T*>(pool_allocate(static_cast<std::size_t>(elements) * sizeof(T)))) {}
  ~Buffer() {
    if (data_ != small_) pool_free(data_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return data_; }

 private:
  static constexpr std::int64_t kSmall = 8192 / sizeof(T);
  T* data_;
  alignas(64) T small_[kSmall];
};

/// Calls the memory's next panel into the cache, a little at a time, while the present one is worked on: its
/// rows are far apart, so the processor does not foresee them.
template <class T>
class Prefetch {
 public:
  Prefetch() = default;
  Prefetch(const Operand<T>& from, std::int64_t width, std::int64_t depth)
      : from_(from),
        rows_(from.along_x ? depth : width),
        lines_(blocks_of((from.along_x ? width : depth), kLine)) {}
  /// Share `i` of `count`.
  void run(std::int64_t i, std::int64_t count) const {
    const auto [first, last] = part(Cut{rows_, count}, i);
    for (std::int64_t row = first; row < last; ++row)
      for (std::int64_t line = 0; line < lines_; ++line)
        __builtin_prefetch(from_.data + row * from_.ld + line * kLine, 0, 2);
  }

 private:
  static constexpr std::int64_t kLine = 64 / sizeof(T);
  Operand<T> from_{};
  std::int64_t rows_ = 0;
  std::int64_t lines_ = 1;
};

/// Tiles of rows and panels of columns, numbered; steps of k.
struct Extent {
  Range tiles;
  Range panels;
  Range steps;
};

template <class T>
class Product {
 public:
  Product(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c)
      : k_(kernels<T>()),
        m_(shape.m),
        n_(shape.n),
        depth_(shape.k),
        alpha_(alpha),
        start_(start),
        a_{a, shape.transpose_a ? shape.m : shape.k, shape.transpose_a},
        b_{b, shape.transpose_b ? shape.k : shape.n, !shape.transpose_b},
        c_(c),
        work_(work_of(shape)) {}

  void run() {
    if (depth_ == 0) return begin(0, m_, 0, n_);
    panel_ = 2 * k_.lanes;
    if (m_ <= k_.rows && n_ <= panel_ && depth_ <= kTinyDepth) return run_tile();
    if (m_ == 1 || n_ == 1) return run_vector();
    tiles_ = Cut::into(m_, k_.rows);
    panels_ = blocks_of(n_, panel_);
    step_ = blocks_of(depth_, blocks_of(depth_, k_.depth));
    step_ = blocks_of(step_, kStepUnit) * kStepUnit;
    steps_ = blocks_of(depth_, step_);
    if (panels_ <= kFewPanels || work_ < kSmallWork)
      run_in_place();
    else if (m_ <= n_)
      run_packed_a();
    else
      run_packed_b();
  }

 private:
  static constexpr std::int64_t kTinyDepth = 64;
  static constexpr std::int64_t kStepUnit = 16;
  static constexpr std::int64_t kFewPanels = 4;
  static constexpr double kSmallWork = 1 << 17;
  // What is packed for all threads at once.
  static constexpr std::int64_t kPackedBytes = 16 << 20;
  // The part of an operand that a task goes through again and again: this many elements of its x, one step
  // deep, stay in the second level of cache.
  static constexpr std::int64_t kNear = 512;
  static constexpr std::int64_t kNearRow = 1024 / sizeof(T);
  static constexpr std::int64_t kMostPanel = 128 / sizeof(T);
  static constexpr std::int64_t kFarBytes = 1 << 20;

  // ---- parts ----

  std::int64_t tasks() const {
    return std::clamp(static_cast<std::int64_t>(work_ / kTaskWork), std::int64_t{1}, kMostTasks);
  }
  std::int64_t step_begin(std::int64_t s) const { return s * step_; }
  std::int64_t step_depth(std::int64_t s) const { return std::min(step_, depth_ - s * step_); }
  std::int64_t panel_columns(std::int64_t j) const { return std::min(panel_, n_ - j * panel_); }
  /// Of a packed panel.
  std::int64_t panel_width(std::int64_t j) const {
    return panel_columns(j) <= k_.lanes ? k_.lanes : 2 * k_.lanes;
  }

  // ---- one task ----

  /// Brings c to what the product is added to.
  void begin(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    for (std::int64_t i = i0; i < i1; ++i) {
      T* row = c_ + i * n_;
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

  void tile(std::int64_t t, std::int64_t j, std::int64_t s, const Source& a, const Source& b) const {
    const auto [i0, i1] = part(tiles_, t);
    Tile<T> tile;
    tile.depth = step_depth(s);
    tile.a = a.data;
    tile.a_step = a.step;
    tile.b = b.data;
    tile.b_step = b.step;
    tile.c = c_ + i0 * n_ + j * panel_;
    tile.c_step = n_;
    tile.columns = panel_columns(j);
    tile.start = s > 0 ? GemmStart<T>{T{1}, nullptr} : start_;
    if (tile.start.bias) tile.start.bias += j * panel_;
    k_.tile[a.rows][tile.columns > k_.lanes][i1 - i0 - 1](tile);
  }

  void pack_b(std::int64_t j, std::int64_t s, T* to) const {
    k_.pack(b_.from(j * panel_, step_begin(s)), panel_columns(j), step_depth(s), panel_width(j), alpha_, to);
  }
  void pack_a(std::int64_t t, std::int64_t s, T* to) const {
    const auto [i0, i1] = part(tiles_, t);
    k_.pack(a_.from(i0, step_begin(s)), i1 - i0, step_depth(s), k_.a_width, T{1}, to);
  }
  Source a_in_place(std::int64_t t, std::int64_t s) const {
    return {a_.at(tiles_.bound(t), step_begin(s)), a_.ld, !a_.along_x};
  }

  /// Panels of b are packed one after the other and stay in the first level of cache for all tiles.
  /// `packed`: of a, one step of which stays in the second; null for a in place.
  void by_columns(const Extent& e, const T* packed, const Extent& packed_extent) const {
    Buffer<T> buffer(std::min(step_, depth_) * panel_);
    const std::int64_t tiles = e.tiles.to - e.tiles.from;
    const bool b_in_place =
        b_.along_x && alpha_ == T{1} && (b_.ld <= kNearRow || (tiles <= 2 && b_bytes() < kFarBytes));
    for (std::int64_t s = e.steps.from; s < e.steps.to; ++s)
      for (std::int64_t j = e.panels.from; j < e.panels.to; ++j) {
        Source b{buffer.data(), panel_width(j), false};
        if (b_in_place && panel_columns(j) % k_.lanes == 0)
          b = {b_.at(j * panel_, step_begin(s)), b_.ld, false};
        else
          pack_b(j, s, buffer.data());
        const Prefetch<T> next = far(e.panels, e.steps, j, s);
        for (std::int64_t t = e.tiles.from; t < e.tiles.to; ++t) {
          next.run(t - e.tiles.from, tiles);
          tile(t, j, s,
               packed ? Source{packed + place(packed_extent.tiles, packed_extent.steps, t, s, k_.a_width),
                               k_.a_width, false}
                      : a_in_place(t, s),
               b);
        }
      }
  }

  /// The same with the operands' parts exchanged: all of b's is packed.
  void by_rows(const Extent& e, const T* packed, const Extent& packed_extent) const {
    Buffer<T> buffer(std::min(step_, depth_) * k_.a_width);
    for (std::int64_t s = e.steps.from; s < e.steps.to; ++s)
      for (std::int64_t t = e.tiles.from; t < e.tiles.to; ++t) {
        pack_a(t, s, buffer.data());
        for (std::int64_t j = e.panels.from; j < e.panels.to; ++j)
          tile(t, j, s, {buffer.data(), k_.a_width, false},
               {packed + place(packed_extent.panels, packed_extent.steps, j, s, panel_), panel_width(j),
                false});
      }
  }

  /// What to call from memory while panel j of step s is worked on: the one after it.
  Prefetch<T> far(const Range& panels, const Range& steps, std::int64_t j, std::int64_t s) const {
    if (b_bytes() < kFarBytes) return {};
    if (++j == panels.to) {
      j = panels.from;
      if (++s == steps.to) return {};
    }
    return {b_.from(j * panel_, step_begin(s)), panel_columns(j), step_depth(s)};
  }

  /// Where a panel of a packed range lies.
  std::int64_t place(const Range& panels, const Range& steps, std::int64_t i, std::int64_t s,
                     std::int64_t width) const {
    const std::int64_t count = panels.to - panels.from;
    return (step_begin(s) - step_begin(steps.from)) * count * width +
           (i - panels.from) * width * step_depth(s);
  }

  std::int64_t b_bytes() const { return n_ * depth_ * static_cast<std::int64_t>(sizeof(T)); }

  // ---- the whole ----

  /// All of c in one tile: what a larger product has to work out first would take longer than the product.
  void run_tile() const {
    alignas(64) T buffer[kTinyDepth * kMostPanel];
    const std::int64_t vectors = n_ <= k_.lanes ? 1 : 2;
    const std::int64_t width = vectors * k_.lanes;
    Tile<T> tile{depth_, a_.data, a_.ld, b_.data, b_.ld, c_, n_, n_, start_};
    if (!b_.along_x || n_ != width || alpha_ != T{1}) {
      k_.pack(b_, n_, depth_, width, alpha_, buffer);
      tile.b = buffer;
      tile.b_step = width;
    }
    k_.tile[!a_.along_x][vectors - 1][m_ - 1](tile);
  }

  void run_in_place() const {
    const std::int64_t wanted = tasks();
    const Extent all{{0, tiles_.count}, {0, panels_}, {0, steps_}};
    if (wanted == 1) return by_columns(all, nullptr, all);
    const bool rows = tiles_.count >= panels_;
    const Cut cut{rows ? tiles_.count : panels_, std::min(wanted, rows ? tiles_.count : panels_)};
    parallel_for(cut.count, [&](std::int64_t i) {
      Extent e = all;
      (rows ? e.tiles : e.panels) = part(cut, i);
      by_columns(e, nullptr, all);
    });
  }

  /// f(range of panels, range of steps) for parts that can be packed at once.
  template <class F>
  void for_each_pack(std::int64_t panels, std::int64_t width, F&& f) const {
    const std::int64_t most = kPackedBytes / static_cast<std::int64_t>(sizeof(T)) / width;
    const Cut some = Cut::into(panels, std::max<std::int64_t>(1, most / step_));
    const Cut steps =
        Cut::into(steps_, std::max<std::int64_t>(1, most / step_ / blocks_of(panels, some.count)));
    for (std::int64_t i = 0; i < some.count; ++i)
      for (std::int64_t s = 0; s < steps.count; ++s) f(part(some, i), part(steps, s));
  }

  template <class F>
  void pack_all(const Range& panels, const Range& steps, std::int64_t width, F&& pack) const {
    const std::int64_t count = panels.to - panels.from;
    const std::int64_t together = blocks_of(kPackTogether, width * step_);
    parallel_ranges(count * (steps.to - steps.from), together, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) pack(panels.from + i % count, steps.from + i / count);
    });
  }
  static constexpr std::int64_t kPackTogether = 32 * 1024;

  /// Panels that a task takes at least: from memory, more of a row at once.
  std::int64_t wide() const { return b_bytes() < kFarBytes ? 2 : 8; }

  void run_packed_a() const {
    for_each_pack(tiles_.count, k_.a_width, [&](Range tiles, Range steps) {
      const Extent packed{tiles, {0, panels_}, steps};
      Buffer<T> buffer((tiles.to - tiles.from) * k_.a_width * step_ * (steps.to - steps.from));
      pack_all(tiles, steps, k_.a_width, [&](std::int64_t t, std::int64_t s) {
        pack_a(t, s, buffer.data() + place(tiles, steps, t, s, k_.a_width));
      });
      const Cut rows = Cut::into(tiles.to - tiles.from, kNear / k_.rows);
      const Cut columns{
          panels_, std::clamp<std::int64_t>(blocks_of(tasks(), rows.count), 1, blocks_of(panels_, wide()))};
      parallel_for(rows.count * columns.count, [&](std::int64_t i) {
        const Range r = part(rows, i % rows.count);
        by_columns({{tiles.from + r.from, tiles.from + r.to}, part(columns, i / rows.count), steps},
                   buffer.data(), packed);
      });
    });
  }

  void run_packed_b() const {
    for_each_pack(panels_, panel_, [&](Range panels, Range steps) {
      const Extent packed{{0, tiles_.count}, panels, steps};
      Buffer<T> buffer((panels.to - panels.from) * panel_ * step_ * (steps.to - steps.from));
      pack_all(panels, steps, panel_, [&](std::int64_t j, std::int64_t s) {
        pack_b(j, s, buffer.data() + place(panels, steps, j, s, panel_));
      });
      const Cut columns = Cut::into(panels.to - panels.from, kNear / panel_);
      const Cut rows{tiles_.count,
                     std::clamp<std::int64_t>(blocks_of(tasks(), columns.count), 1, tiles_.count)};
      parallel_for(rows.count * columns.count, [&](std::int64_t i) {
        const Range r = part(columns, i % columns.count);
        by_rows({part(rows, i / columns.count), {panels.from + r.from, panels.from + r.to}, steps},
                buffer.data(), packed);
      });
    });
  }

  /// The vector lies without gaps whether it counts as transposed or not.
  void run_vector() const {
    const bool column = n_ == 1;
    const Operand<T>& matrix = column ? a_ : b_;
    const T* const vector = column ? b_.data : a_.data;
    const std::int64_t length = column ? m_ : n_;
    const std::int64_t wanted = std::min(tasks_of_vector(), blocks_of(length, kVectorUnit));
    parallel_for(wanted, [&](std::int64_t i) {
      const Cut units{blocks_of(length, kVectorUnit), wanted};
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
  static constexpr std::int64_t kVectorUnit = 64;
  static constexpr std::int64_t kVectorLength = 4096;
  std::int64_t tasks_of_vector() const {
    return std::clamp(static_cast<std::int64_t>(work_ / (128 * 1024)), std::int64_t{1}, kMostTasks);
  }

  const GemmKernels<T>& k_;
  std::int64_t m_, n_, depth_;
  T alpha_;
  GemmStart<T> start_;
  Operand<T> a_, b_;
  T* c_;
  double work_;
  std::int64_t panel_ = 0;
  Cut tiles_{};
  std::int64_t panels_ = 0;
  std::int64_t step_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace

template <class T>
void gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c) {
  if (shape.m == 0 || shape.n == 0) return;
  Product<T>(shape, alpha, a, b, start, c).run();
}

template <class T>
void gemm_batch(const GemmShape& shape, std::int64_t count, T alpha, const T* a, const std::int64_t* a_at,
                const T* b, const std::int64_t* b_at, GemmStart<T> start, T* c, const std::int64_t* c_at) {
  if (shape.m == 0 || shape.n == 0) return;
  const auto product = [&](std::int64_t i) {
    gemm(shape, alpha, a + a_at[i] * shape.m * shape.k, b + b_at[i] * shape.k * shape.n, start,
         c + c_at[i] * shape.m * shape.n);
  };
  // Few large products are shared out one after the other, many or small ones among each other.
  constexpr std::int64_t kFew = 8;
  if (count < kFew && work_of(shape) >= 2 * kTaskWork) {
    for (std::int64_t i = 0; i < count; ++i) product(i);
    return;
  }
  const auto together = static_cast<std::int64_t>(std::ceil(kTaskWork / std::max(1.0, work_of(shape))));
  parallel_ranges(count, together, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) product(i);
  });
}

#define TAPEGRAD_INSTANTIATE(T)                                                                              \
  template TAPEGRAD_API void gemm<T>(const GemmShape&, T, const T*, const T*, GemmStart<T>, T*);             \
  template TAPEGRAD_API void gemm_batch<T>(const GemmShape&, std::int64_t, T, const T*, const std::int64_t*, \
                                           const T*, const std::int64_t*, GemmStart<T>, T*,                  \
                                           const std::int64_t*)
TAPEGRAD_INSTANTIATE(float);
TAPEGRAD_INSTANTIATE(double);
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::detail
