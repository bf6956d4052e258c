#include "canvas.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace tapegrad::plot {

namespace {

constexpr const char* kQuiet = "#8a9aa8";  // contours, arrows: what lies behind the data

/// Far outside is as good as farther outside, and no renderer has to bear it.
double place(const Axis& axis, double value) { return std::clamp(axis.at(value), -1e5, 1e5); }

/// What shows where the mouse is above an element.
std::string hover(const std::string& name, const std::string& of_x, const Point& p) {
  return fmt::format("<title>{}{}{}{}, {}</title>", escaped(name), name.empty() ? "" : ": ",
                     of_x.empty() ? "" : escaped(of_x) + " ", number_label(p.x), number_label(p.y));
}

}  // namespace

void Chart::Canvas::grid(const std::vector<Axis::Tick>& across, const std::vector<Axis::Tick>& up) {
  for (const Axis::Tick& t : across)
    add("<path d=\"M{0:.1f} {1}V{2}\" stroke=\"{3}\"/>\n", x_.at(t.value), top_, bottom_, kGrid);
  for (const Axis::Tick& t : up)
    add("<path d=\"M{0} {1:.1f}H{2}\" stroke=\"{3}\"/>\n", left_, y_.at(t.value), right_, kGrid);
  for (const Axis::Tick& t : across) svg_ += text(x_.at(t.value), bottom_ + 18, t.label, kFont, "middle");
  for (const Axis::Tick& t : up) svg_ += text(left_ - 7, y_.at(t.value) + 4, t.label, kFont, "end");
}

void Chart::Canvas::begin_inside() {
  add("<svg x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" viewBox=\"{0} {1} {2} {3}\">\n", left_, top_,
      right_ - left_, bottom_ - top_);
}

void Chart::Canvas::end_inside() {
  svg_ += "</svg>\n";
  add("<path d=\"M{0} {1}V{2}H{3}\" fill=\"none\" stroke=\"{4}\"/>\n", left_, top_, bottom_, right_, kInk);
}

void Chart::Canvas::bars(const std::vector<Bar>& bars, double highest) {
  for (const Bar& b : bars) {
    const double x = x_.at(b.from), width = x_.at(b.to) - x;
    const double y = y_.at(std::min(b.height, highest));
    add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"0.5\"><title>{} to {}: {}</title></rect>\n",
        x, y, width, y_.at(0) - y, colour(0), kPaper, number_label(b.from), number_label(b.to),
        number_label(b.height));
    if (!(b.height > highest)) continue;
    // Two slanted strokes break the bar; how high it would be stands in it, where there is room.
    for (const double at : {8.0, 12.0})
      add("<path d=\"M{:.1f} {:.1f}l{:.1f} -5\" stroke=\"{}\" stroke-width=\"2\"/>\n", x - 1, y + at + 2,
          width + 2, kPaper);
    const std::string height = number_label(b.height);
    if (width >= 10 && y_.at(0) - y > text_width(height, kFont) + 26)
      add("<g transform=\"translate({:.1f} {:.1f}) rotate(-90)\">{}</g>\n", x + width / 2 + 4, y + 20,
          text(0, 0, height, kFont - 2, "end", "fill=\"white\""));
  }
}

void Chart::Canvas::arrows(const std::vector<Arrow>& arrows) {
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

void Chart::Canvas::contour(const Contour& c, const Range& xs, const Range& ys) {
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

void Chart::Canvas::series(const Series& s, const Range& xs, const Range& ys, const std::string& of_x) {
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
    add("<path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" {}/>\n", d, s.pen());
  }
  constexpr double kApart = 5;  // closer ones cannot be told apart by a mouse
  double last = -std::numeric_limits<double>::infinity();
  for (const Point& p : s.points) {
    if (!can_draw(p)) continue;
    const double x = place(x_, p.x), y = place(y_, p.y);
    if (s.style.dots)
      add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\" fill-opacity=\"{}\">{}</circle>\n", x, y,
          colour(s.colour), s.style.opacity, hover(s.name, of_x, p));
    else if (s.style.values && std::abs(x - last) >= kApart) {
      add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"6\" fill-opacity=\"0\">{}</circle>\n", x, y,
          hover(s.name, of_x, p));
      last = x;
    }
  }
}

void Chart::Canvas::mark(const Mark& m) {
  const double x = x_.at(m.x);
  if (!(x >= left_ && x <= right_)) return;
  add("<path d=\"M{:.1f} {:.1f}V{:.1f}\" stroke=\"{}\" stroke-dasharray=\"3 3\"/>\n", x, top_, bottom_,
      kQuietInk);
  constexpr double kSmall = kFont - 1;
  const bool at_end = x + text_width(m.label, kSmall) / 2 > right_ + 16;
  svg_ += text(at_end ? right_ + 16 : x, top_ - 4, m.label, kSmall, at_end ? "end" : "middle",
               fmt::format("fill=\"{}\"", kQuietInk));
}

void Chart::Canvas::legend_entry(const Series& s, double x, double y) {
  if (s.style.line) add("<path d=\"M{:.1f} {}h20\" {}/>\n", x, y, s.pen());
  if (s.style.dots)
    add("<circle cx=\"{:.1f}\" cy=\"{}\" r=\"3\" fill=\"{}\"/>\n", x + 10, y, colour(s.colour));
  svg_ += text(x + 26, y + 4, s.name, kFont);
}

/// Colours that come again have other dashes.
std::string Chart::Series::pen() const {
  static constexpr const char* kDashes[] = {"", "7 4", "2 3", "9 3 2 3"};
  const std::size_t round = style.dashed ? 1 : colour / kColours;
  std::string out = fmt::format("stroke=\"{}\" stroke-width=\"{}\"", plot::colour(colour), style.width);
  if (round > 0) out += fmt::format(" stroke-dasharray=\"{}\"", kDashes[round % std::size(kDashes)]);
  return out;
}

}  // namespace tapegrad::plot
