#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "axis.h"
#include "picture.h"

namespace tapegrad::plot {

struct Point {
  double x = 0;
  double y = 0;
};
using Points = std::vector<Point>;

/// A vector that is shown at a point.
struct Arrow {
  Point at;
  Point vector;
};

/// How a series of points is drawn.
struct Style {
  bool line = true;
  bool dots = false;
  bool dashed = false;
  double width = 2;
  double opacity = 1;  ///< of dots: many that lie on one another show where they are dense
  bool values = true;  ///< the values of a line's points show where the mouse is; dots always do
  std::optional<std::size_t> colour{};  ///< of colour(), for series that belong together; else the next one
};
/// Where the names of series stand: right of the axes, or in a row above them, for small diagrams.
enum class Legend { right, above };
/// Of a small diagram, to stand beside others or on a narrow screen.
inline constexpr double kSmallWidth = 350;
inline constexpr Style kDots{.line = false, .dots = true};
inline constexpr Style kLineAndDots{.line = true, .dots = true};
inline constexpr Style kDashed{.dashed = true};

/// How many of the values fall into each of `bins` equal parts of [from, to]; the last includes its end. Values
/// outside, and those that are not finite, are in none. Throws ArgumentError for no bins or an empty range.
std::vector<double> bin_counts(std::span<const double> values, int bins, double from, double to);

/// A diagram with two axes; the label of a logarithmic one says so. What is added first lies lowest; each named series
/// gets an entry of the legend and, where its style has none, the next colour.
///
///     Chart chart("Training");
///     chart.x({.label = "epoch"}).y({.label = "loss", .scale = Scale::log}).line("train", losses);
///     save("loss.svg", chart.draw());
class Chart {
 public:
  explicit Chart(std::string title) : title_(std::move(title)) {}

  Chart& x(AxisOptions options);
  Chart& y(AxisOptions options);
  Chart& size(double width, double height);
  Chart& legend(Legend place);

  /// Points in their order. Those that cannot be drawn (not finite; on a logarithmic axis not above 0)
  /// interrupt the line.
  Chart& line(std::string name, Points points, const Style& style = {});
  Chart& dots(std::string name, Points points) { return line(std::move(name), std::move(points), kDots); }
  /// y = f(x) over [from, to].
  Chart& function(std::string name, const std::function<double(double)>& f, double from, double to,
                  const Style& style = {});
  /// A bar for each of bin_counts, which says what counts, and throws. One that is higher than the axis shows that it
  /// is cut off.
  Chart& histogram(std::span<const double> values, int bins, double from, double to);
  /// The longest takes about the room that each has.
  Chart& arrows(std::vector<Arrow> arrows);
  /// A line from bottom to top at x, with a label.
  Chart& mark(double x, std::string label);
  /// Lines of equal f over the whole diagram.
  Chart& contour(std::function<double(double, double)> f, std::vector<double> levels);

  /// Throws ArgumentError where there is nothing to draw.
  Picture draw() const;

 private:
  struct Series {
    std::string name;
    Points points;
    Style style;
    std::size_t colour;
    std::string pen() const;
  };
  struct Bar {
    double from, to, height;
  };
  struct Mark {
    double x;
    std::string label;
  };
  struct Contour {
    std::function<double(double, double)> f;
    std::vector<double> levels;
  };
  class Canvas;
  Range range_of(double Point::*coordinate, const AxisOptions& options) const;

  std::string title_;
  AxisOptions x_;
  AxisOptions y_;
  double width_ = 720;
  double height_ = 440;
  std::vector<Contour> contours_;
  std::vector<Bar> bars_;
  std::vector<Arrow> arrows_;
  std::vector<Series> series_;
  std::vector<Mark> marks_;
  std::size_t colours_ = 0;
  Legend legend_ = Legend::right;
};

}  // namespace tapegrad::plot
