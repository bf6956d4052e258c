#include <algorithm>
#include <chrono>
#include <cmath>

#include "contender.h"

namespace tapegrad::bench {

double probe(const float* values, std::int64_t count, const float* less) {
  double sum = 0;
  for (std::int64_t i = 0; i < std::min(count, kProbe); ++i) {
    const double v = double{values[i]} - (less ? double{less[i]} : 0);
    sum += v * v;
  }
  return std::sqrt(sum);
}

double seconds_of_call(Program& program) {
  const auto seconds_of = [&](std::int64_t calls) {
    const auto start = std::chrono::steady_clock::now();
    program.run(calls);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto calls = static_cast<std::int64_t>(0.05 / (seconds_of(2) / 2)) + 1;
  return std::min(seconds_of(calls), seconds_of(calls)) / static_cast<double>(calls);
}

}  // namespace tapegrad::bench
