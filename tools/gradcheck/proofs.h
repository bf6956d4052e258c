#pragma once

#include <span>

#include <tapegrad/gradcheck/command.h>
#include <tapegrad/gradcheck/selection.h>

/// What the command says about the checker itself.
namespace tapegrad::gradcheck::detail {

/// Plants faults in the selected ops and prints what became of them. ExitCode::fault_survived where one was
/// not found.
ExitCode run_self_test(std::span<const Job> jobs, const CommandOptions& options, const Options& each);

/// Prints what the checks do not reach. ExitCode::coverage_gap where that is anything.
ExitCode run_coverage(const Catalog& catalog, const CommandOptions& options, const Options& each);

}  // namespace tapegrad::gradcheck::detail
