#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tapegrad::bench {

/// Lines of positive numbers over positive numbers.
struct Chart {
  struct Line {
    std::string name;
    std::vector<std::pair<double, double>> points;  ///< x rising
  };
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Line> lines;
};

/// The chart as an SVG document, both axes logarithmic. Throws ArgumentError where there are no points.
std::string to_svg(const Chart& chart);

}  // namespace tapegrad::bench
