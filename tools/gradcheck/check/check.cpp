#include <algorithm>
#include <cmath>

#include <tapegrad/gradcheck/check/checks.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

namespace detail {

void validate(const Options& o) {
  if (!(o.rtol > 0 && o.rtol < 1))
    throw ArgumentError(fmt::format("gradcheck: rtol {} is not between 0 and 1", o.rtol));
  if (o.order < 1 || o.order > 3)
    throw ArgumentError(fmt::format("gradcheck: order {}; it can be 1, 2 or 3", o.order));
  if (!(o.excuse_atol >= 0))
    throw ArgumentError(fmt::format("gradcheck: excuse_atol {} is negative", o.excuse_atol));
  if (!(o.nondet_tol >= 0))
    throw ArgumentError(fmt::format("gradcheck: nondet_tol {} is negative", o.nondet_tol));
  if (!o.f64 && !o.f32) throw ArgumentError("gradcheck: neither f64 nor f32 is to be checked");
  if (o.elements < 1 || o.directions < 1)
    throw ArgumentError(
        fmt::format("gradcheck: {} elements and {} directions; there must be at least one of each",
                    o.elements, o.directions));
}

std::vector<Input> given_inputs(const std::vector<Tensor>& inputs, const Options& options) {
  std::vector<Input> at;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined())
      throw ArgumentError(fmt::format("gradcheck: input {} is an undefined tensor", i));
    const bool constant = std::ranges::find(options.constants, i) != options.constants.end();
    at.push_back({.name = i < options.names.size() ? options.names[i] : fmt::format("input {}", i),
                  .value = options.in_double ? converted(inputs[i], f64) : inputs[i].copy(),
                  .needs_grad = is_floating(inputs[i].dtype()) && !constant});
  }
  return at;
}

void check_problem(const Problem& problem, const Options& options, Report& report) {
  Session s{options, report, Generator(options.seed)};
  check_problem(s, problem);
}

namespace {

/// What rules do beside giving their numbers, which they may do in f32 alone.
void check_surroundings_in_single(Session& s, const Problem& single) {
  s.note = ", in f32";
  s.run(1, "properties", [&] { check_surroundings(s, single); });
  s.run(1, "properties", [&] { check_input_patterns(s, single, 1); });
  s.run(1, "isolation", [&] { check_isolation(s, single); });
  s.note = {};
}

/// What loops that are cut into parts, and shared between threads, may do wrong.
void check_size(Session& s, const Problem& problem) {
  const Options& o = s.options;
  if (o.f32 && o.in_double) {
    s.run(1, "f32 against f64", [&] { check_single_precision(s, problem, 1, rules_of(o)); });
    s.note = ", in f32";
    s.run(1, "threads", [&] { check_threads(s, in_single_precision(problem)); });
    s.note = {};
  }
  if (!o.f64) return;
  s.run(1, "threads", [&] { check_threads(s, problem); });
  s.run(1, "gradient", [&] { check_derivatives(s, problem, 1, rules_of(o)); });
}

}  // namespace

void check_problem(Session& s, const Problem& problem, const Problem& differenced) {
  const Options& o = s.options;
  if (s.size_alone) return check_size(s, problem);
  if (!check_repeatable(s, problem)) return;
  const bool single = o.f32 && o.properties && o.in_double;
  if (single) s.run(1, "f32 against f64", [&] { check_single_precision(s, problem, 1, rules_of(o)); });
  if (o.f64 && o.properties) {
    s.run(1, "properties", [&] { check_properties(s, problem); });
    s.run(1, "properties", [&] { check_input_patterns(s, problem, 1); });
    s.run(1, "isolation", [&] { check_isolation(s, problem); });
  }
  if (single) check_surroundings_in_single(s, in_single_precision(problem));
  if (o.f64) s.run(1, "gradient", [&] { check_derivatives(s, differenced, 1, rules_of(o)); });
  if (o.order >= 2) check_higher_orders(s, differenced, 2);
}

}  // namespace detail

Report check(TensorFunction f, const std::vector<Tensor>& inputs, const Options& options) {
  detail::validate(options);
  const detail::FunctionProblem problem(f, detail::given_inputs(inputs, options));
  if (problem.grad_inputs().empty())
    throw DtypeError(
        "gradcheck: no input to differentiate: integers have no gradient, and the others are held constant; "
        "give a tensor of f32 or f64");
  Report report;
  detail::check_problem(problem, options, report);
  return report;
}

}  // namespace tapegrad::gradcheck
