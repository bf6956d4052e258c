#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/check/progress.h>

namespace tapegrad::gradcheck::detail {

/// An op or a module of a catalog, which must outlive it.
struct Job {
  const Catalog::Op* op = nullptr;
  const Catalog::Module* module = nullptr;

  const std::string& name() const { return op ? op->name : module->name; }
  /// How many there are. Throws an Error with the name where they cannot be made.
  std::size_t samples() const;
  Subject check(const Options& options, const SampleChoice& choice) const;
  /// What there is of a check whose thread is left behind, as a sample has run for longer than `limit`
  /// seconds.
  Subject out_of_time(const Options& options, const Progress& progress, double limit) const;
  /// Of an op.
  std::vector<MutationResult> self_test(const Options& options,
                                        const std::vector<EquivalentMutation>& equivalents) const;
  /// What there is of it, as for a check.
  std::vector<MutationResult> self_test_out_of_time(const Progress& progress, double limit) const;
};

std::vector<std::string> names_of(const std::vector<Job>& jobs);

}  // namespace tapegrad::gradcheck::detail
