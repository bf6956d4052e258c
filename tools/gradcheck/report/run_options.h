#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

/// What a run of the checking command was asked for, and how it may end: all that its reports repeat.
namespace tapegrad::gradcheck {

/// What the checking command exits with. A mismatch outweighs what is inconclusive.
enum class ExitCode : int {
  /// Every input at every order has shown a derivative other than zero that agrees. Nothing is inconclusive,
  /// except at samples marked for it (Samples::uncertain_from).
  pass = 0,
  mismatch = 1,  ///< something is wrong, unproven, or has not ended in its time
  usage = 2,     ///< wrong arguments, or nothing matches them
  /// Nothing is wrong, but a comparison is inconclusive: at an unmarked sample, or under --strict anywhere.
  inconclusive = 3,
  mutation_survived = 4,  ///< --self-test: a mutation was not found or not tested, or its list is wrong
  coverage_gap = 5,       ///< --coverage: something is not covered
  internal_error = 6,     ///< the command could not do its work
};

enum class Format : std::uint8_t { table, json, junit };

/// The options of the checking command.
struct CommandOptions {
  /// Shell globs of what is checked; everything where neither is given.
  std::vector<std::string> ops{}, modules{};
  /// How they are checked. Of its fields the command line has the order, the mode, the dtypes, the seed, the
  /// tolerances and the random directions.
  Options check{};
  int samples = 1;  ///< how often each sample is drawn
  int threads = 1;  ///< how many ops and modules are checked at a time
  /// Seconds for each sample, 0 for any time. One that has not ended then is a failure, and those that follow
  /// it of the same op or module are not checked. All others are, by another thread.
  double time_limit = 0;
  Shard shard{};
  Format format = Format::table;
  std::string output{};  ///< a file that gets the results in the format; the table is printed all the same
  std::string repro{};   ///< "NAME#SAMPLE" or "NAME#SAMPLE:seed=SEED": this sample alone
  bool list = false;
  bool self_test = false;  ///< alter the rules of the selected ops, and see whether the checker finds it
  bool coverage = false;   ///< see whether every rule of every op is run
  bool strict = false;
  bool fail_fast = false;
  bool verbose = false;
  /// What was typed to start the command, for the lines that repeat a failure.
  std::string program = "gradcheck";
};

}  // namespace tapegrad::gradcheck
