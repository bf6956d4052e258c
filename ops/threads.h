#pragma once

#include <tapegrad/graph/export.h>

namespace tapegrad {

/// The most that set_threads takes.
inline constexpr int kMostThreads = 256;
/// How many threads one operation may use, the calling one included. Results do not depend on it, bit for
/// bit. The threads are started by the first operation large enough to share and sleep while there is nothing
/// to do. Applies to the whole process. Throws ArgumentError outside 1 ... kMostThreads.
TAPEGRAD_API void set_threads(int count);
/// The present setting; at first the number of processors that this process may run on, kMostThreads at most.
TAPEGRAD_API int threads() noexcept;

}  // namespace tapegrad
