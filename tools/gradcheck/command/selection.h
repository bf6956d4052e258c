#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/check/progress.h>
#include <tapegrad/gradcheck/command.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

/// What the command's arguments select.
namespace tapegrad::gradcheck::detail {

/// An op or a module of a catalog, which must outlive it.
struct Job {
  const Catalog::Op* op = nullptr;
  const Catalog::Module* module = nullptr;

  const std::string& name() const { return op ? op->name : module->name; }
  /// How many there are. Throws an Error with the name where they cannot be made.
  std::size_t samples() const;
  Subject check(const Options& options, const SampleChoice& choice) const;
  /// What there is of a check whose thread is left behind, as a sample has run for longer than `limit` seconds.
  Subject out_of_time(const Options& options, const Progress& progress, double limit) const;
  /// Of an op.
  std::vector<MutationResult> self_test(const Options& options,
                                        const std::vector<EquivalentMutation>& equivalents) const;
  /// What there is of it, as for a check.
  std::vector<MutationResult> self_test_out_of_time(const Progress& progress, double limit) const;
};

/// A sample as it is named on the command line.
struct SampleName {
  std::string name;
  std::size_t number = 0;
  std::uint64_t seed = 0;
};

/// "matmul#7:seed=42"; without a seed, the one given here. Throws ArgumentError for anything else.
SampleName parse_sample(std::string_view text, std::uint64_t seed);

/// All that the patterns match, ops first, in the catalog's order. Throws ArgumentError for a pattern that
/// matches nothing, and proposes names that are close.
std::vector<Job> selected(const Catalog& catalog, const CommandOptions& options);
/// The op or module of this name. Throws as selected() does.
Job named(const Catalog& catalog, const std::string& name);
std::vector<Job> part_of(const std::vector<Job>& jobs, const Shard& shard);

}  // namespace tapegrad::gradcheck::detail
