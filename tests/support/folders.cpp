#include "folders.h"

namespace tapegrad::test {

// This is the only file that knows where the tree stands, so that a compiler cache serves the others to every clone.
std::string in_source(const std::string& path) { return TAPEGRAD_SOURCE_DIR "/" + path; }

}  // namespace tapegrad::test
