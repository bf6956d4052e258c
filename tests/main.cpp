#define BOOST_TEST_MODULE tapegrad
#include <cstdlib>
#include <string_view>

#include <tapegrad/ops/matmul_engine.h>

#include <boost/test/unit_test.hpp>

namespace {

/// TAPEGRAD_TEST_MATMUL_ENGINE=openblas, or builtin, runs suites with one engine of matrix products.
struct ChosenEngine {
  ChosenEngine() {
    using tapegrad::MatmulEngine;
    const char* const name = std::getenv("TAPEGRAD_TEST_MATMUL_ENGINE");
    for (const MatmulEngine engine : {MatmulEngine::openblas, MatmulEngine::builtin})
      if (name && name == std::string_view(tapegrad::name_of(engine))) tapegrad::set_matmul_engine(engine);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(ChosenEngine);

}  // namespace
