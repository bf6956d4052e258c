#pragma once

#include <string>
#include <vector>

namespace tapegrad::bench {

/// Gives every contender the best BLAS and allocator settings there are, which are environment variables read
/// when a program starts: where one is missing, sets it and starts this program again with its arguments.
/// Variables that the user has set stay as they are.
void restart_with_best_environment(int threads);

/// What is set now, for the head of the output: "OPENBLAS_CORETYPE=SkylakeX" and the like, then the processor
/// and the names of the instruction sets in use.
std::vector<std::string> environment_lines();

}  // namespace tapegrad::bench
