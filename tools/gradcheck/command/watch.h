#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/progress.h>

namespace tapegrad::gradcheck::detail {

/// Knows which sample has run for longer than it may, and which were slow. Where a run hangs, the last line
/// on the standard error says why: what runs for ten seconds is named there, and whatever runs when that time
/// has doubled. What took longest is named once, at the end, by its processor time, as on a busy machine
/// everything takes long.
class Watch {
 public:
  /// `limit`: seconds for each sample, 0 for any time.
  Watch(std::string program, double limit) : program_(std::move(program)), limit_(limit) {}

  double limit() const { return limit_; }
  /// Whether what runs of this op or module is over its time.
  bool over(const std::string& name, const Progress::Activity& now);
  /// What has ended, and the processor time that it took.
  void ended(const std::string& what, double processor_seconds);
  /// A line for each of the slowest, at most three, that took two seconds or more.
  std::string slowest() const;

 private:
  struct Slow {
    std::string what;
    double seconds;
  };

  std::string program_;
  double limit_;
  double next_ = 10;
  std::vector<Slow> slow_;  ///< the slowest first
};

}  // namespace tapegrad::gradcheck::detail
