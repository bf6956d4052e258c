#include <cmath>
#include <cstddef>
#include <type_traits>

#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/numbers/normal_cdf.h>
#include <tapegrad/ops/numbers/vector_error_function.h>
#include <tapegrad/ops/numbers/vector_roots.h>
#include <tapegrad/ops/numbers/vector_trigonometry.h>

// Not vector_calls.h: of a function that is declared with `simd`, GCC would make the versions for vectors by itself,
// and without the instructions that each may use. Not by Clang either: whether it passes a vector of 32 or 64 bytes in
// a register is a matter of the whole file's flags, not of a function's target.

#if TAPEGRAD_X86 && !defined(__clang__)

namespace tapegrad::detail {

namespace {

/// The arguments that <cmath> takes with any set: none, or large angles and those that are no numbers.
struct Everywhere {
  template <class T>
  static TAPEGRAD_INLINE bool is_left(T) {
    return false;
  }
};
struct Angles {
  template <class T>
  static TAPEGRAD_INLINE bool is_left(T x) {
    return !(vm::absolute(x) < T(vm::kLargestAngle));
  }
};

/// A function: by <cmath>, and by the code for vectors.
#define TAPEGRAD_FUNCTION(name, by_cmath, Domain) \
  struct name##_function : Domain {               \
    template <class T>                            \
    static T cmath(T x) {                         \
      return by_cmath(x);                         \
    }                                             \
    template <class T>                            \
    static TAPEGRAD_INLINE T vector(T x) {        \
      return vm::name(x);                         \
    }                                             \
  };
TAPEGRAD_FUNCTION(sqrt, std::sqrt, Everywhere)
TAPEGRAD_FUNCTION(cbrt, std::cbrt, Everywhere)
TAPEGRAD_FUNCTION(sin, std::sin, Angles)
TAPEGRAD_FUNCTION(cos, std::cos, Angles)
TAPEGRAD_FUNCTION(tan, std::tan, Angles)
TAPEGRAD_FUNCTION(asin, std::asin, Everywhere)
TAPEGRAD_FUNCTION(acos, std::acos, Everywhere)
TAPEGRAD_FUNCTION(atan, std::atan, Everywhere)
TAPEGRAD_FUNCTION(sinh, std::sinh, Everywhere)
TAPEGRAD_FUNCTION(cosh, std::cosh, Everywhere)
TAPEGRAD_FUNCTION(erf, std::erf, Everywhere)
TAPEGRAD_FUNCTION(erfc, std::erfc, Everywhere)
TAPEGRAD_FUNCTION(log10, std::log10, Everywhere)
TAPEGRAD_FUNCTION(normal_cdf, cmath_normal_cdf, Everywhere)
#undef TAPEGRAD_FUNCTION

/// Whether <cmath> computes: so it does with the loops for `base`, if they are the ones in use or all there are.
inline bool by_cmath() { return kOnlyIsa == Isa::base || isa() == Isa::base; }

template <class F, class T>
TAPEGRAD_TARGET_AVX2 __attribute__((flatten)) T one_of_vector(T x) {
  return F::vector(x);
}

template <class F, class T>
T one(T x) {
  return by_cmath() || F::is_left(x) ? F::cmath(x) : one_of_vector<F>(x);
}

// ---- whole vectors ----

/// One after another, in registers.
template <class F, class V>
TAPEGRAD_INLINE void each_one(V& y, const V& x) {
  constexpr std::size_t kCount = sizeof(V) / sizeof(x[0]);
  if (by_cmath())
    for (std::size_t i = 0; i < kCount; ++i) y[i] = F::cmath(x[i]);
  else
    for (std::size_t i = 0; i < kCount; ++i) y[i] = one<F>(x[i]);
}

/// Before a loop that is to be one over vectors: of few rounds GCC would write out each.
#define TAPEGRAD_IN_VECTORS _Pragma("GCC ivdep") _Pragma("GCC unroll 1")

/// The same by the instructions that what calls this is compiled for. A vector goes to memory and comes from it in one
/// piece, which a copy of bytes would not: the processor waits where what it reads was written in several.
template <class F, class V>
TAPEGRAD_INLINE void each(V& y, const V& x) {
  using T = std::remove_cvref_t<decltype(x[0])>;
  constexpr std::size_t kCount = sizeof(V) / sizeof(T);
  alignas(sizeof(V)) T in[kCount], out[kCount];  // alignas(V) of a template's argument is 16 (GCC 12)
  *reinterpret_cast<V*>(in) = x;
  vm::Bits<T> left = 0;
  TAPEGRAD_IN_VECTORS
  for (std::size_t i = 0; i < kCount; ++i) left |= static_cast<vm::Bits<T>>(F::is_left(in[i]));
  if (by_cmath() || left != 0) return each_one<F>(y, x);
  TAPEGRAD_IN_VECTORS
  for (std::size_t i = 0; i < kCount; ++i) out[i] = F::vector(in[i]);
  y = *reinterpret_cast<const V*>(out);
}

using Float4 = float __attribute__((vector_size(16), may_alias));
using Float8 = float __attribute__((vector_size(32), may_alias));
using Float16 = float __attribute__((vector_size(64), may_alias));
using Double2 = double __attribute__((vector_size(16), may_alias));
using Double4 = double __attribute__((vector_size(32), may_alias));
using Double8 = double __attribute__((vector_size(64), may_alias));

#define TAPEGRAD_TARGET_BASE
#define TAPEGRAD_TARGET_AVX __attribute__((target("avx")))

/// A version by the names of the x86 ABI of vector functions: the letter of the set, the lanes, a v for the vector,
/// and the name of the function for one number.
#define TAPEGRAD_VERSION(TARGET, prefix, length, name, letter, V, through)            \
  TARGET TAPEGRAD_API V name##_##prefix(V x) noexcept __asm__(                        \
      "_ZGV" #prefix "v__ZN8tapegrad6detail11vector_call" #length #name "E" #letter); \
  TARGET V name##_##prefix(V x) noexcept {                                            \
    V y;                                                                              \
    through<name##_function>(y, x);                                                   \
    return y;                                                                         \
  }

