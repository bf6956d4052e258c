#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>

namespace tapegrad::optim {

/// Parameters and their names, from whatever holds them.
class TAPEGRAD_API ParameterList {
 public:
  using Named = std::vector<std::pair<std::string, Parameter>>;  ///< names and parameters

  /// Of these names.
  ParameterList(Named named) : named_(std::move(named)) {}
  /// Called "0", "1", ... by their position.
  ParameterList(const std::vector<Parameter>& parameters);
  ParameterList(std::initializer_list<Parameter> parameters)
      : ParameterList(std::vector<Parameter>(parameters)) {}
  /// Those of a module.
  template <class M>
  requires requires(const M& m) {
    { m.parameters() } -> std::convertible_to<Named>;
  }
  ParameterList(const M& module) : ParameterList(Named(module.parameters())) {
    if constexpr (requires { module.weight_decays(); }) weight_decays_ = module.weight_decays();
  }

  /// Pairs of a name and a parameter.
  auto begin() const noexcept { return named_.begin(); }
  auto end() const noexcept { return named_.end(); }
  /// The weight decay that a module sets for each of its parameters, in their order; of a list nothing.
  const std::vector<std::optional<double>>& weight_decays() const noexcept { return weight_decays_; }

 private:
  Named named_;
  std::vector<std::optional<double>> weight_decays_{};
};

/// Parameters that are updated alike.
struct Group {
  ParameterList parameters;  ///< of a module, or a list
  /// The learning rate of this group is the optimizer's times this, so that a schedule moves all groups.
  double lr_scale = 1;
  /// Adds weight_decay * W to the gradient: the gradient of weight_decay / 2 * sum(W^2) in the loss. Where it
  /// is not given: what a module sets, or else what the rule has by default, 0 but for AdamW.
  std::optional<double> weight_decay{};
  /// The decay takes lr * weight_decay * W from W instead, before the rule's own update, which then sees the
  /// gradient alone. Rules that divide by the size of the gradient would divide the decay with it.
  /// Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019; the decay follows the learning
  /// rate, as in PyTorch.
  bool decoupled = false;
};

/// What an optimizer updates: a module, a list of parameters, or groups of either. A group of a module that sets weight
/// decays, where the group gives none, becomes a group for each.
///
///     SGD(net, 0.1)      SGD({w, b}, 0.1)      SGD({{.parameters = net, .weight_decay = 1e-4}}, 0.1)
class TAPEGRAD_API ParameterGroups {
 public:
  /// Of these groups, or one group of these parameters.
  ParameterGroups(std::vector<Group> groups) {
    for (Group& group : groups) add(std::move(group));
  }
  ParameterGroups(std::initializer_list<Group> groups) : ParameterGroups(std::vector<Group>(groups)) {}
  ParameterGroups(std::initializer_list<Parameter> parameters) : ParameterGroups(ParameterList(parameters)) {}
  // Moved, and not from an initializer list: there may be a million.
  /// Of a list, or of a module.
  template <class P>
  requires std::convertible_to<const P&, ParameterList> ParameterGroups(const P& parameters) {
    add(Group{.parameters = parameters});
  }

  /// Number of groups, and the groups.
  std::size_t size() const noexcept { return groups_.size(); }
  auto begin() const noexcept { return groups_.begin(); }
  auto end() const noexcept { return groups_.end(); }

 private:
  void add(Group group);
  std::vector<Group> groups_;
};

}  // namespace tapegrad::optim
