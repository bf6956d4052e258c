#include <algorithm>
#include <map>
#include <set>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/module_problem.h>
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/graph/tape_view.h>
#include <tapegrad/nn/visitor.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

struct ModuleState::Collector final : nn::Visitor {
  explicit Collector(ModuleState& to) : state(to) {}

  void parameter(std::string_view name, Parameter& p) override {
    if (!p.defined()) return;
    const auto [known, fresh] = positions.try_emplace(p.id(), state.parameters_.size());
    if (fresh) state.parameters_.emplace_back(prefix + std::string(name), p.clone());
    state.held_parameters_.push_back({&p, p, known->second});
  }
  void buffer(std::string_view, nn::Buffer& b) override {
    if (b.defined()) state.buffers_.push_back({&b, b});
  }
  void generator(std::string_view, Generator& g) override { state.generators_.emplace_back(&g, g); }
  void module(std::string_view name, nn::ModuleBase& m) override {
    if (!seen.insert(&m).second) return;
    const std::string outer = prefix;
    prefix += std::string(name) + '.';
    m.visit(*this);
    prefix = outer;
  }

  ModuleState& state;
  std::string prefix;
  std::set<const nn::ModuleBase*> seen;
  std::map<std::uint64_t, std::size_t> positions;
};

ModuleState::ModuleState(nn::ModuleBase& module) {
  Collector all(*this);
  module.visit(all);
  // Parameters are exchanged only after the visit, as a module must not change while it is visited.
  for (const auto& held : held_parameters_) *held.member = parameters_[held.parameter].second;
}

ModuleState::~ModuleState() {
  for (const auto& held : held_parameters_) *held.member = held.original;
  for (const auto& held : buffers_) *held.member = held.original;
  for (const auto& [member, original] : generators_) *member = original;
}

void ModuleState::set(std::size_t parameter, const Tensor& value) {
  Parameter& p = parameters_[parameter].second;
  if (p.dtype() != value.dtype()) {
    const bool frozen = p.frozen();
    p = Parameter(value);
    p.freeze(frozen);
    for (const auto& held : held_parameters_)
      if (held.parameter == parameter) *held.member = p;
  } else if (to_doubles(p.data()) != to_doubles(value)) {
    p.assign(value);  // only then, as a tape that has recorded it would refuse to go on
  }
}

void ModuleState::rewind(Dtype dtype) {
  for (const auto& held : buffers_)
    *held.member =
        is_floating(held.original.dtype()) ? converted(held.original, dtype) : held.original.copy();
  for (const auto& [member, original] : generators_) *member = original;
}

namespace {

/// What is wrong where a tape has recorded a parameter that visit() does not list, as it would be neither
/// trained nor saved; else empty.
std::string forgotten_parameter(const Tape& tape, const ModuleState& state) {
  const TapeView view(tape);
  for (const TapeView::Node leaf : view) {
    if (!leaf.is_leaf() || leaf.parameter() == 0) continue;
    if (std::ranges::any_of(state.parameters(),
                            [&](const auto& p) { return p.second.id() == leaf.parameter(); }))
      continue;
    for (const TapeView::Node user : view)
      for (std::size_t i = 0; i < user.inputs(); ++i)
        if (user.input(i).node() == leaf.index())
          return fmt::format(
              "the forward pass uses a parameter of shape {} that visit() does not list, in {} of {}; give "
              "it to the visitor",
              to_string(leaf.shape()), user.op(), user.scope().empty() ? "the module" : user.scope());
  }
  return "";
}

std::vector<Input> inputs_of(const ModuleState& state, std::vector<Input> rest, bool in_double) {
  std::vector<Input> all;
  for (const auto& [name, p] : state.parameters())
    all.push_back({.name = name,
                   .value = in_double ? converted(p.data(), f64) : p.data().copy(),
                   .needs_grad = !p.frozen(),
                   .replaceable = false});
  for (Input& in : rest) all.push_back(std::move(in));
  return all;
}

}  // namespace

ModuleProblem::ModuleProblem(nn::ModuleBase& module, RunModule f, std::vector<Input> inputs, bool in_double)
    : state_(module), f_(std::move(f)) {
  inputs_ = inputs_of(state_, std::move(inputs), in_double);
}

std::vector<Tensor> ModuleProblem::evaluate(std::span<const Tensor> in) const {
  Dtype dtype = f64;
  for (std::size_t i = in.size(); i-- > 0;) {
    if (is_floating(in[i].dtype())) dtype = in[i].dtype();
    if (i < parameters() && !in[i].tracked()) state_.set(i, in[i]);
  }
  state_.rewind(dtype);
  return f_(in.subspan(parameters()));
}

bool ModuleProblem::check_visited(Report& report) const {
  // In the dtype that the parameters have before the check, as a forgotten one keeps it.
  const Dtype dtype = parameters() > 0 ? state_.parameters()[0].second.dtype() : f32;
  std::vector<Tensor> in;
  for (std::size_t i = parameters(); i < inputs_.size(); ++i)
    in.push_back(converted(inputs_[i].value, dtype));
  state_.rewind(dtype);
  Tape tape;
  try {
    f_(in);
  } catch (...) {  // is found again by the checks, and reported
  }
  const std::string forgotten = forgotten_parameter(tape, state_);
  if (!forgotten.empty())
    report.add({.verdict = Verdict::fail, .what = "parameters", .input = "visit()", .message = forgotten});
  return forgotten.empty();
}

Tensor ModuleProblem::leaf(Tape& tape, std::size_t i, const Tensor& value) const {
  if (i >= parameters()) return tape.watch(value);
  state_.set(i, value);
  Parameter p = state_.parameters()[i].second;
  p.freeze(false);
  return p.value();
}

Tensor ModuleProblem::constant(std::size_t i, const Tensor& value) const {
  if (i >= parameters()) return value;
  state_.set(i, value);
  Parameter p = state_.parameters()[i].second;
  p.freeze();
  return p.data();
}

}  // namespace tapegrad::gradcheck::detail

namespace tapegrad::gradcheck {

Report detail::check_module_function(nn::ModuleBase& module, RunModule f, const std::vector<Tensor>& inputs,
                                     const Options& options) {
  detail::validate(options);
  const detail::ModuleProblem problem(module, std::move(f), detail::given_inputs(inputs, options),
                                      options.in_double);
  if (problem.grad_inputs().empty())
    throw DtypeError(
        "gradcheck: nothing to differentiate: the module has no parameters that are not frozen, and no input "
        "is floating");
  Report report;
  if (problem.check_visited(report)) detail::check_problem(problem, options, report);
  return report;
}

Report check_module(nn::ModuleBase& module, TensorFunction f, const std::vector<Tensor>& inputs,
                    const Options& options) {
  const auto run = [f](std::span<const Tensor> in) { return std::vector{f(in)}; };
  return detail::check_module_function(module, run, inputs, options);
}

Report check_module(nn::Module& module, const Tensor& x, const Options& options) {
  const auto run = [&](const Tensor& in) { return module(in); };
  return check_module(module, run, {x}, options);
}

}  // namespace tapegrad::gradcheck
