#include "chart.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

constexpr double kMargin = 0.04;  // of an axis' length, at each end
constexpr const char* kGrid = "#e4e4e4";
constexpr const char* kQuiet = "#8a9aa8";  // contours, arrows: what lies behind the data

double width_of(const std::vector<Axis::Tick>& ticks) {
  double width = 0;
  for (const Axis::Tick& t : ticks) width = std::max(width, text_width(t.label, kFont));
  return width;
}

}  // namespace

/// Where the axes stand, and what is drawn between them.
class Chart::Canvas {
 public:
  Canvas(const Axis& x, const Axis& y, double left, double top, double right, double bottom)
      : x_(x), y_(y), left_(left), top_(top), right_(right), bottom_(bottom) {}

  void grid(const std::vector<Axis::Tick>& across, const std::vector<Axis::Tick>& up) {
    for (const Axis::Tick& t : across)
      add("<path d=\"M{0:.1f} {1}V{2}\" stroke=\"{3}\"/>\n", x_.at(t.value), top_, bottom_, kGrid);
    for (const Axis::Tick& t : up)
      add("<path d=\"M{0} {1:.1f}H{2}\" stroke=\"{3}\"/>\n", left_, y_.at(t.value), right_, kGrid);
    for (const Axis::Tick& t : across) svg_ += text(x_.at(t.value), bottom_ + 18, t.label, kFont, "middle");
    for (const Axis::Tick& t : up) svg_ += text(left_ - 7, y_.at(t.value) + 4, t.label, kFont, "end");
  }

  // A nested drawing cuts off what lies outside the axes.
  void begin_inside() {
    add("<svg x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" viewBox=\"{0} {1} {2} {3}\">\n", left_, top_,
        right_ - left_, bottom_ - top_);
  }
  void end_inside() {
    svg_ += "</svg>\n";
    add("<path d=\"M{0} {1}V{2}H{3}\" fill=\"none\" stroke=\"#222\"/>\n", left_, top_, bottom_, right_);
  }

  void bars(const std::vector<Bar>& bars) {
    for (const Bar& b : bars)
      add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"white\" "
          "stroke-width=\"0.5\"/>\n",
          x_.at(b.from), y_.at(b.height), x_.at(b.to) - x_.at(b.from), y_.at(0) - y_.at(b.height), colour(0));
  }

  void arrows(const std::vector<Arrow>& arrows) {
    double longest = 0;
    for (const Arrow& a : arrows) longest = std::max(longest, std::hypot(a.vector.x, a.vector.y));
    if (!(longest > 0)) return;
    const double room =
        0.9 * std::sqrt((right_ - left_) * (bottom_ - top_) / static_cast<double>(arrows.size()));
    for (const Arrow& a : arrows) {
      const double px = x_.at(a.at.x);
      const double py = y_.at(a.at.y);
      const double dx = a.vector.x / longest * room;
      const double dy = -a.vector.y / longest * room;  // up is towards 0
      const double length = std::hypot(dx, dy);
      if (!(length > 0.3)) continue;
      const double head = std::min(5.0, 0.45 * length);
      const double ux = dx / length;
      const double uy = dy / length;
      const double ex = px + dx;
      const double ey = py + dy;
      const double bx = ex - head * ux;
      const double by = ey - head * uy;
      add("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\" stroke-width=\"1.2\"/>\n", px, py, bx, by,
          kQuiet);
      add("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}L{:.1f} {:.1f}Z\" fill=\"{}\"/>\n", ex, ey,
          bx - 0.5 * head * uy, by + 0.5 * head * ux, bx + 0.5 * head * uy, by - 0.5 * head * ux, kQuiet);
    }
  }

  /// Marching squares: a level crosses a cell from edge to edge.
  void contour(const Contour& c, const Range& xs, const Range& ys) {
    constexpr int kCells = 120;
    const auto at = [](const Range& r, int i) { return r.low() + (r.high() - r.low()) * i / kCells; };
    std::vector<double> values;
    for (int j = 0; j <= kCells; ++j)
      for (int i = 0; i <= kCells; ++i) values.push_back(c.f(at(xs, i), at(ys, j)));
    const auto value = [&](int i, int j) { return values[static_cast<std::size_t>(j * (kCells + 1) + i)]; };
    for (const double level : c.levels) {
      std::string d;
      for (int j = 0; j < kCells; ++j)
        for (int i = 0; i < kCells; ++i) {
          const std::pair<int, int> corners[] = {{i, j}, {i + 1, j}, {i + 1, j + 1}, {i, j + 1}, {i, j}};
          char pen = 'M';
          for (int k = 0; k < 4; ++k) {
            const auto [i0, j0] = corners[k];
            const auto [i1, j1] = corners[k + 1];
            const double a = value(i0, j0) - level;
            const double b = value(i1, j1) - level;
            if ((a < 0) == (b < 0) || !std::isfinite(a) || !std::isfinite(b)) continue;
            const double t = a / (a - b);
            const double px = x_.at(at(xs, i0)) + t * (x_.at(at(xs, i1)) - x_.at(at(xs, i0)));
            const double py = y_.at(at(ys, j0)) + t * (y_.at(at(ys, j1)) - y_.at(at(ys, j0)));
            fmt::format_to(std::back_inserter(d), "{}{:.1f} {:.1f}", pen, px, py);
            pen = pen == 'M' ? 'L' : 'M';
          }
        }
      add("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"0.8\"/>\n", d, kQuiet);
    }
  }

  void series(const Series& s, const Range& xs, const Range& ys) {
    const auto can_draw = [&](const Point& p) { return xs.can_draw(p.x) && ys.can_draw(p.y); };
    if (s.style.line) {
      std::string d;
      bool pen_down = false;
      for (const Point& p : s.points) {
        if (can_draw(p))
          fmt::format_to(std::back_inserter(d), "{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', place(x_, p.x),
                         place(y_, p.y));
        pen_down = can_draw(p);
      }
      add("<path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" {}/>\n", d, pen(s));
    }
    if (s.style.dots)
      for (const Point& p : s.points)
        if (can_draw(p))
          add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", place(x_, p.x), place(y_, p.y),
              colour(s.colour));
  }

  void legend_entry(const Series& s, double y) {
    const double x = right_ + 14;
    if (s.style.line) add("<path d=\"M{} {}h20\" {}/>\n", x, y, pen(s));
    if (s.style.dots) add("<circle cx=\"{}\" cy=\"{}\" r=\"3\" fill=\"{}\"/>\n", x + 10, y, colour(s.colour));
    svg_ += text(x + 26, y + 4, s.name, kFont);
  }

  void add_text(std::string element) { svg_ += element; }
  std::string take() { return std::move(svg_); }

 private:
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<T>(values)...);
  }
  /// Far outside is as good as farther outside, and no renderer has to bear it.
  static double place(const Axis& axis, double value) { return std::clamp(axis.at(value), -1e5, 1e5); }
  /// Colours that come again have other dashes.
  static std::string pen(const Series& s) {
    static constexpr const char* kDashes[] = {"", "7 4", "2 3", "9 3 2 3"};
    const std::size_t round = s.style.dashed ? 1 : s.colour / kColours;
    std::string out = fmt::format("stroke=\"{}\" stroke-width=\"{}\"", colour(s.colour), s.style.width);
    if (round > 0) out += fmt::format(" stroke-dasharray=\"{}\"", kDashes[round % std::size(kDashes)]);
    return out;
  }

  Axis x_, y_;
  double left_, top_, right_, bottom_;
  std::string svg_;
};

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

