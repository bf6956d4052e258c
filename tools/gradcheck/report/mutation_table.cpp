#include <algorithm>

#include <tapegrad/gradcheck/check/glob.h>
#include <tapegrad/gradcheck/report/mutation_table.h>
#include <tapegrad/gradcheck/report/table.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using Status = MutationResult::Status;

bool is_found(Status status) { return status == Status::killed || status == Status::equivalent; }

std::size_t count_of(const MutationResults::Subject& s, Status status) {
  return static_cast<std::size_t>(std::ranges::count(s.mutations, status, &MutationResult::status));
}

}  // namespace

bool MutationResults::Subject::all_found() const {
  return std::ranges::all_of(mutations, [](const MutationResult& m) { return is_found(m.status); });
}

std::size_t MutationResults::count(Status status) const {
  std::size_t all = 0;
  for (const Subject& s : subjects) all += count_of(s, status);
  return all;
}

void MutationResults::find_unmatched(const Catalog& catalog) {
  unmatched.clear();
  for (const EquivalentMutation& e : catalog.equivalents()) {
    const auto may_have_it = [&](const Catalog::Op& op) {
      if (!matches(op.name, e.op)) return false;
      const auto tested = std::ranges::find(subjects, op.name, &Subject::name);
      return tested == subjects.end() || std::ranges::any_of(tested->mutations, [&](const MutationResult& m) {
               return m.status == Status::error || matches(m.mutation, e.mutation);
             });
    };
    if (std::ranges::none_of(catalog.ops(), may_have_it)) unmatched.push_back(e);
  }
}

ExitCode MutationResults::exit_code() const {
  return unmatched.empty() && std::ranges::all_of(subjects, &Subject::all_found)
             ? ExitCode::pass
             : ExitCode::mutation_survived;
}

MutationTable::MutationTable(const CommandOptions& options, const std::vector<std::string>& names)
    : options_(options), name_(widest_of(names)) {}

std::string MutationTable::rows(const MutationResults::Subject& s) const {
  if (s.mutations.empty()) return fmt::format("{:<{}}  not differentiable\n", s.name, name_);
  std::string text = fmt::format("{:<{}}  {:>4} mutations: {:>4} killed, {:>2} equivalent  {}\n", s.name,
                                 name_, s.mutations.size(), count_of(s, Status::killed),
                                 count_of(s, Status::equivalent), s.all_found() ? "PASS" : "FAIL");
  for (const MutationResult& m : s.mutations)
    if (options_.verbose || !is_found(m.status))
      text += fmt::format("  {}: {}{}\n", m.mutation, name_of(m.status),
                          m.explanation.empty() ? "" : ", " + m.explanation);
  return text;
}

std::string MutationTable::summary(const MutationResults& r) const {
  std::string text, list;
  std::size_t all = 0, ops = 0;
  for (const MutationResults::Subject& s : r.subjects) ops += !s.mutations.empty();
  for (const Status status : kStatuses) {
    const std::size_t count = r.count(status);
    if (count > 0) text += fmt::format("{} {} {}", text.empty() ? ":" : ",", count, name_of(status));
    all += count;
  }
  for (const EquivalentMutation& e : r.unmatched)
    list += fmt::format("in the list of equivalent mutations, and there is none: {}: {}\n", e.op, e.mutation);
  return fmt::format("{}{} mutations in {} ops{} in {:.1f} s\n", list, all, ops, text, r.seconds);
}

}  // namespace tapegrad::gradcheck::detail
