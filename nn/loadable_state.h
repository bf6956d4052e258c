#pragma once

#include <utility>
#include <variant>
#include <vector>

#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/module.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

/// A state that fits a module and is ready to be loaded into it, for whoever loads into several objects wholly or not
/// at all. The module must outlive it and stay where it is.
class LoadableState {
 public:
  /// Throws as ModuleBase::load_state does; nothing is changed.
  LoadableState(ModuleBase& module, const State& state, LoadOptions options = {});
  /// Takes no memory.
  void load() noexcept;
  /// What will stay as it is, or is left out.
  LoadResult take_result() noexcept { return std::move(result_); }

 private:
  std::vector<std::variant<Parameter*, Buffer*, Generator*>> members_;
  std::vector<Tensor> values_;
  LoadResult result_;
};

}  // namespace tapegrad::nn
