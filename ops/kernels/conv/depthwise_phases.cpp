#include <tapegrad/ops/kernels/conv/depthwise.h>

#include <algorithm>

#include <tapegrad/ops/kernels/conv/band_copy.h>
#include <tapegrad/ops/kernels/conv/plane_weights.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

namespace {

/// The phases of a transposed convolution with strides. Of a band, all are made side by side from one copy of y, and
/// then written in the order of x: lines that lie in turn are one stream to memory.
template <class T>
class Phases {
 public:
  Phases(const ConvShape& s, const T* y, const T* w, const T* bias, Destination<T> x)
      : s_(s),
        y_(y),
        bias_(bias),
        x_(x),
        rows_(all_of(s.rows)),
        columns_(all_of(s.columns)),
        lines_(BandCopy<T>::lines_of_bands(rows_, columns_)),
        width_(blocks_of(columns_.results, kWhole) * kWhole),
        copy_(rows_, columns_, lines_),
        weights_(s.weight_size()),
        kernels_(gemm_kernels<T>()) {
    T* weights = weights_.data();
    for (std::int64_t i = 0; i < count(); ++i) {
      Phase& p = phases_[i];
      p.rows = transposed_walk(s.rows, i / s.columns.stride);
      p.columns = transposed_walk(s.columns, i % s.columns.stride);
      const std::int64_t first = p.rows.least_shift() - rows_.offset_first;
      for (std::int64_t t = 0; t < p.columns.taps; ++t)
        p.starts[t] = copy_.shift(first, p.columns.offset(t) - columns_.offset_first);
      p.weights = weights;
      for (std::int64_t g = 0; g < s.groups; ++g)
        order_weights(p.rows, p.columns, w + g * s.kernel_plane(), s.columns.kernel,
                      weights + g * s.kernel_plane());
      weights += p.rows.taps * p.columns.taps;
    }
  }

  std::int64_t bands() const { return blocks_of(rows_.results, lines_); }
  /// Multiply-adds of a band, about.
  std::int64_t work() const { return lines_ * s_.columns.windows * s_.kernel_plane(); }

  /// The bands [from, to) of all planes.
  void run(std::int64_t from, std::int64_t to) const {
    Workspace<T> source(copy_.size());
    Workspace<T> results(s_.rows.stride * s_.columns.stride * lines_ * width_);
    for (std::int64_t i = from; i < to; ++i) {
      const std::int64_t plane = i / bands();
      const std::int64_t line = i % bands() * lines_;
      copy_.fill(y_ + plane * s_.output_plane(), line, source.data());
      for (std::int64_t k = 0; k < count(); ++k)
        run_phase(phases_[k], k > 0 && k + 1 == count(), plane, line, source.data(), results.data());
      if (s_.columns.stride == 2) write(plane, line, results.data());
    }
  }

 private:
  static constexpr std::int64_t kWhole = 64 / sizeof(T);  ///< elements of the longest vector
  /// One of the elements of a stride.
  struct Phase {
    AxisWalk rows, columns;
    const T* weights;  ///< of the first channel
    std::int64_t starts[kMostTaps];
  };
  /// Of the phases of an axis together: with a tap for each element that one of them reads.
  static AxisWalk all_of(const WindowAxis& a) {
    AxisWalk all{.source = a.windows, .target = a.size};
    std::int64_t last = 0;
    for (std::int64_t phase = 0; phase < a.stride; ++phase) {
      const AxisWalk walk = transposed_walk(a, phase);
      const std::int64_t least = walk.least_shift();
      all.offset_first = phase == 0 ? least : std::min(all.offset_first, least);
      last = phase == 0 ? walk.most_shift() : std::max(last, walk.most_shift());
      all.results = std::max(all.results, walk.results);
    }
    all.taps = last - all.offset_first + 1;
    return all;
  }

  std::int64_t count() const { return s_.rows.stride * s_.columns.stride; }

