#pragma once

#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>

namespace tapegrad {

/// Who computes matrix products, in matmul, affine and their derivatives.
enum class MatmulEngine : std::uint8_t {
  automatic,  ///< the faster one for each shape, by measured rules (ops/kernels/gemm/choice.cpp)
  openblas,   ///< OpenBLAS's kernels
  builtin,    ///< this library's own kernels
};

/// The engine of all products from here on, in the whole process; at first `automatic`. Each gives the same bits
/// for any number of threads, and the two give bits of their own: choose `builtin` where results must not depend
/// on whether, and in which version, OpenBLAS is installed.
///
/// OpenBLAS is loaded by the first product that takes it, as a copy of the library's own: it starts no thread, and
/// neither reads nor changes the settings of an OpenBLAS that the program itself calls. `openblas` loads it at
/// once; throws ArgumentError where that is not possible, with the reason and the cure.
TAPEGRAD_API void set_matmul_engine(MatmulEngine engine);
TAPEGRAD_API MatmulEngine matmul_engine() noexcept;

/// "automatic", "openblas" or "builtin".
TAPEGRAD_API const char* name_of(MatmulEngine engine) noexcept;

/// What is in use, for people: the setting, the kernels of each engine, and why OpenBLAS is not used where it is
/// not. Loads OpenBLAS to find out.
TAPEGRAD_API std::string matmul_engine_description();

}  // namespace tapegrad
