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
  ParameterList(const M& module) : ParameterList(Named(module.parameters())) {}

  /// Pairs of a name and a parameter.
  auto begin() const noexcept { return named_.begin(); }
  auto end() const noexcept { return named_.end(); }

 private:
  Named named_;
};

/// Parameters, and the weight decays that the module sets which they are of.
class GroupParameters : public ParameterList {
 public:
  using Decays = std::vector<std::optional<double>>;  ///< of each parameter, in their order

  using ParameterList::ParameterList;
  /// Of a list, for which none is set.
  GroupParameters(ParameterList list) : ParameterList(std::move(list)) {}
  /// Those of a module.
  template <class M>
  requires requires(const M& m) {
    { m.parameters() } -> std::convertible_to<Named>;
    { m.weight_decays() } -> std::convertible_to<Decays>;
  }
  GroupParameters(const M& module) : ParameterList(module), weight_decays_(module.weight_decays()) {}

  /// The weight decay that a module sets for each; empty where none is asked.
  const Decays& weight_decays() const noexcept { return weight_decays_; }

 private:
  Decays weight_decays_{};
};

/// Parameters that are updated alike.
struct Group {
  GroupParameters parameters;  ///< of a module, or a list
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
  /// The number, from 0, of the group that this one was given in: several that are made of one have the same.
  std::size_t given_as(std::size_t group) const { return given_as_.at(group); }
  auto begin() const noexcept { return groups_.begin(); }
  auto end() const noexcept { return groups_.end(); }

 private:
  void add(Group group);
  std::vector<Group> groups_;
  std::vector<std::size_t> given_as_;
};

}  // namespace tapegrad::optim
