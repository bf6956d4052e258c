#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

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

/// "2/3". Throws ArgumentError for anything that is no part.
TAPEGRAD_API Shard parse_shard(std::string_view text);

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
  /// Seconds for each sample, 0 for any time. One that has not ended then is a failure, and those that follow it of the
  /// same op or module are not checked. All others are, by another thread.
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

/// Checks what the options select and prints what was found. Results do not depend on the number of threads
/// or on what else is checked. Throws ArgumentError where nothing matches, and for options that make no
/// sense; any other failure is told on the standard error and gives ExitCode::internal_error. No thread can be stopped from
/// outside: where one is left behind by the time limit, all is written, and the process ends here with the exit code.
TAPEGRAD_API ExitCode run_command(const Catalog& catalog, const CommandOptions& options);

/// The whole of a checking program, from its arguments to its exit code.
TAPEGRAD_API int run_program(const Catalog& catalog, int argc, const char* const* argv);

namespace detail {
inline void add_to(Catalog& catalog, Catalog::Module m) { catalog.add_module(std::move(m.name), m.samples); }
inline void add_to(Catalog& catalog, EquivalentMutation e) { catalog.add_equivalent(std::move(e)); }
}  // namespace detail

/// The command for ops and modules of your own, and for mutations of these ops that the self-test is not to find:
///
///     int main(int argc, char** argv) {
///       return gradcheck::gradcheck_main<TypeList<MyOp, MyOther>>(
///           argc, argv, gradcheck::Catalog::Module{"MyModule", my_module_samples},
///           gradcheck::EquivalentMutation{"my_op", "swapped*", "both gradients are the incoming one"});
///     }
///
template <class Ops, class... Entries>
int gradcheck_main(int argc, const char* const* argv, Entries... entries) {
  Catalog catalog;
  catalog.add_ops(Ops{});
  (detail::add_to(catalog, std::move(entries)), ...);
  return run_program(catalog, argc, argv);
}

}  // namespace tapegrad::gradcheck
