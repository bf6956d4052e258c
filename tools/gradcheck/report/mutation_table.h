#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/report/run_options.h>

namespace tapegrad::gradcheck::detail {

/// What became of the mutations of several ops.
struct MutationResults {
  struct Subject {
    std::string name;
    std::vector<MutationResult> mutations;  ///< none where it is not differentiable

    bool all_found() const;
  };
  std::vector<Subject> subjects;
  std::size_t selected = 0;  ///< how many ops there would be without --shard and --fail-fast
  bool stopped = false;      ///< by --fail-fast, before all were tested
  /// The entries of the list that no mutation of the ops that they name is called by, or that name no op.
  std::vector<EquivalentMutation> unmatched;
  double seconds = 0;

  /// Of the catalogue's list. An op that is not among the subjects, or was not tested to the end, may have
  /// what an entry names.
  void find_unmatched(const Catalog& catalog);
  std::size_t count(MutationResult::Status status) const;
  ExitCode exit_code() const;
};

/// All there are, in the order in which they are counted up.
inline constexpr std::array kStatuses{
    MutationResult::Status::killed,         MutationResult::Status::equivalent,
    MutationResult::Status::survived,       MutationResult::Status::no_effect,
    MutationResult::Status::not_equivalent, MutationResult::Status::error};

/// The results for readers: a row for each op, below it the mutations that were not found; with -v all of
/// them.
class MutationTable {
 public:
  MutationTable(const CommandOptions& options, const std::vector<std::string>& names);

  std::string rows(const MutationResults::Subject& subject) const;
  std::string summary(const MutationResults& results) const;

 private:
  const CommandOptions& options_;
  std::size_t name_;
};

/// As self_test.schema.json describes it.
std::string json_text(const CommandOptions& options, const MutationResults& results);

}  // namespace tapegrad::gradcheck::detail
