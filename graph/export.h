#pragma once

/// TAPEGRAD_API marks what the shared library exports; everything else stays hidden.
#if defined(TAPEGRAD_STATIC)
#define TAPEGRAD_API
#else
#define TAPEGRAD_API __attribute__((visibility("default")))
#endif
