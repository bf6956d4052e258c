#include "regression.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

void summarise(Prediction& p) {
  double squares = 0, absolutes = 0, mean = 0, deviations = 0;
  const auto n = static_cast<double>(p.points.size());
  for (const Point& at : p.points) mean += at.x / n;
  for (const Point& at : p.points) {
    squares += (at.y - at.x) * (at.y - at.x);
    absolutes += std::abs(at.y - at.x);
    deviations += (at.x - mean) * (at.x - mean);
  }
  p.rmse = std::sqrt(squares / n);
  p.mae = absolutes / n;
  p.r2 = deviations > 0 ? 1 - squares / deviations : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<Prediction> predict(const nn::Module& net, const nn::Dataset& data,
                                const std::vector<std::string>& names) {
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->eval();
  std::vector<Prediction> all;
  for (const std::string& name : names) all.push_back({.name = name});
  for (const nn::Batch& b : nn::in_order(data, nn::kEvaluationBatch)) {
    const Tensor y = (*copy)(b.x);
    if (y.shape() != b.t.shape() || y.rank() != 2 || y.dim(1) != static_cast<std::int64_t>(names.size()))
      throw ShapeError(fmt::format("report: outputs {} and targets {}, expected both as [n, {}]",
                                   to_string(y.shape()), to_string(b.t.shape()), names.size()));
    const Tensor predicted = cast(y.detach(), f64), targets = cast(b.t, f64);
    const std::span<const double> p = predicted.values<double>(), t = targets.values<double>();
    for (std::size_t i = 0; i < p.size(); ++i) all[i % names.size()].points.push_back({t[i], p[i]});
  }
  for (Prediction& p : all) summarise(p);
  return all;
}

std::optional<Picture> draw_predictions(const Prediction& p) {
  constexpr std::size_t kShown = 1000;
  Points finite;
  Range targets(Scale::linear);
  for (const Point& at : p.points) {
    if (!std::isfinite(at.x) || !std::isfinite(at.y)) continue;
    finite.push_back(at);
    targets.include(at.x);
  }
  if (finite.empty()) return std::nullopt;
  Points shown;
  const std::size_t step = finite.size() / kShown + 1;
  for (std::size_t i = 0; i < finite.size(); i += step) shown.push_back(finite[i]);
  const double low = targets.low(), high = targets.high();
  Chart chart(p.name);
  chart.size(kSmallWidth, 300).x({.label = "target"}).y({.label = "predicted"});
  chart.line("", {{low, low}, {high, high}}, {.width = 1, .values = false});
  chart.line("", shown, {.line = false, .dots = true, .opacity = 0.6});
  return chart.draw();
}

Picture draw_errors(const Prediction& p) {
  std::vector<double> errors;
  double most = 0;
  for (const Point& at : p.points) {
    errors.push_back(at.y - at.x);
    if (std::isfinite(errors.back())) most = std::max(most, std::abs(errors.back()));
  }
  if (!(most > 0)) most = 1;
  return Chart("Errors of " + p.name)
      .size(kSmallWidth, 300)
      .x({.label = "predicted - target"})
      .y({.label = "test items", .whole = true})
      .histogram(errors, 21, -most, most)
      .draw();
}

}  // namespace tapegrad::plot
