#include <algorithm>
#include <cstdio>

#include <tapegrad/gradcheck/command/watch.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {
constexpr std::size_t kSlowest = 3;
constexpr double kSlow = 2;
}  // namespace

bool Watch::over(const std::string& name, const Progress::Activity& now) {
  const double seconds = now.seconds();
  if (seconds >= next_) {
    while (seconds >= next_) next_ *= 2;
    std::string label;
    if (!now.sample.label.empty()) label += " " + now.sample.label;
    if (!now.mutation.empty()) label += ", " + now.mutation;
    fmt::print(stderr, "{}: {}#{}{} has been running for {:.0f} s: {}\n", program_, name, now.sample.number,
               label, seconds, now.place());
  }
  return limit_ > 0 && seconds > limit_;
}

void Watch::ended(const std::string& what, double processor_seconds) {
  if (processor_seconds < kSlow) return;
  const auto place =
      std::ranges::upper_bound(slow_, processor_seconds, std::ranges::greater{}, &Slow::seconds);
  slow_.insert(place, {what, processor_seconds});
  if (slow_.size() > kSlowest) slow_.pop_back();
}

std::string Watch::slowest() const {
  std::string text;
  for (const Slow& s : slow_)
    text += fmt::format("{}: {} took {:.1f} s of processor time\n", program_, s.what, s.seconds);
  return text;
}

}  // namespace tapegrad::gradcheck::detail
