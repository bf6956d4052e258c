#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/command/selection.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

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
  double seconds = 0;

  std::size_t count(MutationResult::Status status) const;
  ExitCode exit_code() const;
};

/// The results for readers: a row for each op, below it the mutations that were not found; with -v all of them.
class MutationTable {
 public:
  MutationTable(const CommandOptions& options, const std::vector<Job>& jobs);

  std::string rows(const MutationResults::Subject& subject) const;
  std::string summary(const MutationResults& results) const;

 private:
  const CommandOptions& options_;
  std::size_t name_;
};

/// As self_test.schema.json describes it.
std::string json_text(const CommandOptions& options, const MutationResults& results);

}  // namespace tapegrad::gradcheck::detail
