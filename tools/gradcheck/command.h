#pragma once

#include <string_view>
#include <utility>

#include <tapegrad/gradcheck/report/run_options.h>

namespace tapegrad::gradcheck {

/// "2/3". Throws ArgumentError for anything that is no part.
TAPEGRAD_API Shard parse_shard(std::string_view text);

/// Checks what the options select and prints what was found. Results do not depend on the number of threads
/// or on what else is checked. Throws ArgumentError where nothing matches, and for options that make no
/// sense; any other failure is told on the standard error and gives ExitCode::internal_error. No thread can
/// be stopped from outside: where one is left behind by the time limit, all is written, and the process ends
/// here with the exit code.
TAPEGRAD_API ExitCode run_command(const Catalog& catalog, const CommandOptions& options);

/// The whole of a checking program, from its arguments to its exit code.
TAPEGRAD_API int run_program(const Catalog& catalog, int argc, const char* const* argv);

namespace detail {
inline void add_to(Catalog& catalog, Catalog::Module m) { catalog.add_module(std::move(m.name), m.samples); }
inline void add_to(Catalog& catalog, EquivalentMutation e) { catalog.add_equivalent(std::move(e)); }
}  // namespace detail

/// The command for ops and modules of your own, and for mutations of these ops that the self-test is not to
/// find:
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
