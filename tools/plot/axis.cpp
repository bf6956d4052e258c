#include "axis.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

/// The least of 1, 2, 5 times a power of ten that is not below `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= least * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

std::string superscript(int number) {
  static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out;
  for (const char c : std::to_string(number)) out += c == '-' ? "⁻" : kDigits[c - '0'];
  return out;
}

}  // namespace

std::string number_label(double value) {
  const double size = std::abs(value);
  if (value == 0) return "0";
  if (size >= 1e-3 && size < 1e6) return fmt::format("{:.6g}", value);
  int exponent = static_cast<int>(std::floor(std::log10(size)));
  double digits = value / std::pow(10.0, exponent);
  if (std::abs(digits) > 9.9999) digits /= 10, ++exponent;
  if (std::abs(digits - 1) < 1e-9) return "10" + superscript(exponent);
  return fmt::format("{:.3g}·10{}", digits, superscript(exponent));
}

void Range::include(double value) {
  if (!can_draw(value)) return;
  low_ = empty() ? value : std::min(low_, value);
  high_ = std::max(high_ < low_ ? value : high_, value);
}

bool Range::can_draw(double value) const {
  return std::isfinite(value) && (scale_ == Scale::linear || value > 0);
}

Range Range::fitted(const AxisOptions& options, double margin) const {
  Range r = *this;
  for (const std::optional<double>& end : {options.from, options.to})
    if (end && !can_draw(*end))
      throw ArgumentError(fmt::format("plot: an axis '{}' cannot reach {}", options.label, *end));
  if (r.empty() && options.from && options.to) {
    r.include(*options.from);
    r.include(*options.to);
  }
  if (r.empty())
    throw ArgumentError(fmt::format("plot: nothing to show on the axis '{}'{}", options.label,
                                    scale_ == Scale::log ? ", which is logarithmic: no value above 0" : ""));
  if (scale_ == Scale::log) {
    const double factor = std::pow(r.high_ / r.low_, margin) * (r.high_ > r.low_ ? 1 : 1.5);
    r.low_ /= factor;
    r.high_ *= factor;
  } else {
    const double length = r.high_ - r.low_;
    const double extra = length > 0 ? margin * length : r.low_ == 0 ? 1 : 0.1 * std::abs(r.low_);
    r.low_ -= extra;
    r.high_ += extra;
  }
  if (options.from) r.low_ = *options.from;
  if (options.to) r.high_ = *options.to;
  if (!(r.low_ < r.high_))
    throw ArgumentError(
        fmt::format("plot: the axis '{}' cannot go from {} to {}", options.label, r.low_, r.high_));
  return r;
}

Axis::Axis(const Range& range, double from, double to, bool whole)
    : range_(range), from_(from), to_(to), whole_(whole) {}

double Axis::scaled(double value) const { return range_.scale() == Scale::log ? std::log10(value) : value; }

double Axis::at(double value) const {
  const double low = scaled(range_.low());
  return from_ + (to_ - from_) * (scaled(value) - low) / (scaled(range_.high()) - low);
}

/// Powers of ten, and so many numbers between them as there is room for and that a reader can use.
std::vector<double> Axis::decades(double spacing) const {
  constexpr std::size_t kEnough = 4;
  constexpr double kRoom = 0.8;  // of the spacing, between the two labels that stand closest
  const double low = std::log10(range_.low());
  const double high = std::log10(range_.high());
  const double decade = std::abs(to_ - from_) / (high - low);
  const auto values_of = [&](std::span<const double> digits, int every) {
    std::vector<double> values;
    for (int power = static_cast<int>(std::floor(low)); power <= static_cast<int>(std::ceil(high)); ++power) {
      if (power % every != 0) continue;
      for (const double digit : digits) {
        const double value = digit * std::pow(10.0, power);
        if (value >= range_.low() && value <= range_.high()) values.push_back(value);
      }
    }
    return values;
  };
  constexpr double kTens[] = {1}, kThrees[] = {1, 3}, kFives[] = {1, 2, 5}, kMany[] = {1, 1.5, 2, 3, 5, 7};
  std::vector<double> values =
      values_of(kTens, std::max(1, static_cast<int>(std::ceil(kRoom * spacing / decade))));
  const std::pair<std::span<const double>, double> finer[] = {
      {kFives, 2}, {kThrees, 10.0 / 3}, {kMany, 10.0 / 7}};  // the least factor from one to the next
  for (const auto& [digits, factor] : finer) {
    if (values.size() >= kEnough || decade * std::log10(factor) < kRoom * spacing) continue;
    if (std::vector<double> more = values_of(digits, 1); more.size() > values.size())
      values = std::move(more);
  }
  return values;
}

std::vector<Axis::Tick> Axis::ticks(double spacing) const {
  std::vector<Tick> ticks;
  if (range_.scale() == Scale::log)
    for (const double value : decades(spacing)) ticks.push_back({value, number_label(value)});
  const bool long_enough = range_.scale() == Scale::log && range_.high() > 30 * range_.low();
  if (ticks.size() >= 3 || (long_enough && !ticks.empty())) return ticks;
  // Little of a decade is shown best by even steps.
  ticks.clear();
  const double length = range_.high() - range_.low();
  const double least = length * spacing / std::abs(to_ - from_);
  const double step = round_step(whole_ ? std::max(least, 1.0) : least);
  const double first = std::ceil(range_.low() / step - 1e-9);
  const double count = std::floor(range_.high() / step + 1e-9) - first;
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  const bool plain = decimals <= 4 && std::max(std::abs(range_.low()), std::abs(range_.high())) < 1e6;
  for (int i = 0; i <= static_cast<int>(count); ++i) {
    const double value = (first + i) * step + 0.0;  // + 0.0: no -0
    ticks.push_back({value, plain ? fmt::format("{:.{}f}", value, decimals) : number_label(value)});
  }
  return ticks;
}

}  // namespace tapegrad::plot
