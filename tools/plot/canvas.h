#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "axis.h"
#include "chart.h"

namespace tapegrad::plot {

/// Where a chart's axes stand, and what is drawn between them. Not for users of charts.
class Chart::Canvas {
 public:
  Canvas(const Axis& x, const Axis& y, double left, double top, double right, double bottom)
      : x_(x), y_(y), left_(left), top_(top), right_(right), bottom_(bottom) {}

  void grid(const std::vector<Axis::Tick>& across, const std::vector<Axis::Tick>& up);
  /// A nested drawing cuts off what lies outside the axes.
  void begin_inside();
  void end_inside();

  /// Those that are higher than `highest` end there, and show that they do.
  void bars(const std::vector<Bar>& bars, double highest);
  void arrows(const std::vector<Arrow>& arrows);
  /// Marching squares: a level crosses a cell from edge to edge.
  void contour(const Contour& c, const Range& xs, const Range& ys);
  /// The values of its points show where the mouse is above them; `of_x` says what x is.
  void series(const Series& s, const Range& xs, const Range& ys, const std::string& of_x);
  void mark(const Mark& m);
  void legend_entry(const Series& s, double x, double y);

  void add_text(const std::string& element) { svg_ += element; }
  std::string take() { return std::move(svg_); }

 private:
  template <class... T>
  void add(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<T>(values)...);
  }

  Axis x_, y_;
  double left_, top_, right_, bottom_;
  std::string svg_;
};

}  // namespace tapegrad::plot
