#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include <tapegrad/ops/loops/isa.h>

/// Functions that are compiled once for each instruction set, with all that they call (`flatten`). What they
/// call must not be declared always_inline, but for leaves: GCC 12 inlines such a function first, and then
/// stops at what that one calls.
namespace tapegrad::detail {

/// Kernel::run(arguments...), compiled for each instruction set.
template <class Kernel, class... A>
__attribute__((flatten)) void run_base(A... arguments) {
  Kernel::run(arguments...);
}
#if TAPEGRAD_X86
template <class Kernel, class... A>
TAPEGRAD_TARGET_AVX2 __attribute__((flatten)) void run_avx2(A... arguments) {
  Kernel::run(arguments...);
}
template <class Kernel, class... A>
TAPEGRAD_TARGET_AVX512 __attribute__((flatten)) void run_avx512(A... arguments) {
  Kernel::run(arguments...);
}
#endif

/// Throws Error: kernels are compiled for another set alone.
[[noreturn]] TAPEGRAD_API void throw_not_compiled(Isa asked, Isa only);
template <Isa asked, class... A>
void refuse(A...) {
  throw_not_compiled(asked, *kOnlyIsa);
}

template <Isa isa, class Kernel, class... A>
constexpr auto version_for() -> void (*)(A...) {
  if constexpr (!is_compiled(isa)) return &refuse<isa, A...>;
#if TAPEGRAD_X86
  else if constexpr (isa == Isa::avx512)
    return &run_avx512<Kernel, A...>;
  else if constexpr (isa == Isa::avx2)
    return &run_avx2<Kernel, A...>;
#endif
  else
    return &run_base<Kernel, A...>;
}

template <class... A>
using PerIsa = std::array<void (*)(A...), kIsas.size()>;

/// The versions of a kernel; dispatch() takes the one for the set in use.
template <class Kernel, class... A>
constexpr PerIsa<A...> per_isa() {
  return {version_for<Isa::base, Kernel, A...>(), version_for<Isa::avx2, Kernel, A...>(),
          version_for<Isa::avx512, Kernel, A...>()};
}

template <class... A>
auto dispatch(const PerIsa<A...>& versions) {
  return versions[static_cast<std::size_t>(isa())];
}

/// f(), as compiled for the instruction set in use, with all that it calls inlined: what is not inlined is
/// not compiled for the set. That holds for functions of several uses as well, which GCC would leave as they are
/// but for `flatten`.
template <class F>
void dispatch_isa(const F& f) {
  struct Kernel {
    static void run(const F* function) { (*function)(); }
  };
  static constexpr auto kVersions = per_isa<Kernel, const F*>();
  dispatch(kVersions)(&f);
}

/// The same where f works on numbers of type T: integers are seldom many, and not worth the code.
template <class T, class F>
void dispatch_isa_for(const F& f) {
  if constexpr (std::is_floating_point_v<T>)
    dispatch_isa(f);
  else
    f();
}

}  // namespace tapegrad::detail
