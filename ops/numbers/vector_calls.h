#pragma once

#include <cmath>

#include <tapegrad/graph/export.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/numbers/normal_cdf.h>

/// Functions of <cmath> that loops over elements call for whole vectors, within 2 ulp in double and 4 in float.
///
/// They are compiled in the library, once for each instruction set, so that neither a user's compiler flags nor errno
/// matter, and a formula takes no longer to compile. GCC knows by the attribute `simd` that a function has versions
/// for vectors, under the names that the x86 ABI of vector functions gives them, and a loop that is compiled for AVX2
/// or AVX-512 calls the one of its width. An element by itself is computed by the same code: its bits do not depend
/// on its neighbours.
///
/// <cmath> computes where it is as fast or the better one: with the set `base`; of the angles from 2^19 on; pow, exp2,
/// log2, hypot, atan2 and fmod throughout, which are not here; and in files that Clang compiles, which has no such
/// attribute, and with a library that it compiled: it passes long vectors otherwise (TAPEGRAD_WITHOUT_VECTOR_CALLS).

/// 1 where loops call them.
#if TAPEGRAD_X86 && !defined(__clang__) && !defined(TAPEGRAD_WITHOUT_VECTOR_CALLS)
#define TAPEGRAD_CALLS_FOR_VECTORS 1
#else
#define TAPEGRAD_CALLS_FOR_VECTORS 0
#endif

namespace tapegrad::detail {

/// row(name) for each function of one number, in float and double; sqrt, and normal_cdf of
/// <tapegrad/ops/numbers/normal_cdf.h>, are two more.
#define TAPEGRAD_VECTOR_CALLS(row)                                                                          \
  row(cbrt) row(sin) row(cos) row(tan) row(asin) row(acos) row(atan) row(sinh) row(cosh) row(erf) row(erfc) \
      row(log10)

namespace vector_call {

#if TAPEGRAD_CALLS_FOR_VECTORS
#define TAPEGRAD_ROW(name)                                                            \
  [[gnu::simd("notinbranch"), gnu::const]] TAPEGRAD_API double name(double) noexcept; \
  [[gnu::simd("notinbranch"), gnu::const]] TAPEGRAD_API float name(float) noexcept;
TAPEGRAD_VECTOR_CALLS(TAPEGRAD_ROW)
TAPEGRAD_ROW(normal_cdf)
#if defined(__NO_MATH_ERRNO__) && !defined(__RECIPROCAL_MATH__)
using std::sqrt;  // an instruction, as in the library
#else
TAPEGRAD_ROW(sqrt)
#endif
#else
#define TAPEGRAD_ROW(name) using std::name;
TAPEGRAD_VECTOR_CALLS(TAPEGRAD_ROW)
using std::sqrt;
template <class T>
T normal_cdf(T x) {
  return cmath_normal_cdf(x);
}
#endif
#undef TAPEGRAD_ROW

}  // namespace vector_call

}  // namespace tapegrad::detail
