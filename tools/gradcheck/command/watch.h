#pragma once

#include <map>
#include <string>
#include <utility>

#include <tapegrad/gradcheck/check/progress.h>

namespace tapegrad::gradcheck::detail {

/// Says on the standard error which sample runs for long, after two seconds and whenever that time has doubled, and
/// knows which has run for longer than it may. A terminal or a log: where a run hangs, its last line says why.
class Watch {
 public:
  /// `limit`: seconds for each sample, 0 for any time.
  Watch(std::string program, double limit) : program_(std::move(program)), limit_(limit) {}

  double limit() const { return limit_; }
  /// Whether what runs of this op or module is over its time.
  bool over(const std::string& name, const Progress::Activity& now);

 private:
  struct Said {
    Progress::Clock::time_point since;  ///< which sample, as it were
    double next = 2;
  };

  std::string program_;
  double limit_;
  std::map<std::string, Said> said_;
};

}  // namespace tapegrad::gradcheck::detail
