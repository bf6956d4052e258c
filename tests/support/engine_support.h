#pragma once

#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/matmul_engine.h>

namespace tapegrad::test {

/// While it lives, products are computed by one engine.
struct UseEngine {
  MatmulEngine before = matmul_engine();
  explicit UseEngine(MatmulEngine engine) { set_matmul_engine(engine); }
  ~UseEngine() { set_matmul_engine(before); }
};

inline bool openblas_is_there() {
  try {
    const UseEngine use(MatmulEngine::openblas);
    return true;
  } catch (const ArgumentError&) {
    return false;
  }
}

/// Those that this machine has.
inline std::vector<MatmulEngine> engines() {
  std::vector<MatmulEngine> all{MatmulEngine::builtin};
  if (openblas_is_there()) all.push_back(MatmulEngine::openblas);
  return all;
}

}  // namespace tapegrad::test
