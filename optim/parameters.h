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

/// Parameters that are updated alike.
struct Group {
  ParameterList parameters;  ///< of a module, or a list
  /// The learning rate of this group is the optimizer's times this, so that a schedule moves all groups.
  double lr_scale = 1;
  /// Adds weight_decay * W to the gradient: the gradient of weight_decay / 2 * sum(W^2) in the loss. Where it
  /// is not given: what the rule has by default, 0 but for AdamW.
  std::optional<double> weight_decay{};
  /// The decay takes lr * weight_decay * W from W instead, before the rule's own update, which then sees the
  /// gradient alone. Rules that divide by the size of the gradient would divide the decay with it.
  /// Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019; the decay follows the learning
  /// rate, as in PyTorch.
  bool decoupled = false;
};

/// What an optimizer updates: a module, a list of parameters, or groups of either.
///
///     SGD(net, 0.1)      SGD({w, b}, 0.1)      SGD({{.parameters = net, .weight_decay = 1e-4}}, 0.1)
class TAPEGRAD_API ParameterGroups {
 public:
  /// Of these groups, or one group of these parameters.
  ParameterGroups(std::vector<Group> groups) : groups_(std::move(groups)) {}
  ParameterGroups(std::initializer_list<Group> groups) : groups_(groups) {}
  ParameterGroups(std::initializer_list<Parameter> parameters) : ParameterGroups(ParameterList(parameters)) {}
  // Moved, and not from an initializer list: there may be a million.
  /// One group of a list; of a module its groups(), which tell weight decays apart.
  template <class P>
  requires std::convertible_to<const P&, ParameterList> ParameterGroups(const P& parameters) {
    if constexpr (requires {
                    { parameters.groups() } -> std::same_as<ParameterGroups>;
                  })
      *this = parameters.groups();
    else
      groups_.push_back(Group{.parameters = parameters});
  }

  /// Number of groups, and the groups.
  std::size_t size() const noexcept { return groups_.size(); }
  auto begin() const noexcept { return groups_.begin(); }
  auto end() const noexcept { return groups_.end(); }

 private:
  std::vector<Group> groups_;
};

}  // namespace tapegrad::optim
