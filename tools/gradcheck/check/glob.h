#pragma once

#include <string>

#include <fnmatch.h>

namespace tapegrad::gradcheck::detail {

/// Whether the shell glob is for this name.
inline bool matches(const std::string& name, const std::string& pattern) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

}  // namespace tapegrad::gradcheck::detail
