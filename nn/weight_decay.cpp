#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/visited.h>
#include <tapegrad/nn/weight_decay.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// The parameters within a module, by the decay that the innermost module around each wants.
class Wanted final : Visitor {
 public:
  explicit Wanted(const ModuleBase& m) { module({}, const_cast<ModuleBase&>(m)); }

  optim::ParameterGroups groups() && {
    std::vector<optim::Group> groups;
    for (auto& [decay, parameters] : groups_)
      groups.push_back({.parameters = std::move(parameters), .weight_decay = decay});
    if (groups.empty()) groups.push_back({.parameters = optim::ParameterList(optim::ParameterList::Named())});
    return groups;
  }

 private:
  void module(std::string_view name, ModuleBase& m) override {
    if (!visited_.enter(m)) return;
    const std::size_t before = prefix_.size();
    if (!name.empty()) (prefix_ += name) += '.';
    around_.emplace_back(&m, prefix_.size());
    m.visit(*this);
    around_.pop_back();
    prefix_.resize(before);
  }
  void parameter(std::string_view name, Parameter& p) override {
    if (!p.defined() || !seen_.insert(p.id()).second) return;
    std::string path = prefix_;
    path += name;
    std::optional<double> decay;
    for (auto m = around_.rbegin(); m != around_.rend() && !decay; ++m)
      decay = m->first->weight_decay(std::string_view(path).substr(m->second));
    auto group = std::ranges::find(groups_, decay, [](const auto& g) { return g.first; });
    if (group == groups_.end()) group = groups_.insert(group, {decay, {}});
    group->second.emplace_back(std::move(path), p);
  }

  std::vector<std::pair<std::optional<double>, optim::ParameterList::Named>> groups_;
  std::vector<std::pair<const ModuleBase*, std::size_t>> around_;  ///< and the length of its path
  std::string prefix_;
  Visited visited_;
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace

std::optional<double> ModuleBase::weight_decay(std::string_view) const { return {}; }

optim::ParameterGroups ModuleBase::groups() const { return Wanted(*this).groups(); }

bool is_weight(std::string_view path) noexcept { return path == "weight" || path.ends_with(".weight"); }

optim::ParameterGroups weight_decay_groups(const ModuleBase& net, std::optional<double> weight_decay) {
  if (!weight_decay) return net;
  if (!(*weight_decay >= 0 && std::isfinite(*weight_decay)))
    throw ArgumentError(fmt::format("weight_decay is {}; it must be at least 0 and finite", *weight_decay));
  optim::ParameterList::Named weights, others;
  for (const auto& [path, parameter] : net.parameters())
    (is_weight(path) ? weights : others).emplace_back(path, parameter);
  return {{.parameters = weights, .weight_decay = weight_decay}, {.parameters = others, .weight_decay = 0}};
}

}  // namespace tapegrad::nn