Chart& Chart::line(std::string name, Points points, const Style& style) {
  series_.push_back({std::move(name), std::move(points), style, colours_++});
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
  return line(std::move(name), std::move(points), style);
}

Chart& Chart::histogram(std::span<const double> values, int bins, double from, double to) {
  if (bins < 1 || !(from < to))
    throw ArgumentError(fmt::format("plot: a histogram of {} bins over [{}, {}]", bins, from, to));
  const double width = (to - from) / bins;
  std::vector<Bar> bars;
  for (int i = 0; i < bins; ++i) bars.push_back({from + i * width, from + (i + 1) * width, 0});
  for (const double v : values)
    if (v >= from && v <= to)
      ++bars[static_cast<std::size_t>(std::min(bins - 1, static_cast<int>((v - from) / width)))].height;
  bars_.insert(bars_.end(), bars.begin(), bars.end());
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
  const double top = title_.empty() ? 16 : 44;
  const double bottom = height_ - (x_.label.empty() ? 30 : 50);
  const double right = width_ - (legend > 0 ? 14 + 26 + legend + 10 : 22);
  const Axis y(ys, bottom, top);
  const std::vector<Axis::Tick> up = y.ticks(34);
  const double left = (y_.label.empty() ? 18 : 40) + width_of(up);
  const Axis x(xs, left, right);
  std::vector<Axis::Tick> across = x.ticks(60);
  if (width_of(across) > 46) across = x.ticks(width_of(across) + 16);

  Canvas canvas(x, y, left, top, right, bottom);
  canvas.add_text(text(left, 26, title_, 15, "start", "font-weight=\"bold\""));
  canvas.grid(across, up);
  canvas.begin_inside();
  for (const Contour& c : contours_) canvas.contour(c, xs, ys);
  canvas.bars(bars_);
  canvas.arrows(arrows_);
  for (const Series& s : series_) canvas.series(s, xs, ys);
  canvas.end_inside();
  canvas.add_text(text((left + right) / 2, height_ - 14, x_.label, kFont, "middle"));
  canvas.add_text(fmt::format("<g transform=\"translate(20 {:.1f}) rotate(-90)\">{}</g>\n",
                              (top + bottom) / 2, text(0, 0, y_.label, kFont, "middle")));
  double entry = top + 10;
  for (const Series& s : series_) {
    if (s.name.empty()) continue;
    canvas.legend_entry(s, entry);
    entry += 20;
  }
  return {width_, height_, canvas.take()};
}

}  // namespace tapegrad::plot
