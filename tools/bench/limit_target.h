#pragma once

#include <tapegrad/ops/loops/isa.h>

#if TAPEGRAD_X86
// KERNEL defines a function as its body, of this name in the namespace body, compiled for each instruction set.
#define KERNEL(Result, name, parameters, arguments)                                              \
  TAPEGRAD_TARGET_AVX2 static Result name##_avx2 parameters { return body::name arguments; }     \
  TAPEGRAD_TARGET_AVX512 static Result name##_avx512 parameters { return body::name arguments; } \
  Result name parameters {                                                                       \
    switch (detail::isa()) {                                                                     \
      case detail::Isa::avx512:                                                                  \
        return name##_avx512 arguments;                                                          \
      case detail::Isa::avx2:                                                                    \
        return name##_avx2 arguments;                                                            \
      case detail::Isa::base:                                                                    \
        break;                                                                                   \
    }                                                                                            \
    return body::name arguments;                                                                 \
  }
#else
#define KERNEL(Result, name, parameters, arguments) \
  Result name parameters { return body::name arguments; }
#endif
#define BODY static inline __attribute__((always_inline))
#define RESTRICT __restrict__
