#pragma once

// Every header of the library includes this one before all that needs C++20. A compiler goes on after #error, with
// hundreds of errors; after a missing file it does not.
#if __cplusplus < 202002L
#include "tapegrad needs C++20: compile with -std=c++20"
#endif

/// TAPEGRAD_API marks what the shared library exports; everything else stays hidden. The static library has the
/// same objects; who links it (TAPEGRAD_STATIC) exports nothing of it.
#if defined(TAPEGRAD_STATIC) && !defined(TAPEGRAD_BUILDING)
#define TAPEGRAD_API
#else
#define TAPEGRAD_API __attribute__((visibility("default")))
#endif
