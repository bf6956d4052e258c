#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/command.h>
#include <tapegrad/gradcheck/command/job.h>

namespace tapegrad::gradcheck::detail {

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
