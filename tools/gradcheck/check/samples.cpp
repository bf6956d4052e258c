#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>
#include <optional>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/check/straight_through.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace gradcheck::detail {

namespace {

// Elements keep this part of their domain's width away from a kink.
constexpr double kKinkDistance = 0.02;

double draw(const Domain& d, Generator& g) {
  const double width = d.hi - d.lo;
  for (int attempt = 0; attempt < 10000; ++attempt) {
    const double x = d.lo + width * g.uniform();
    if (std::ranges::none_of(d.kinks, [&](double k) { return std::abs(x - k) < kKinkDistance * width; }))
      return x;
  }
  throw ArgumentError(
      fmt::format("gradcheck: the kinks of a sample leave no room in its domain [{}, {})", d.lo, d.hi));
}

}  // namespace

Input drawn(const SampleInput& from, std::string name, Generator& g) {
  Input in{.name = std::move(name), .value = {}};
  using Kind = SampleInput::Kind;
  if (from.kind == Kind::values || from.kind == Kind::constant) {
    in.value = converted(from.values, f64);
    in.needs_grad = from.kind == Kind::values && is_floating(from.values.dtype());
    return in;
  }
  const Domain& d = from.domain;
  if (!(d.lo < d.hi))
    throw ArgumentError(fmt::format("gradcheck: a sample's domain [{}, {}) is empty", d.lo, d.hi));
  Doubles x(static_cast<std::size_t>(from.shape.size()));
  if (!d.only.empty()) {
    for (double& v : x) v = d.only[g.below(d.only.size())];
    in.needs_grad = false;
  } else if (from.kind == Kind::distinct) {
    // One element in the middle half of each of n equal intervals.
    const double interval = (d.hi - d.lo) / static_cast<double>(std::max<std::size_t>(x.size(), 1));
    const Tensor order = permutation(from.shape.size(), g);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] =
          d.lo + interval * (static_cast<double>(order.values<std::int64_t>()[i]) + 0.25 + 0.5 * g.uniform());
    in.max_step = 0.5 * interval;
  } else {
    for (double& v : x) v = draw(d, g);
    in.max_step = (d.hi - d.lo) * (d.kinks.empty() ? 0.25 : kKinkDistance);
  }
  in.value = from_doubles(x, from.shape, f64);
  return in;
}

namespace {

std::vector<std::uint8_t> formula_branches(const Formula& f, const void* attributes,
                                           const std::vector<Tensor>& in) {
  Shape shape = in[0].shape();
  for (const Tensor& t : in) shape = broadcast(shape, t.shape(), "gradcheck");
  std::vector<Doubles> x;
  for (const Tensor& t : in) x.push_back(to_doubles(t.shape() == shape ? t : broadcast_to(t, shape)));
  std::vector<std::uint8_t> ways;
  observer() = {};
  observer().branches = &ways;
  std::array<double, tapegrad::detail::kMaxFormulaArity> point{};
  for (std::size_t e = 0; e < x[0].size(); ++e) {
    for (std::size_t i = 0; i < x.size(); ++i) point[i] = x[i][e];
    f.value(attributes, point.data());
  }
  observer() = {};
  return ways;
}

}  // namespace

namespace {

/// The problem's inputs as the op takes them: undefined tensors stand where an optional input is not given.
std::vector<const Tensor*> handles_of(const Samples::Sample& sample, std::span<const Tensor> in) {
  static const Tensor kAbsent;
  std::vector<const Tensor*> handles;
  auto next = in.begin();
  for (const SampleInput& input : sample.inputs)
    handles.push_back(input.kind == SampleInput::Kind::absent ? &kAbsent : &*next++);
  return handles;
}

}  // namespace

std::vector<Tensor> SampleProblem::evaluate(std::span<const Tensor> in) const {
  const std::vector<const Tensor*> handles = handles_of(sample_, in);
  return {sample_.function(sample_.attributes.data(), handles.data(), handles.size())};
}

