#pragma once

#include <vector>

#include <tapegrad/gradcheck/catalog.h>

namespace tapegrad::gradcheck::detail {

/// The mutations of the library's ops that make no difference.
std::vector<EquivalentMutation> library_equivalents();

}  // namespace tapegrad::gradcheck::detail
