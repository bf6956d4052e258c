#pragma once

#include <nlohmann/json.hpp>

namespace tapegrad::gradcheck::detail {

/// A document whose fields stay in the order in which they are set.
using Json = nlohmann::ordered_json;

}  // namespace tapegrad::gradcheck::detail
