#pragma once

#include <span>
#include <vector>

#include <tapegrad/gradcheck/check/session.h>

/// The parts that a check is made of, each in a file of its own.
namespace tapegrad::gradcheck::detail {

/// Compares the derivatives of all results for all inputs that need a gradient with numerical ones; by each
/// of the rules.
void check_derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules);

/// Does the same for the recorded gradients, from order 2 to the order of the options, and checks that second
/// derivatives are symmetric.
void check_higher_orders(Session& s, const Problem& problem, int order);

/// Runs the function and each of its rules, and again. False where that shows a fault that all other checks
/// would only meet again: the function throws, or what it gives depends on more than its inputs.
bool check_repeatable(Session& s, const Problem& problem);

/// Checks what every gradient must satisfy; see Options::properties.
void check_properties(Session& s, const Problem& problem);
/// Of these, what concerns others: that a rule adds to what is there, changes nothing that is not its own,
/// and reads nothing that a later forward pass leaves.
void check_surroundings(Session& s, const Problem& problem);

/// Checks that a gradient is the same with any inputs tracked, and with one tensor as several inputs.
void check_input_patterns(Session& s, const Problem& problem, int order);

/// Checks that a gradient depends on nothing but its inputs: neither on the number of threads nor on what
/// lies in memory beside the elements.
void check_isolation(Session& s, const Problem& problem);
/// Of that, the number of threads alone.
void check_threads(Session& s, const Problem& problem);

/// Compares results and gradients by each of the rules in f32 with those in f64 at the same point.
void check_single_precision(Session& s, const Problem& problem, int order, std::span<const Rule> rules);

/// Makes all checks that the options ask for. Exceptions become findings. `differenced`: what numerical
/// derivatives are of, the problem itself but for what is declared straight through.
void check_problem(Session& s, const Problem& problem, const Problem& differenced);
inline void check_problem(Session& s, const Problem& problem) { check_problem(s, problem, problem); }
void check_problem(const Problem& problem, const Options& options, Report& report);

/// Throws ArgumentError for options that make no sense.
void validate(const Options& options);
/// Gives a user's inputs their names.
std::vector<Input> given_inputs(const std::vector<Tensor>& inputs, const Options& options);

}  // namespace tapegrad::gradcheck::detail
