#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

namespace tapegrad::gradcheck {

/// The options of the checking command.
struct CommandOptions {
  std::vector<std::string>
      patterns{};  ///< shell globs; an op or module is checked where one matches; all where none is given
  int order = 1;
  std::uint64_t seed = 0;
  double rtol = Options{}.rtol;
  bool list = false;
  bool verbose = false;
};

/// Checks what matches and prints a table to the standard output. 0: all pass; 1: something does not. Throws
/// ArgumentError where nothing matches, or for options that make no sense.
TAPEGRAD_API int run_command(const Catalog& catalog, const CommandOptions& options);

/// The whole of a checking program, from its arguments to its exit code: 0 all pass, 1 something does not, 2
/// wrong usage or nothing matches.
TAPEGRAD_API int run_program(const Catalog& catalog, int argc, const char* const* argv);

/// The command for ops of your own, with what it says about each:
///
///     int main(int argc, char** argv) { return tapegrad::gradcheck::gradcheck_main<TypeList<MyOp,
///     MyOther>>(argc, argv); }
///
template <class Ops>
int gradcheck_main(int argc, const char* const* argv, std::vector<Catalog::Module> modules = {}) {
  Catalog catalog;
  catalog.add_ops(Ops{});
  for (Catalog::Module& m : modules) catalog.add_module(std::move(m.name), m.samples);
  return run_program(catalog, argc, argv);
}

}  // namespace tapegrad::gradcheck
