#include <algorithm>

#include <tapegrad/gradcheck/report/mutation_table.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

bool is_found(MutationResult::Status status) {
  return status == MutationResult::Status::killed || status == MutationResult::Status::equivalent;
}

}  // namespace

MutationTable::MutationTable(const CommandOptions& options, const std::vector<Job>& jobs)
    : options_(options), jobs_(jobs) {}

std::string MutationTable::rows(const std::vector<MutationResult>& mutations) {
  std::size_t width = 6;
  for (const Job& job : jobs_) width = std::max(width, job.name().size());
  std::map<Status, std::size_t> count;
  for (const MutationResult& f : mutations) ++count[f.status], ++total_[f.status];
  if (mutations.empty()) return fmt::format("{:<{}}  not differentiable\n", jobs_[next_++].name(), width);
  ++ops_;
  const bool all_found =
      std::ranges::all_of(mutations, [](const MutationResult& f) { return is_found(f.status); });
  std::string text = fmt::format("{:<{}}  {:>4} mutations: {:>4} killed, {:>2} equivalent  {}\n",
                                 jobs_[next_++].name(), width, mutations.size(), count[Status::killed],
                                 count[Status::equivalent], all_found ? "PASS" : "FAIL");
  for (const MutationResult& f : mutations)
    if (options_.verbose || !is_found(f.status))
      text += fmt::format("  {}: {}{}\n", f.mutation, name_of(f.status),
                          f.explanation.empty() ? "" : ", " + f.explanation);
  return text;
}

bool MutationTable::any_survived() const {
  return std::ranges::any_of(total_, [](const auto& t) { return t.second > 0 && !is_found(t.first); });
}

std::string MutationTable::summary(double seconds) const {
  std::string text;
  std::size_t all = 0;
  for (const auto& [status, count] : total_) {
    text += fmt::format("{} {} {}", text.empty() ? ":" : ",", count, name_of(status));
    all += count;
  }
  return fmt::format("{} mutations in {} ops{} in {:.1f} s\n", all, ops_, text, seconds);
}

}  // namespace tapegrad::gradcheck::detail
