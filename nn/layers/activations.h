#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/elementwise/activation.h>

namespace tapegrad::nn {

/// An elementwise function without further arguments as a module.
template <Tensor (*f)(const Tensor&)>
class Activation final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return f(x); }
  std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Activation>(); }
};

/// The activations of <tapegrad/ops/elementwise/activation.h> as modules.
using Relu = Activation<relu>;
using Sigmoid = Activation<sigmoid>;
using Tanh = Activation<tanh>;
using Softplus = Activation<softplus>;
using Gelu = Activation<gelu>;
using Silu = Activation<silu>;
using Identity = Activation<identity>;

extern template class TAPEGRAD_API Activation<relu>;
extern template class TAPEGRAD_API Activation<sigmoid>;
extern template class TAPEGRAD_API Activation<tanh>;
extern template class TAPEGRAD_API Activation<softplus>;
extern template class TAPEGRAD_API Activation<gelu>;
extern template class TAPEGRAD_API Activation<silu>;
extern template class TAPEGRAD_API Activation<identity>;

/// leaky_relu(x, slope).
class TAPEGRAD_API LeakyRelu final : public Module {
 public:
  explicit LeakyRelu(double slope = 0.01) : slope_(slope) {}
  double slope() const noexcept { return slope_; }

  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  double slope_;
};

/// elu(x, alpha).
class TAPEGRAD_API Elu final : public Module {
 public:
  explicit Elu(double alpha = 1) : alpha_(alpha) {}
  double alpha() const noexcept { return alpha_; }

  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  double alpha_;
};

/// The names that make_activation knows: "relu", "leaky-relu", "elu", "gelu", "silu", "softplus", "sigmoid",
/// "tanh", "identity".
TAPEGRAD_API std::vector<std::string> activation_names();

/// The activation of this name as a module, with its usual number where it has one. Throws ArgumentError for
/// another name, listing those there are.
TAPEGRAD_API std::unique_ptr<Module> make_activation(std::string_view name);

/// The initialiser made for layers before this activation: Init::he() for those that pass half of their
/// inputs ("relu" to "softplus"), Init::xavier() for the others. Throws as make_activation.
TAPEGRAD_API Init init_for(std::string_view activation);

}  // namespace tapegrad::nn
