#include "chart.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "canvas.h"

namespace tapegrad::plot {

namespace {

constexpr double kMargin = 0.04;  // of an axis' length, at each end

double width_of(const std::vector<Axis::Tick>& ticks) {
  double width = 0;
  for (const Axis::Tick& t : ticks) width = std::max(width, text_width(t.label, kFont));
  return width;
}

std::string label_of(const AxisOptions& axis) {
  if (axis.scale == Scale::linear) return axis.label;
  return axis.label.empty() ? "logarithmic" : axis.label + " (logarithmic)";
}

/// Ticks with room between them, and with less where they would be too few to read values by.
std::vector<Axis::Tick> ticks_of(const Axis& axis, double spacing, double least) {
  constexpr std::size_t kEnough = 4;
  std::vector<Axis::Tick> ticks = axis.ticks(spacing);
  return ticks.size() < kEnough ? axis.ticks(least) : ticks;
}

}  // namespace

std::vector<double> bin_counts(std::span<const double> values, int bins, double from, double to) {
  if (bins < 1 || !(from < to))
    throw ArgumentError(fmt::format("plot: a histogram of {} bins over [{}, {}]", bins, from, to));
  const double width = (to - from) / bins;
  std::vector<double> counts(static_cast<std::size_t>(bins));
  for (const double v : values)
    if (v >= from && v <= to) ++counts[static_cast<std::size_t>(std::min(bins - 1.0, (v - from) / width))];
  return counts;
}

Chart& Chart::x(AxisOptions options) {
  x_ = std::move(options);
  return *this;
}

Chart& Chart::y(AxisOptions options) {
  y_ = std::move(options);
  return *this;
}

Chart& Chart::size(double width, double height) {
  width_ = width;
  height_ = height;
  return *this;
}

Chart& Chart::legend(Legend place) {
  legend_ = place;
  return *this;
}

Chart& Chart::mark(double x, std::string label) {
  marks_.push_back({x, std::move(label)});
  return *this;
}

Chart& Chart::line(std::string name, Points points, const Style& style) {
  series_.push_back({std::move(name), std::move(points), style, style.colour ? *style.colour : colours_++});
  return *this;
}

Chart& Chart::function(std::string name, const std::function<double(double)>& f, double from, double to,
                       const Style& style) {
  constexpr int kSteps = 400;
  Points points;
  for (int i = 0; i <= kSteps; ++i) {
    const double at = from + (to - from) * i / kSteps;
    points.push_back({at, f(at)});
  }
  Style curve = style;
  curve.values = false;  // of a formula any point is as good as another
  return line(std::move(name), std::move(points), curve);
}

Chart& Chart::histogram(std::span<const double> values, int bins, double from, double to) {
  const double width = (to - from) / bins;
  int i = 0;
  for (const double count : bin_counts(values, bins, from, to)) {
    bars_.push_back({from + i * width, from + (i + 1) * width, count});
    ++i;
  }
  return *this;
}

Chart& Chart::arrows(std::vector<Arrow> arrows) {
  arrows_.insert(arrows_.end(), arrows.begin(), arrows.end());
  return *this;
}

Chart& Chart::contour(std::function<double(double, double)> f, std::vector<double> levels) {
  contours_.push_back({std::move(f), std::move(levels)});
  return *this;
}

Range Chart::range_of(double Point::*coordinate, const AxisOptions& options) const {
  Range range(options.scale);
  for (const Series& s : series_)
    for (const Point& p : s.points) range.include(p.*coordinate);
  for (const Arrow& a : arrows_) range.include(a.at.*coordinate);
  const bool is_x = coordinate == &Point::x;
  for (const Bar& b : bars_) {
    range.include(is_x ? b.from : 0);
    range.include(is_x ? b.to : b.height);
  }
  Range fitted = range.fitted(options, kMargin);
  // Bars stand on the axis.
  const bool on_axis = !is_x && !bars_.empty() && range.low() == 0 && !options.from;
  if (!on_axis) return fitted;
  AxisOptions from_zero = options;
  from_zero.from = 0;
  return range.fitted(from_zero, kMargin);
}

Picture Chart::draw() const {
  const Range xs = range_of(&Point::x, x_);
  const Range ys = range_of(&Point::y, y_);
  double legend = 0;
  for (const Series& s : series_) legend = std::max(legend, text_width(s.name, kFont));
  const bool above = legend > 0 && legend_ == Legend::above;
  const double top = (title_.empty() ? 16 : 44) + (above ? 24 : 0);
  const double bottom = height_ - (label_of(x_).empty() ? 30 : 50);
  const double right = width_ - (legend > 0 && !above ? 14 + 26 + legend + 10 : 22);
  const Axis y(ys, bottom, top, y_.whole);
  const std::vector<Axis::Tick> up = ticks_of(y, 34, 20);
  const double left = (label_of(y_).empty() ? 18 : 40) + width_of(up);
  const Axis x(xs, left, right, x_.whole);
  std::vector<Axis::Tick> across = x.ticks(60);
  if (width_of(across) > 46)
    across = x.ticks(width_of(across) + 16);
  else
    across = ticks_of(x, 60, width_of(across) + 16);

  Canvas canvas(x, y, left, top, right, bottom);
  canvas.add_text(text(std::min(left, 40.0), 26, title_, 15, "start", "font-weight=\"bold\""));
  canvas.grid(across, up);
  canvas.begin_inside();
  for (const Contour& c : contours_) canvas.contour(c, xs, ys);
  canvas.bars(bars_, ys.high());
  canvas.arrows(arrows_);
  for (const Series& s : series_) canvas.series(s, xs, ys, x_.label);
  canvas.end_inside();
  for (const Mark& m : marks_) canvas.mark(m);
  canvas.add_text(text((left + right) / 2, height_ - 14, label_of(x_), kFont, "middle"));
  canvas.add_text(fmt::format("<g transform=\"translate(20 {:.1f}) rotate(-90)\">{}</g>\n",
                              (top + bottom) / 2, text(0, 0, label_of(y_), kFont, "middle")));
  double across_at = left, down_at = top + 10;
  for (const Series& s : series_) {
    if (s.name.empty()) continue;
    canvas.legend_entry(s, above ? across_at : right + 14, above ? top - 22 : down_at);
    across_at += 26 + text_width(s.name, kFont) + 12;
    down_at += 20;
  }
  return {width_, height_, canvas.take()};
}

}  // namespace tapegrad::plot
