#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/state.h>

/// Weights under the names and in the layouts of another library.
namespace tapegrad::nn {

/// How a value lies in another library: two functions, each of which undoes the other.
struct ForeignLayout {
  Tensor (*from_foreign)(const Tensor&);  ///< to the layout here
  Tensor (*to_foreign)(const Tensor&);    ///< to the layout there
};
/// As here.
TAPEGRAD_API extern const ForeignLayout kSameLayout;
/// A matrix with its axes exchanged, as [out, in] for [in, out].
TAPEGRAD_API extern const ForeignLayout kTransposedLayout;

/// One value of one kind of layer.
struct ForeignRow {
  std::string layer;    ///< the class of the layer, as "tapegrad::nn::Affine"
  std::string own;      ///< its name in the layer; empty: the layer has no such value
  std::string foreign;  ///< its name in the other library's layer; empty: that has no such value
  ForeignLayout layout = kSameLayout;  ///< how it lies there
  /// What is exported of a value that the layer does not have. Undefined: nothing.
  Tensor exported{};
};

/// What another library calls and how it lays out the values of a module.
struct ForeignRules {
  /// What no row is about has the same name and layout in both, such as the parameters of a module of one's own.
  std::vector<ForeignRow> rows;
  /// Here and there: paths of modules, or of values, that are called otherwise, as {"affine1", "layers.0"}. The
  /// longest one that fits replaces the start of a path; an empty one fits all, as {"", "backbone"}.
  std::vector<std::pair<std::string, std::string>> renamed{};
  /// Stands before all foreign names, as "model." in checkpoints and "module." of DataParallel. Of a state that is
  /// loaded, names that do not start so belong to something else and are not looked at.
  std::string prefix{};
};

/// The rules of PyTorch: Affine is its Linear, whose weight is [out, in]; BatchNorm's gamma and beta are weight and
/// bias, and there is a num_batches_tracked, which is read and ignored, and written as 0. Prelu's slope is a weight.
/// Conv1d, Conv2d and ConvTranspose2d are the same in both. Positions in a Sequential are, too, where both have the
/// same layers. Standardize has no counterpart: a network that starts with one asks for its statistics, unless rows
/// say that they are of this library alone, as {"tapegrad::nn::Standardize", "mean", ""}.
///
///     nn::ForeignRules rules = nn::pytorch_rules();
///     rules.prefix = "model.";
///     rules.rows.push_back({"MyLinear", "w", "weight", nn::kTransposedLayout});
TAPEGRAD_API ForeignRules pytorch_rules();

/// Copies a state of another library into a module: parameters and buffers. Generators stay as they are. What is of f32
/// and is f64 here is converted, which loses nothing; the result lists it, in the order of the module, under the names
/// there. What a file holds in a type that tensors do not have, SavedState::converted lists. A parameter that several
/// layers share may be given under any or all of its names, all of them equal.
///
///     const nn::SavedState saved = nn::load_state_file("net.pt");
///     for (const nn::ConvertedTensor& c : saved.converted)
///       fmt::print("{}\n", to_string(c));  // "'fc.bias' from f16 to f32"
///     nn::load_foreign(net, saved.tensors);
///
/// Throws ArgumentError, with the module unchanged, listing at once all names that are missing and unexpected, all
/// tensors of other shapes or dtypes than the module's, with both, and shared ones that differ; and for rules that
/// give two values one name.
TAPEGRAD_API std::vector<ConvertedTensor> load_foreign(ModuleBase& module, const State& state,
                                                       const ForeignRules& rules = pytorch_rules());

/// The other way: copies of a module's parameters and buffers under the names and in the layouts of another library, by
/// default PyTorch, where the model's load_state_dict takes them:
///
///     nn::save_state("net.pt", nn::export_pytorch(net));
///
/// A shared parameter is given under each of its names, as by PyTorch. BatchNorm's statistics are f64, as here; PyTorch
/// converts them. Generators are left out. Throws ArgumentError for rules that give two values one name.
TAPEGRAD_API State export_foreign(const ModuleBase& module, const ForeignRules& rules);
TAPEGRAD_API State export_pytorch(const ModuleBase& module);

}  // namespace tapegrad::nn
