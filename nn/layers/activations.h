#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/module.h>

namespace tapegrad::nn {

/// The names that make_activation knows: "relu", "leaky-relu", "elu", "gelu", "silu", "softplus", "sigmoid",
/// "tanh", "identity".
TAPEGRAD_API std::vector<std::string> activation_names();

/// The activation of this name as a module, with its usual number where it has one. Throws ArgumentError for
/// another name, listing those there are.
TAPEGRAD_API std::unique_ptr<Module> make_activation(std::string_view name);

/// The initialiser made for layers before this activation: Init::he() for those that pass half of their
/// inputs
/// ("relu" to "softplus"), Init::xavier() for the others. Throws as make_activation.
TAPEGRAD_API Init init_for(std::string_view activation);

}  // namespace tapegrad::nn
