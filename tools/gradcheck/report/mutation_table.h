#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/command/selection.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

namespace tapegrad::gradcheck::detail {

/// What became of the mutations, for readers: a row for each op, below it the mutations that were not found;
/// with -v all of them.
class MutationTable {
 public:
  MutationTable(const CommandOptions& options, const std::vector<Job>& jobs);

  /// The next op's, counted with those before.
  std::string rows(const std::vector<MutationResult>& mutations);
  std::string summary(double seconds) const;
  bool any_survived() const;

 private:
  using Status = MutationResult::Status;

  const CommandOptions& options_;
  const std::vector<Job>& jobs_;
  std::size_t next_ = 0;  ///< position of the op whose turn it is
  std::size_t ops_ = 0;   ///< that have mutations
  std::map<Status, std::size_t> total_;
};

}  // namespace tapegrad::gradcheck::detail