  /// The lines of a phase; meanwhile calls for those of y that come next or, of the last phase, those of x.
  void run_phase(const Phase& p, bool last, std::int64_t plane, std::int64_t line, const T* source,
                 T* results) const {
    const std::int64_t channel = plane % s_.groups;
    T* const x = x_.data + plane * s_.input_plane();
    PlaneTile<T> tile{.source = source,
                      .pitch = copy_.pitch(),
                      .odd = 0,
                      .starts = p.starts,
                      .taps = p.columns.taps,
                      .weights = p.weights + channel * s_.kernel_plane(),
                      .to = results + (2 * p.rows.to_first + p.columns.to_first) * lines_ * width_,
                      .to_step = width_,
                      .lines = std::min(lines_, p.rows.results - line),
                      .columns = p.columns.results,
                      .start = bias_ ? bias_[channel] : T{0},
                      .add = false,
                      .relu = false,
                      .next = y_ + plane * s_.output_plane() + (line + lines_) * s_.columns.windows,
                      .next_step = s_.columns.windows};
    const std::int64_t to_step = p.rows.to_step * s_.columns.size;
    if (last) {
      tile.next = x + line * to_step;
      tile.next_step = to_step;
    }
    if (s_.columns.stride == 1) {  // in place
      tile.to = x + p.rows.to_first * s_.columns.size + line * to_step;
      tile.to_step = to_step;
      tile.add = x_.add;
    }
    kernels_.plane[0][p.rows.taps](tile);
  }

  /// Writes lines from that of results `line` on, in their order in x.
  void write(std::int64_t plane, std::int64_t line, const T* results) const {
    const std::int64_t size = lines_ * width_;
    const std::int64_t first = line * s_.rows.stride;
    const std::int64_t count = std::min(lines_ * s_.rows.stride, s_.rows.size - first);
    T* to = x_.data + plane * s_.input_plane() + first * s_.columns.size;
    for (std::int64_t j = 0; j < count; ++j, to += s_.columns.size) {
      const T* const even = results + j % s_.rows.stride * 2 * size + j / s_.rows.stride * width_;
      kernels_.interleave(even, even + size, s_.columns.size, to, x_.add);
    }
  }

  const ConvShape& s_;
  const T* y_;
  const T* bias_;
  Destination<T> x_;
  AxisWalk rows_, columns_;
  std::int64_t lines_;
  std::int64_t width_;  ///< of a line of results
  BandCopy<T> copy_;
  Workspace<T> weights_;  ///< [groups, phases, taps], in the order of the loops
  const GemmKernels<T>& kernels_;
  Phase phases_[4];
};

}  // namespace

template <class T>
bool suits_phases(const ConvShape& s) {
  const auto suits = [](const WindowAxis& a) {
    return a.stride <= 2 && a.dilation == 1 && a.kernel >= a.stride && a.kernel <= kMostTaps;
  };
  return s.in == 1 && s.out == 1 && (s.rows.stride == 2 || s.columns.stride == 2) && suits(s.rows) &&
         suits(s.columns) && (s.rows.stride == 2 || has_plane_kernel(1, s.rows.kernel));
}

template <class T>
void run_phases(const ConvShape& s, const T* y, const T* w, const T* bias, Destination<T> x) {
  const Phases<T> phases(s, y, w, bias, x);
  parallel_ranges(s.batch * s.groups * phases.bands(), std::max<std::int64_t>(1, kTaskWork / phases.work()),
                  [&](std::int64_t from, std::int64_t to) { phases.run(from, to); });
}

template bool suits_phases<float>(const ConvShape&);
template bool suits_phases<double>(const ConvShape&);
template void run_phases<float>(const ConvShape&, const float*, const float*, const float*,
                                Destination<float>);
template void run_phases<double>(const ConvShape&, const double*, const double*, const double*,
                                 Destination<double>);

}  // namespace tapegrad::detail
