#include <atomic>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/kernels/gemm/choice.h>
#include <tapegrad/ops/kernels/gemm/openblas_library.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/matmul_engine.h>

#include <fmt/format.h>

namespace tapegrad {

void set_matmul_engine(MatmulEngine engine) {
  if (engine == MatmulEngine::openblas && !detail::openblas())
    throw ArgumentError(
        fmt::format("set_matmul_engine(openblas): OpenBLAS cannot be used: {}; or choose "
                    "automatic or builtin, which need nothing",
                    detail::openblas_absence()));
  detail::current_engine.store(engine, std::memory_order_relaxed);
}

MatmulEngine matmul_engine() noexcept { return detail::current_engine.load(std::memory_order_relaxed); }

const char* name_of(MatmulEngine engine) noexcept {
  switch (engine) {
    case MatmulEngine::openblas:
      return "openblas";
    case MatmulEngine::builtin:
      return "builtin";
    default:
      return "automatic";
  }
}

std::string matmul_engine_description() {
  const char* const ours = detail::name_of(detail::isa());
  const MatmulEngine engine = matmul_engine();
  const detail::OpenBlas* const library = detail::openblas();
  if (!library)
    return fmt::format("{}: the builtin kernels ({}); no OpenBLAS: {}", name_of(engine), ours,
                       detail::openblas_absence());
  const std::string theirs = fmt::format("{} ({})", library->version, library->core);
  if (engine == MatmulEngine::openblas) return fmt::format("openblas: {}", theirs);
  if (engine == MatmulEngine::builtin)
    return fmt::format("builtin: the builtin kernels ({}); {} is there", ours, theirs);
  if (detail::openblas_fits_processor(*library))
    return fmt::format("automatic: {} or the builtin kernels ({}), as the shape asks", theirs, ours);
  return fmt::format(
      "automatic: the builtin kernels ({}); {} is not used, its kernels are for another processor{}", ours,
      theirs, library->user_core ? " because OPENBLAS_CORETYPE is set" : "");
}

}  // namespace tapegrad
