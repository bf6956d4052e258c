#include <cstdio>

#include <tapegrad/gradcheck/command/watch.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

bool Watch::over(const std::string& name, const Progress::Activity& now) {
  const double seconds = now.seconds();
  Said& said = said_[name];
  if (said.since != now.since) said = {.since = now.since};
  if (seconds >= said.next) {
    while (seconds >= said.next) said.next *= 2;
    std::string label;
    if (!now.sample.label.empty()) label += " " + now.sample.label;
    if (!now.mutation.empty()) label += ", " + now.mutation;
    fmt::print(stderr, "{}: {}#{}{} has been running for {:.0f} s: {}\n", program_, name, now.sample.number,
               label, seconds, now.place());
  }
  return limit_ > 0 && seconds > limit_;
}

}  // namespace tapegrad::gradcheck::detail
