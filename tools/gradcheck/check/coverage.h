#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

/// What the checks cover: whether every rule of every op was really run, in each precision and with each
/// instruction set, and whether there is anything on a tape that is not checked.
namespace tapegrad::gradcheck {

struct Coverage {
  /// What is missing, a line each; nothing where all is covered.
  std::vector<std::string> gaps;
  std::size_t ops = 0, modules = 0;  ///< of the shard
  /// Variants of a rule (fused, general or recorded; precision; with and without an optional input;
  /// instruction set) that were run, and all that there are.
  std::size_t covered = 0, variants = 0;
  /// Forward passes and rules that two threads have run for some sample, to the same bits as one thread; and
  /// the names of those that never were shared, such as "reshape: forward": their samples are too small, or
  /// one thread does all the work there is.
  std::size_t shared = 0;
  std::vector<std::string> unshared;
  /// Names of the instruction sets that this processor offers.
  std::vector<std::string> instruction_sets;
};

/// Checks the shard of the catalog in fast mode with each instruction set that the processor offers, and
/// looks at what was run. All shards together find the gaps of the whole. Not for while other threads
/// compute.
TAPEGRAD_API Coverage coverage_of(const Catalog& catalog, const Options& options, const Shard& shard = {});

}  // namespace tapegrad::gradcheck
