#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/optim/parameters.h>
#include <tapegrad/optim/state.h>

namespace tapegrad::optim {

/// Changes parameters by their gradients. The rules are in <tapegrad/optim/rules.h>; one of your own
/// overrides update().
class TAPEGRAD_API Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of all parameters that have a gradient, in place; those that have none, or are frozen, stay.
  /// Records nothing, under any tape. Throws Error where no parameter has a gradient, and where a module has used a
  /// parameter that no visit() lists and that no optimizer has, ShapeError or DtypeError where a gradient does not fit
  /// its parameter; nothing is changed then.
  void step(const Gradients& gradients);

  /// The learning rate. Throws ArgumentError for one that is negative or not finite.
  double lr() const noexcept { return lr_; }
  void set_lr(double lr);
  /// How many updates there were.
  std::int64_t steps() const noexcept { return steps_; }
  /// The name that make_optimizer knows it by.
  std::string_view name() const noexcept { return name_; }
  /// What it was made with beside the rate, by name, as text: the rule's settings, and of each group the scale of the
  /// rate and the decay, with the group's number as in "0.lr_scale" where there are several, and then its "parameters",
  /// as "2, 'fc1.weight' to 'fc2.weight'". A checkpoint holds them, so that a training that goes on can tell what is
  /// different.
  std::vector<std::pair<std::string, std::string>> settings() const;

  /// Copies of all that the next update depends on, beside parameters and settings: "step", "lr", and for
  /// each parameter its moments and how many updates it had, as in "fc1.weight.v" and "fc1.weight.step". Where
  /// parameters of two groups have one name, all names start with the number of the group as it was given, as in
  /// "0.fc1.weight.v".
  State state() const;
  /// Continues from there, bit for bit. Throws ArgumentError for names that are missing or unexpected,
  /// listing them, and for a step or rate that cannot be, ShapeError or DtypeError for a tensor that does not
  /// fit; nothing is changed then.
  void load_state(const State& state);

 protected:
  /// `moments` names what is kept for each parameter, of its shape, zero at first; at most kMaxMoments,
  /// none called "step". Throws ArgumentError for no parameters, an undefined one, one that is listed twice, two of one
  /// name, and for a rate, scale or decay that is negative or not finite.
  Optimizer(std::string_view name, const ParameterGroups& groups, double lr,
            std::vector<std::string_view> moments = {});
  static constexpr std::size_t kMaxMoments = 3;  ///< tensors stored for each parameter
  /// What an update of a parameter goes by.
  struct Rates {
    /// How many updates this parameter has had, with this one: those without a gradient of it, or while it was
    /// frozen, do not count.
    std::int64_t step = 1;
    double lr = 0;            ///< learning rate of its group
    double weight_decay = 0;  ///< the gradient is g + weight_decay * W
    double shrink = 0;        ///< W loses shrink * W before the update: decay that is decoupled
  };
  /// Checks a setting: throws ArgumentError, naming it, unless lo <= value < hi.
  double require(std::string_view setting, double value, double lo, double hi) const;
  /// The same for a momentum in [0, 1), also when it is rounded to the dtype of the parameters.
  double require_momentum(double momentum) const;
  /// The same for an eps, which is finite, and so large that the squares of gradients that matter beside it do not
  /// underflow in the dtype of the parameters: 8.7e-19 in f32, 1.2e-153 in f64. And for a dampening in [0, 1].
  double require_eps(double eps) const;
  double require_dampening(double dampening) const;

 private:
  /// Throws ArgumentError where this rate, or a decay, is so large that its multiples in the dtype of the parameters
  /// are infinite, and times 0 not a number.
  void require_rates(double lr) const;
  /// Throws Error for a gradient of a parameter that a module uses and does not list, and that no optimizer has.
  void require_listed(const Gradients& gradients) const;
  /// Whether this one, or any, updates a parameter.
  bool updates(std::uint64_t parameter) const;
  static bool is_updated(std::uint64_t parameter);
  /// How the parameters of a group are updated.
  struct Setting {
    double lr_scale;
    double weight_decay;
    bool decoupled;
  };
  struct Slot {
    std::string name;
    Parameter parameter;
    std::size_t group;
    std::int64_t step = 0;
  };

  std::span<Tensor> moment_values_of(std::size_t slot) {
    return std::span(moment_values_).subspan(slot * moments_.size(), moments_.size());
  }
  /// state(), not copied.
  State view() const;
  /// The rule's own settings, by name: for settings().
  virtual std::vector<std::pair<std::string_view, double>> rule_settings() const { return {}; }
  /// Updates one parameter by a gradient of its shape and dtype.
  virtual void update(Parameter& w, const Tensor& gradient, std::span<Tensor> moments,
                      const Rates& rates) = 0;

  std::string_view name_;
  std::vector<std::string_view> moments_;
  std::vector<Setting> settings_;  ///< of each group
  std::vector<Slot> slots_;
  std::vector<Tensor> moment_values_;  ///< the moments of the first parameter, then those of the next
  Dtype narrowest_ = f64;              ///< f32 where a parameter is
  double lr_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace tapegrad::optim
