#include <algorithm>

#include <tapegrad/gradcheck/report/fault_table.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

bool is_found(PlantedFault::Fate fate) {
  return fate == PlantedFault::Fate::killed || fate == PlantedFault::Fate::equivalent;
}

}  // namespace

FaultTable::FaultTable(const CommandOptions& options, const std::vector<Job>& jobs)
    : options_(options), jobs_(jobs) {}

std::string FaultTable::rows(const std::vector<PlantedFault>& faults) {
  std::size_t width = 6;
  for (const Job& job : jobs_) width = std::max(width, job.name().size());
  std::map<Fate, std::size_t> count;
  for (const PlantedFault& f : faults) ++count[f.fate], ++total_[f.fate];
  if (faults.empty()) return fmt::format("{:<{}}  not differentiable\n", jobs_[next_++].name(), width);
  ++ops_;
  const bool all_found = std::ranges::all_of(faults, [](const PlantedFault& f) { return is_found(f.fate); });
  std::string text =
      fmt::format("{:<{}}  {:>4} faults: {:>4} killed, {:>2} equivalent  {}\n", jobs_[next_++].name(), width,
                  faults.size(), count[Fate::killed], count[Fate::equivalent], all_found ? "PASS" : "FAIL");
  for (const PlantedFault& f : faults)
    if (options_.verbose || !is_found(f.fate))
      text += fmt::format("  {}: {}{}\n", f.fault, name_of(f.fate), f.how.empty() ? "" : ", " + f.how);
  return text;
}

bool FaultTable::any_survived() const {
  return std::ranges::any_of(total_, [](const auto& t) { return t.second > 0 && !is_found(t.first); });
}

std::string FaultTable::summary(double seconds) const {
  std::string text;
  std::size_t all = 0;
  for (const auto& [fate, count] : total_) {
    text += fmt::format("{} {} {}", text.empty() ? ":" : ",", count, name_of(fate));
    all += count;
  }
  return fmt::format("{} faults planted in {} ops{} in {:.1f} s\n", all, ops_, text, seconds);
}

}  // namespace tapegrad::gradcheck::detail
