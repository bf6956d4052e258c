#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/elementwise/activation.h>

/// The activations of <tapegrad/ops/elementwise/rows.h> as modules, a class each: nn::Relu, nn::Gelu, nn::Mish, ...
/// Those with a number take it, as in nn::LeakyRelu(0.2) and nn::Elu(0.5), and throw ArgumentError for one that the
/// function does not take. nn::Prelu holds the slope that it learns.
namespace tapegrad::nn {

/// An elementwise function without further arguments as a module.
template <Tensor (*f)(const Tensor&)>
class Activation final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return f(x); }
  std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Activation>(); }
};

/// One with a number.
template <Tensor (*f)(const Tensor&, double)>
class NumberActivation : public Module {
 public:
  /// With this number. Throws ArgumentError for one that the function does not take.
  explicit NumberActivation(double number) : number_(number) { tapegrad::detail::require_number<f>(number); }
  Tensor forward(const Tensor& x) override { return f(x, number_); }

 protected:
  double number_;  ///< as given
};

/// A parameter of `size` times `initial`, for the layer of this name. Throws as LearntActivation.
TAPEGRAD_API Parameter learnt_parameter(const char* name, std::int64_t size, double initial, Dtype dtype);

/// One with a parameter: of one element for all of the input, or of the size of its last axis.
template <Tensor (*f)(const Tensor&, const Tensor&)>
class LearntActivation : public Module {
 public:
  /// `size` times `initial`. Throws ArgumentError for a size below 1, DtypeError for i64.
  LearntActivation(const char* name, std::int64_t size, double initial, Dtype dtype)
      : parameter_(learnt_parameter(name, size, initial, dtype)) {}
  Tensor forward(const Tensor& x) override { return f(x, parameter_); }

 protected:
  Parameter parameter_;  ///< what is learnt
};

#define TAPEGRAD_ROW(function, Op, ...) \
  using Op = Activation<function>;      \
  extern template class TAPEGRAD_API Activation<function>;
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
TAPEGRAD_ROW(identity, Identity)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard)                          \
  class TAPEGRAD_API Op final : public NumberActivation<function> {                                 \
   public:                                                                                          \
    explicit Op(double attribute = standard) : NumberActivation(attribute) {}                       \
    double attribute() const noexcept { return number_; }                                           \
    std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Op>(number_); } \
  };
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, parameter, initial)                                   \
  class TAPEGRAD_API Op final : public LearntActivation<function> {                                         \
   public:                                                                                                  \
    explicit Op(std::int64_t size = 1, Dtype dtype = f32) : LearntActivation(name, size, initial, dtype) {} \
    Parameter& parameter() noexcept { return parameter_; }                                                  \
    void visit(Visitor& v) override { v(#parameter, parameter_); }                                          \
    std::unique_ptr<ModuleBase> new_like() const override {                                                 \
      return std::make_unique<Op>(parameter_.size(), parameter_.dtype());                                   \
    }                                                                                                       \
  };
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

/// The names that make_activation knows: those of the rows, as in "relu" and "leaky-relu", and "identity".
TAPEGRAD_API std::vector<std::string> activation_names();

/// The activation of this name as a module, with its usual number where it has one. Throws ArgumentError for
/// another name, listing those there are.
TAPEGRAD_API std::unique_ptr<Module> make_activation(std::string_view name);

/// The initialiser made for layers before this activation: Init::he() for those that pass half of their
/// inputs, Init::xavier() for the others. Throws as make_activation.
TAPEGRAD_API Init init_for(std::string_view activation);

}  // namespace tapegrad::nn