#define TAPEGRAD_FLOAT_VERSIONS(VERSION, length, name)                  \
  VERSION(TAPEGRAD_TARGET_BASE, bN4, length, name, f, Float4, each_one) \
  VERSION(TAPEGRAD_TARGET_AVX, cN8, length, name, f, Float8, each_one)  \
  VERSION(TAPEGRAD_TARGET_AVX2, dN8, length, name, f, Float8, each)     \
  VERSION(TAPEGRAD_TARGET_AVX512, eN16, length, name, f, Float16, each)
#define TAPEGRAD_DOUBLE_VERSIONS(VERSION, length, name)                  \
  VERSION(TAPEGRAD_TARGET_BASE, bN2, length, name, d, Double2, each_one) \
  VERSION(TAPEGRAD_TARGET_AVX, cN4, length, name, d, Double4, each_one)  \
  VERSION(TAPEGRAD_TARGET_AVX2, dN4, length, name, d, Double4, each)     \
  VERSION(TAPEGRAD_TARGET_AVX512, eN8, length, name, d, Double8, each)

}  // namespace

namespace vector_call {

#define TAPEGRAD_ROW(length, name)                                   \
  TAPEGRAD_API double name(double x) noexcept;                       \
  double name(double x) noexcept { return one<name##_function>(x); } \
  TAPEGRAD_API float name(float x) noexcept;                         \
  float name(float x) noexcept { return one<name##_function>(x); }   \
  TAPEGRAD_FLOAT_VERSIONS(TAPEGRAD_VERSION, length, name)            \
  TAPEGRAD_DOUBLE_VERSIONS(TAPEGRAD_VERSION, length, name)
TAPEGRAD_ROW(4, sqrt)
TAPEGRAD_ROW(4, cbrt)
TAPEGRAD_ROW(3, sin)
TAPEGRAD_ROW(3, cos)
TAPEGRAD_ROW(3, tan)
TAPEGRAD_ROW(4, asin)
TAPEGRAD_ROW(4, acos)
TAPEGRAD_ROW(4, atan)
TAPEGRAD_ROW(4, sinh)
TAPEGRAD_ROW(4, cosh)
TAPEGRAD_ROW(3, erf)
TAPEGRAD_ROW(4, erfc)
TAPEGRAD_ROW(5, log10)
TAPEGRAD_ROW(10, normal_cdf)
#undef TAPEGRAD_ROW

}  // namespace vector_call

}  // namespace tapegrad::detail

#endif
