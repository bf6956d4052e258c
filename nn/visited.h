#pragma once

#include <algorithm>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/storage.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

class ModuleBase;

/// The modules that a walk has come by, so that one which is reached twice, or lies within itself, is entered once.
class Visited {
 public:
  /// False for one that was entered before.
  bool enter(const ModuleBase& module) {
    if (std::ranges::find(modules_, &module) != modules_.end()) return false;
    modules_.push_back(&module);
    return true;
  }

 private:
  std::vector<const ModuleBase*, tapegrad::detail::PoolAllocator<const ModuleBase*>> modules_;
};

}  // namespace tapegrad::nn
