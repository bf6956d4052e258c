#include <map>
#include <set>

#include <tapegrad/gradcheck/derivatives.h>
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/gradcheck/module_problem.h>
#include <tapegrad/nn/visitor.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

struct ModuleState::Collector final : nn::Visitor {
  Collector(ModuleState& to, bool convert) : state(to), in_double(convert) {}

  void parameter(std::string_view name, Parameter& p) override {
    if (!p.defined()) return;
    auto [known, fresh] = replacements.try_emplace(p.id());
    if (fresh) {
      known->second = Parameter(in_double ? converted(p.data(), f64) : p.data());
      known->second.freeze(p.frozen());
      state.parameters_.emplace_back(prefix + std::string(name), known->second);
    }
    state.held_parameters_.push_back({&p, p, known->second});
  }
  void buffer(std::string_view, nn::Buffer& b) override {
    if (b.defined()) state.buffers_.push_back({&b, b, in_double ? converted(b, f64) : b.copy()});
  }
  void generator(std::string_view, Generator& g) override { state.generators_.emplace_back(&g, g); }
  void module(std::string_view name, nn::Module& m) override {
    if (!seen.insert(&m).second) return;
    const std::string outer = prefix;
    prefix += std::string(name) + '.';
    m.visit(*this);
    prefix = outer;
  }

  ModuleState& state;
  bool in_double;
  std::string prefix;
  std::set<const nn::Module*> seen;
  std::map<std::uint64_t, Parameter> replacements;
};

ModuleState::ModuleState(nn::Module& module, bool in_double) {
  Collector all(*this, in_double);
  module.visit(all);
  // Only now: a module that is visited must look the same throughout.
  for (const auto& held : held_parameters_) *held.member = held.replaced;
  rewind();
}

ModuleState::~ModuleState() {
  for (const auto& held : held_parameters_) *held.member = held.original;
  for (const auto& held : buffers_) *held.member = held.original;
  for (const auto& [member, original] : generators_) *member = original;
}

void ModuleState::rewind() const {
  for (const auto& held : buffers_) *held.member = held.replaced.copy();
  for (const auto& [member, original] : generators_) *member = original;
}

namespace {

std::vector<Input> inputs_of(const ModuleState& state, std::vector<Input> rest) {
  std::vector<Input> all;
  for (const auto& [name, p] : state.parameters())
    all.push_back({.name = name, .value = p.data().copy(), .differentiate = !p.frozen(), .free = false});
  for (Input& in : rest) all.push_back(std::move(in));
  return all;
}

}  // namespace

ModuleProblem::ModuleProblem(nn::Module& module, Function f, std::vector<Input> inputs, bool in_double)
    : state_(module, in_double), f_(f) {
  inputs_ = inputs_of(state_, std::move(inputs));
}

std::vector<Tensor> ModuleProblem::evaluate(std::span<const Tensor> in) const {
  for (std::size_t i = 0; i < parameters(); ++i)
    if (!in[i].tracked()) {
      Parameter p = state_.parameters()[i].second;
      p.assign(in[i]);
    }
  state_.rewind();
  return {f_(in.subspan(parameters()))};
}

Tensor ModuleProblem::leaf(Tape& tape, std::size_t i, const Tensor& value) const {
  if (i >= parameters()) return tape.watch(value);
  Parameter p = state_.parameters()[i].second;
  p.freeze(false);
  p.assign(value);
  return p.value();
}

Tensor ModuleProblem::constant(std::size_t i, const Tensor& value) const {
  if (i >= parameters()) return value;
  Parameter p = state_.parameters()[i].second;
  p.freeze();
  p.assign(value);
  return p.data();
}

}  // namespace tapegrad::gradcheck::detail

namespace tapegrad::gradcheck {

Report check_module(nn::Module& module, Function f, const std::vector<Tensor>& inputs, const Options& options) {
  detail::validate(options);
  detail::ModuleProblem problem(module, f, detail::given_inputs(inputs, options), options.in_double);
  if (problem.wanted().empty())
    throw DtypeError(
        "gradcheck: nothing to differentiate: the module has no parameters that are not frozen, and no input is "
        "floating");
  Report report;
  detail::check_problem(problem, options, report);
  return report;
}

Report check_module(nn::Module& module, const Tensor& x, const Options& options) {
  const auto run = [&](const Tensor& in) { return module(in); };
  return check_module(module, run, {x}, options);
}

}  // namespace tapegrad::gradcheck
