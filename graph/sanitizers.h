#pragma once

#include <tapegrad/graph/export.h>

/// Which sanitizer this is compiled with, 1 or 0: GCC and Clang say it in different ways.
#if defined(__SANITIZE_ADDRESS__)
#define TAPEGRAD_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TAPEGRAD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TAPEGRAD_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TAPEGRAD_TSAN 1
#endif
#endif
#ifndef TAPEGRAD_ASAN
#define TAPEGRAD_ASAN 0
#endif
#ifndef TAPEGRAD_TSAN
#define TAPEGRAD_TSAN 0
#endif
