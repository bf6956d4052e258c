#pragma once

#include <string>

namespace tapegrad::test {

/// Path of a file or folder of the source tree, told from its root: in_source("tools/data/mnist").
std::string in_source(const std::string& path);

}  // namespace tapegrad::test
