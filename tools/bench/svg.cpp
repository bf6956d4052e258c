#include "svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::bench {

namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 440;
constexpr double kLeft = 80;
constexpr double kRight = 140;  // the legend's place
constexpr double kTop = 44;
constexpr double kBottom = 60;
// Okabe and Ito's colours, which the colour-blind can tell apart.
constexpr std::array kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

/// A logarithmic axis from one end of the drawing to the other.
class Axis {
 public:
  Axis(double least, double most, double from, double to) : from_(from), to_(to) {
    low_ = std::log10(least);
    high_ = std::log10(most);
    const double margin = std::max(0.02, 0.04 * (high_ - low_));
    low_ -= margin;
    high_ += margin;
  }
  double at(double value) const {
    return from_ + (to_ - from_) * (std::log10(value) - low_) / (high_ - low_);
  }
  /// Powers of ten; with 2 and 5 in between where there are few.
  std::vector<double> ticks() const {
    std::vector<double> all;
    for (int power = static_cast<int>(std::floor(low_)); power <= static_cast<int>(std::ceil(high_)); ++power)
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double value = digit * std::pow(10.0, power);
        const bool inside = std::log10(value) >= low_ && std::log10(value) <= high_;
        if (inside && (digit == 1.0 || high_ - low_ < 2.5)) all.push_back(value);
      }
    return all;
  }

 private:
  double from_, to_;
  double low_ = 0, high_ = 0;
};

std::string tick_label(double value) {
  if (value >= 1e5) return fmt::format("{:.0e}", value);
  return fmt::format("{:g}", value);
}

}  // namespace

std::string to_svg(const Chart& chart) {
  double least[2] = {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  double most[2] = {0, 0};
  for (const Chart::Line& line : chart.lines)
    for (const auto& [x, y] : line.points) {
      least[0] = std::min(least[0], x), most[0] = std::max(most[0], x);
      least[1] = std::min(least[1], y), most[1] = std::max(most[1], y);
    }
  if (!(most[0] > 0 && least[0] > 0 && least[1] > 0))
    throw ArgumentError(fmt::format("chart '{}': it has no points above 0", chart.title));
  const double right = kWidth - kRight;
  const double bottom = kHeight - kBottom;
  const Axis x(least[0], most[0], kLeft, right);
  const Axis y(least[1], most[1], bottom, kTop);

  std::string svg;
  auto out = std::back_inserter(svg);
  fmt::format_to(
      out,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"{2}\" y=\"24\" font-size=\"15\">{3}</text>\n",
      kWidth, kHeight, kLeft, escaped(chart.title));
  for (const double tick : x.ticks())
    fmt::format_to(out,
                   "<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#ddd\"/>\n"
                   "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
                   x.at(tick), kTop, bottom, bottom + 18, tick_label(tick));
  for (const double tick : y.ticks())
    fmt::format_to(out,
                   "<path d=\"M{0} {1:.1f}H{2}\" stroke=\"#ddd\"/>\n"
                   "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
                   kLeft, y.at(tick), right, kLeft - 6, y.at(tick) + 4, tick_label(tick));
  fmt::format_to(out,
                 "<path d=\"M{0} {1}V{2}H{3}\" fill=\"none\" stroke=\"black\"/>\n"
                 "<text x=\"{4}\" y=\"{5}\" text-anchor=\"middle\">{6}</text>\n"
                 "<text transform=\"translate(18 {7}) rotate(-90)\" text-anchor=\"middle\">{8}</text>\n",
                 kLeft, kTop, bottom, right, (kLeft + right) / 2, kHeight - 16, escaped(chart.x_label),
                 (kTop + bottom) / 2, escaped(chart.y_label));
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const Chart::Line& line = chart.lines[i];
    const char* colour = kColours[i % kColours.size()];
    const double legend = kTop + 10 + 20 * static_cast<double>(i);
    fmt::format_to(
        out, "<g stroke=\"{0}\" fill=\"{0}\">\n<polyline fill=\"none\" stroke-width=\"2\" points=\"", colour);
    for (const auto& [px, py] : line.points) fmt::format_to(out, "{:.1f},{:.1f} ", x.at(px), y.at(py));
    fmt::format_to(out, "\"/>\n");
    for (const auto& [px, py] : line.points)
      fmt::format_to(out, "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", x.at(px), y.at(py));
    fmt::format_to(out,
                   "<path d=\"M{} {}h20\" stroke-width=\"2\"/>\n</g>\n<text x=\"{}\" y=\"{}\">{}</text>\n",
                   right + 14, legend, right + 40, legend + 4, escaped(line.name));
  }
  svg += "</svg>\n";
  return svg;
}

}  // namespace tapegrad::bench
