#include <tapegrad/ops/kernels/conv/depthwise.h>

#include <algorithm>

#include <tapegrad/ops/kernels/conv/band_copy.h>
#include <tapegrad/ops/kernels/conv/plane_weights.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

template <class T>
bool suits_planes(const Correlation<T>& c) {
  return c.channels == 1 && c.rows <= kMostOfChannel && c.y.taps > 1 && c.y.results >= kLeastLines &&
         BandCopy<T>::suits(c.y, c.x) && has_plane_kernel(c.y.stride, c.y.taps) &&
         (c.y.offset_step == 1 || (c.y.offset_step == -1 && c.y.stride == 1)) && c.x.taps <= kMostTaps &&
         c.y.to_step == 1 && c.x.to_step == 1 && c.y.results == c.y.target && c.x.results == c.x.target;
}

template <class T>
void run_planes(const Correlation<T>& c) {
  const std::int64_t lines = BandCopy<T>::lines_of_bands(c.y, c.x);
  const std::int64_t bands = blocks_of(c.y.results, lines);
  const BandCopy<T> copy(c.y, c.x, lines);
  const std::int64_t above = c.y.offset_step > 0 ? 0 : c.y.taps - 1;  // the tap that reads the first line
  std::int64_t starts[kMostTaps];
  for (std::int64_t t = 0; t < c.x.taps; ++t) starts[t] = copy.shift(above, t);
  AxisWalk y = c.y, x = c.x;  // whose weights lie side by side
  y.weight_first = x.weight_first = 0;
  y.weight_step = x.weight_step = 1;
  Workspace<T> weights(c.groups * c.rows * c.depth());
  for (std::int64_t i = 0; i < weights.size(); i += c.depth())
    order_weights(y, x, c.weights + i, x.taps, weights.data() + i);
  const auto run = gemm_kernels<T>().plane[c.y.stride - 1][c.y.taps];
  const std::int64_t size = c.y.source * c.x.source;
  parallel_ranges(c.batch * c.groups * bands,
                  std::max<std::int64_t>(1, kTaskWork / (c.rows * c.depth() * lines * c.x.results)),
                  [&](std::int64_t from, std::int64_t to) {
                    Workspace<T> source(copy.size());
                    PlaneTile<T> tile{.source = source.data(),
                                      .pitch = copy.pitch(),
                                      .odd = copy.to_next_line(),
                                      .starts = starts,
                                      .taps = c.x.taps,
                                      .weights = nullptr,
                                      .to = nullptr,
                                      .to_step = c.x.target,
                                      .lines = 0,
                                      .columns = c.x.results,
                                      .start = T{0},
                                      .add = c.target.add,
                                      .relu = c.relu,
                                      .next = nullptr,
                                      .next_step = c.y.stride * c.x.source};
                    for (std::int64_t i = from; i < to; ++i) {
                      const std::int64_t plane = i / bands;
                      const std::int64_t line = i % bands * lines;
                      copy.fill(c.source + plane * size, line, source.data());
                      tile.lines = std::min(lines, c.y.results - line);
                      tile.next = c.source + plane * size + (line + lines) * c.y.stride * c.x.source;
                      for (std::int64_t r = 0; r < c.rows; ++r) {
                        const std::int64_t row = plane % c.groups * c.rows + r;
                        tile.weights = weights.data() + row * c.depth();
                        if (c.bias) tile.start = c.bias[row];
                        tile.to = c.target.data + ((plane * c.rows + r) * c.y.target + line) * c.x.target;
                        run(tile);
                      }
                    }
                  });
}

template bool suits_planes<float>(const Correlation<float>&);
template bool suits_planes<double>(const Correlation<double>&);
template void run_planes<float>(const Correlation<float>&);
template void run_planes<double>(const Correlation<double>&);

}  // namespace tapegrad::detail
