#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <tapegrad/ops/kernels/conv/conv.h>

/// How one axis of a convolution is walked.
namespace tapegrad::detail {

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
constexpr std::int64_t floor_mod(std::int64_t a, std::int64_t b) { return a - floor_div(a, b) * b; }

/// Result j is a sum over taps t: of weight weight_first + t weight_step times source element
/// j stride + offset_first + t offset_step; it goes to element to_first + j to_step of the target.
struct AxisWalk {
  std::int64_t source = 0;  ///< elements; those outside of [0, source) are 0
  std::int64_t stride = 1;
  std::int64_t results = 0;
  std::int64_t taps = 0;
  std::int64_t weight_first = 0;
  std::int64_t weight_step = 1;
  std::int64_t offset_first = 0;
  std::int64_t offset_step = 1;
  std::int64_t target = 0;  ///< elements
  std::int64_t to_first = 0;
  std::int64_t to_step = 1;

  // Source elements a stride apart are neighbours in a phase: element i of phase f is i stride + f.

  std::int64_t offset(std::int64_t tap) const { return offset_first + tap * offset_step; }
  /// Phases repeat after so many taps, and are different until then.
  std::int64_t phases() const { return std::min(taps, stride / std::gcd(offset_step, stride)); }
  std::int64_t phase(std::int64_t tap) const { return floor_mod(offset(tap), stride); }
  /// What result 0 reads of the tap's phase.
  std::int64_t shift(std::int64_t tap) const { return floor_div(offset(tap), stride); }
  std::int64_t least_shift() const { return std::min(shift(0), shift(taps - 1)); }
  std::int64_t most_shift() const { return std::max(shift(0), shift(taps - 1)); }
  /// Elements of the longest phase.
  std::int64_t phase_length() const { return (source + stride - 1) / stride; }
};

/// The walk from x to y.
inline AxisWalk forward_walk(const WindowAxis& a) {
  return {.source = a.size,
          .stride = a.stride,
          .results = a.windows,
          .taps = a.kernel,
          .offset_first = a.start(0),
          .offset_step = a.dilation,
          .target = a.windows};
}

/// The walk from y to those elements of x that lie `phase` beyond a multiple of the stride in the padded x; each meets
/// every stride-th weight only, or none.
inline AxisWalk transposed_walk(const WindowAxis& a, std::int64_t phase) {
  AxisWalk walk{.source = a.windows, .target = a.size, .to_step = a.stride};
  walk.to_first = floor_mod(phase - a.before, a.stride);
  walk.results = std::max<std::int64_t>(0, (a.size - walk.to_first + a.stride - 1) / a.stride);
  const std::int64_t common = std::gcd(a.dilation, a.stride);
  walk.weight_step = a.stride / common;
  while (walk.weight_first < std::min(walk.weight_step, a.kernel) &&
         walk.weight_first * a.dilation % a.stride != phase)
    ++walk.weight_first;
  if (walk.weight_first >= walk.weight_step || walk.weight_first >= a.kernel) return walk;  // without taps
  walk.taps = (a.kernel - walk.weight_first + walk.weight_step - 1) / walk.weight_step;
  walk.offset_first = (walk.to_first + a.before - walk.weight_first * a.dilation) / a.stride;
  walk.offset_step = -(a.dilation / common);
  return walk;
}

}  // namespace tapegrad::detail
