#include <algorithm>

#include <tapegrad/ops/loops/isa.h>

namespace tapegrad::detail {

constinit Isa current_isa = Isa::base;

Isa best_isa() noexcept {
#if TAPEGRAD_X86
  // The runtime's own test, which asks the operating system as well whether it saves the wide registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
    return Isa::base;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::avx512 : Isa::avx2;
#else
  return Isa::base;
#endif
}

Isa set_isa(Isa requested) noexcept {
  const Isa before = current_isa;
  current_isa = std::min(requested, best_isa());
  return before;
}

const char* name_of(Isa isa) noexcept {
  switch (isa) {
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::base:
      break;
  }
  return "base";
}

namespace {
[[maybe_unused]] const Isa chosen_at_start = set_isa(Isa::avx512);
}

}  // namespace tapegrad::detail
