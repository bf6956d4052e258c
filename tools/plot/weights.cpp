#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include <tapegrad/tapegrad.h>

#include "chart.h"

namespace tapegrad::plot {

namespace {

/// The weights of a layer at one time.
struct Snapshot {
  std::string time;
  Tensor values;  ///< f64
};

/// An outline of the shares, in per cent, that fall into each bin.
Points outline(const Tensor& values, double from, double to) {
  // Few weights in many bins would be noise.
  const int bins = std::clamp(static_cast<int>(std::sqrt(static_cast<double>(values.size()))), 8, 40);
  const std::vector<double> counts = bin_counts(values.values<double>(), bins, from, to);
  Points points{{from, 0}};
  for (int i = 0; i < bins; ++i) {
    const double share = 100 * counts[static_cast<std::size_t>(i)] / static_cast<double>(values.size());
    points.push_back({from + (to - from) * i / bins, share});
    points.push_back({from + (to - from) * (i + 1) / bins, share});
  }
  points.push_back({to, 0});
  return points;
}

Picture draw_layer(const std::string& name, const std::vector<Snapshot>& times) {
  Range range(Scale::linear);
  for (const Snapshot& s : times)
    for (const double v : s.values.values<double>()) range.include(v);
  if (range.empty()) range.include(0);  // none is finite
  range = range.fitted({}, 0);
  Chart chart(name);
  chart.size(kSmallWidth, 258)
      .legend(Legend::above)
      .x({.label = "weight"})
      .y({.label = "% of the weights", .from = 0});
  for (const Snapshot& s : times)
    chart.line(s.time, outline(s.values, range.low(), range.high()),
               {.dashed = &s == &times.front() && times.size() > 1, .width = 1.5});
  return chart.draw();
}

}  // namespace

nn::State weights_of(const nn::ModuleBase& net) {
  nn::State weights;
  for (const auto& [name, parameter] : net.parameters())
    if (parameter.value().rank() >= 2) weights.emplace_back(name, parameter.value().copy());
  return weights;
}

std::vector<Picture> draw_weights(const std::vector<std::pair<std::string, nn::State>>& times,
                                  std::size_t most) {
  std::vector<Picture> pictures;
  if (times.empty()) return pictures;
  for (const auto& [name, last] : times.back().second) {
    if (pictures.size() == most) break;
    if (last.size() == 0) continue;
    std::vector<Snapshot> snapshots;
    for (const auto& [time, weights] : times)
      for (const auto& [known, tensor] : weights)
        if (known == name) snapshots.push_back({time, cast(tensor, f64)});
    pictures.push_back(draw_layer(name, snapshots));
  }
  return pictures;
}

}  // namespace tapegrad::plot
