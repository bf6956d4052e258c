#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tapegrad::plot {

enum class Scale { linear, log };

struct AxisOptions {
  std::string label{};
  Scale scale = Scale::linear;
  std::optional<double> from{};  ///< by default what the data needs, and a little more
  std::optional<double> to{};
  bool whole = false;  ///< of a linear axis: ticks stand at whole numbers alone
};

/// The numbers an axis shows, before it has a place.
class Range {
 public:
  explicit Range(Scale scale) : scale_(scale) {}
  /// Makes room for a value that can be drawn.
  void include(double value);
  /// Whether the value is finite and, on a logarithmic axis, above 0.
  bool can_draw(double value) const;
  bool empty() const { return !(low_ <= high_); }
  Scale scale() const { return scale_; }
  double low() const { return low_; }
  double high() const { return high_; }
  /// The range of an axis with these options: wider by `margin` of its length at each end that is not given.
  /// Throws ArgumentError for ends that are no range.
  Range fitted(const AxisOptions& options, double margin) const;

 private:
  Scale scale_;
  double low_ = 1;
  double high_ = 0;
};

/// A range laid from one place of a drawing to another.
class Axis {
 public:
  Axis(const Range& range, double from, double to, bool whole = false);
  double at(double value) const;
  struct Tick {
    double value;
    std::string label;
  };
  /// Round numbers, `spacing` or more units of the drawing apart, about.
  std::vector<Tick> ticks(double spacing) const;

 private:
  std::vector<double> decades(double spacing) const;
  double scaled(double value) const;

  Range range_;
  double from_;
  double to_;
  bool whole_;
};

/// A number as a reader would write it: 0.05, 2000, 3·10⁻⁷.
std::string number_label(double value);

}  // namespace tapegrad::plot
