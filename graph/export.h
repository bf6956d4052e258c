#pragma once

/// TAPEGRAD_API marks what the shared library exports; everything else stays hidden. The static library has the
/// same objects; who links it (TAPEGRAD_STATIC) exports nothing of it.
#if defined(TAPEGRAD_STATIC) && !defined(TAPEGRAD_BUILDING)
#define TAPEGRAD_API
#else
#define TAPEGRAD_API __attribute__((visibility("default")))
#endif