namespace {

std::vector<Input> all_drawn(const Samples::Sample& sample, Generator& g) {
  std::vector<Input> all;
  for (std::size_t i = 0; i < sample.inputs.size(); ++i)
    if (sample.inputs[i].kind != SampleInput::Kind::absent)
      all.push_back(drawn(sample.inputs[i], fmt::format("input {}", i), g));
  return all;
}

}  // namespace

SampleProblem::SampleProblem(const Catalog::Op& op, const Samples::Sample& sample, Generator& g)
    : Problem(all_drawn(sample, g)), op_(op), sample_(sample) {}

std::vector<std::uint8_t> SampleProblem::branches(std::span<const Tensor> in) const {
  const Pause pause;
  std::vector<Tensor> plain;
  for (const Tensor& t : in) plain.push_back(t.detach());
  if (op_.formula) return formula_branches(*op_.formula, sample_.attributes.data(), plain);
  if (!op_.branches) return {};
  const std::vector<const Tensor*> handles = handles_of(sample_, plain);
  std::vector<std::uint8_t> ways;
  for (const double x : to_doubles(op_.branches(sample_.attributes.data(), handles.data(), handles.size())))
    ways.push_back(x != 0);
  return ways;
}

namespace {

void check_convention(const Samples::Sample& sample, const Problem& problem, const Options& options,
                      Report& report) {
  const std::vector<std::size_t> grad_inputs = problem.grad_inputs();
  for (const Rule rule : rules_of(options)) {
    Recording recording(problem, problem.values(), grad_inputs);
    std::vector<Tensor> ones;
    for (const Tensor& r : recording.results()) ones.push_back(Tensor::ones(r.shape(), r.dtype()));
    const std::vector<Tensor> g = recording.vjp(ones, rule);
    for (std::size_t k = 0; k < g.size() && k < sample.gradients.size(); ++k) {
      const Doubles got = to_doubles(g[k]), expected = to_doubles(sample.gradients[k]);
      if (got.size() != expected.size())
        throw ArgumentError(fmt::format("gradcheck: the sample documents {} gradients of input {}, it has {}",
                                        expected.size(), k, got.size()));
      for (std::size_t e = 0; e < got.size(); ++e)
        if (got[e] != expected[e] && !(std::abs(got[e] - expected[e]) <= 1e-12 * std::abs(expected[e])) &&
            !(std::isnan(got[e]) && std::isnan(expected[e])))
          report.add({.verdict = Verdict::fail,
                      .what = std::string("documented convention, ") + std::string(describe(rule)),
                      .input = problem.inputs()[grad_inputs[k]].name,
                      .index = fmt::format("[{}]", e),
                      .analytic = got[e],
                      .numeric = expected[e]});
    }
  }
}

}  // namespace

void check_sample(const Samples::Sample& sample, const Problem& problem, const Options& options,
                  Report& report, Extent extent) {
  Options each = options;
  const bool size_alone = extent == Extent::size_alone;
  if (size_alone) each.order = each.directions = 1;
  if (!sample.gradients.empty()) each.order = 1;
  Session s{each, report, Generator(each.seed), extent == Extent::until_failure, size_alone};
  if (!sample.gradients.empty())
    s.run(1, "documented convention", [&] { check_convention(sample, problem, each, report); });
  if (!sample.intended) return check_problem(s, problem);
  std::optional<StraightThroughProblem> intended;
  s.run(1, "straight through", [&] { intended.emplace(problem, sample.intended); });
  if (intended) check_problem(s, problem, *intended);
}

std::int64_t elements_of(const Samples::Sample& sample) {
  std::int64_t n = 0;
  for (const SampleInput& in : sample.inputs) n += in.shape.size();
  return n;
}

std::string label_of(const Samples::Sample& sample) {
  std::string text = sample.label;
  if (sample.intended) text += text.empty() ? "straight through" : ", straight through";
  for (const SampleInput& in : sample.inputs)
    text += (text.empty() ? "" : " ") + (in.kind == SampleInput::Kind::absent ? "none" : to_string(in.shape));
  return text;
}

}  // namespace gradcheck::detail
}  // namespace tapegrad
