#include "engines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/matmul_engine.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>

namespace tapegrad::bench {

namespace {

using Size = std::array<std::int64_t, 3>;  // m, n, k
constexpr Size kProducts[] = {
    // squares
    {32, 32, 32},
    {64, 64, 64},
    {100, 100, 100},
    {128, 128, 128},
    {256, 256, 256},
    {512, 512, 512},
    {768, 768, 768},
    {1024, 1024, 1024},
    {2048, 2048, 2048},
    // layers of small networks, forward and the gradients of their weights
    {100, 50, 784},
    {784, 50, 100},
    {100, 100, 784},
    {784, 100, 100},
    {100, 10, 50},
    // large layers
    {256, 4096, 1024},
    {1024, 4096, 256},
    {4096, 1024, 256},
    // convolutions as products, a recurrent cell
    {64, 3136, 576},
    {128, 784, 1152},
    {32, 1024, 256},
    // thin ones
    {2000, 16, 64},
    {16, 2000, 64},
    {32, 32, 4096},
    // with vectors
    {1, 1024, 1024},
    {1024, 1, 1024},
};

template <class T>
class Product final : public Program {
 public:
  explicit Product(const ProductTask& task)
      : shape_{task.m, task.n, task.k, task.transpose_a, task.transpose_b},
        a_(values({task.m, task.k}, 1)),
        b_(values({task.k, task.n}, 2)),
        c_(Tensor::zeros({task.m, task.n}, a_.dtype())) {}

  Result run(std::int64_t calls) override {
    const T* const a = a_.values<T>().data();
    const T* const b = b_.values<T>().data();
    T* const c = detail::TensorAccess::data_as<T>(c_);
    for (std::int64_t i = 0; i < calls; ++i) detail::gemm<T>(shape_, T{1}, a, b, {}, c);
    double sum = 0;
    for (const T x : c_.values<T>()) sum += std::abs(static_cast<double>(x));
    return {sum, 0};
  }

 private:
  static Tensor values(const Shape& shape, std::uint64_t seed) {
    Generator g(seed);
    return uniform(shape, g, -0.5, 0.5, dtype_of<T>);
  }

  detail::GemmShape shape_;
  Tensor a_, b_, c_;
};

/// Computes products with one setting of the engine.
class EngineContender final : public Contender {
 public:
  explicit EngineContender(MatmulEngine engine) : engine_(engine) {}
  std::string name() const override { return name_of(engine_); }
  void set_threads(int count) override { tapegrad::set_threads(count); }

  std::unique_ptr<Program> product(const ProductTask& task) override {
    const auto program = visit_floating(task.dtype, [&]<class T>() -> std::shared_ptr<Program> {
      return std::make_shared<Product<T>>(task);
    });
    return make_program([program, engine = engine_](std::int64_t calls) {
      const MatmulEngine before = matmul_engine();
      set_matmul_engine(engine);
      const Result result = program->run(calls);
      set_matmul_engine(before);
      return result;
    });
  }

 private:
  MatmulEngine engine_;
};

Workload workload_of(const ProductTask& t) {
  Workload w{
      .name = fmt::format("gemm-{}-{}{}-{}x{}x{}", name_of(t.dtype), t.transpose_a ? 'T' : 'N',
                          t.transpose_b ? 'T' : 'N', t.m, t.n, t.k),
      .description = fmt::format("a product [{}, {}] of {} terms, engine beside engine", t.m, t.n, t.k),
      .metric = {"speed", "GFLOPS", true}};
  w.per_call = 2e-9 * static_cast<double>(t.m) * static_cast<double>(t.n) * static_cast<double>(t.k);
  w.processor_time = true;
  w.make = [t](Contender& c) { return c.product(t); };
  return w;
}

}  // namespace

Contenders make_engines() {
  Contenders all;
  all.push_back(std::make_unique<EngineContender>(MatmulEngine::builtin));
  const MatmulEngine before = matmul_engine();
  try {
    set_matmul_engine(MatmulEngine::openblas);
    all.push_back(std::make_unique<EngineContender>(MatmulEngine::openblas));
  } catch (const ArgumentError&) {
    // The head of the output says why there is none.
  }
  set_matmul_engine(before);
  all.push_back(std::make_unique<EngineContender>(MatmulEngine::automatic));
  return all;
}

Workload largest_square_product() {
  // Under a sanitizer its time says nothing, and the largest takes a minute.
  constexpr std::int64_t kMost =
      TAPEGRAD_ASAN || TAPEGRAD_TSAN ? 256 : std::numeric_limits<std::int64_t>::max();
  const Size* largest = nullptr;
  for (const Size& s : kProducts)
    if (s[0] == s[1] && s[1] == s[2] && s[0] <= kMost && (!largest || s[0] > (*largest)[0])) largest = &s;
  const auto& [m, n, k] = *largest;
  Workload w = workload_of({.m = m, .n = n, .k = k});
  w.processor_time = false;
  return w;
}

std::vector<Workload> product_workloads() {
  std::vector<Workload> all;
  for (const Dtype dtype : {f32, f64})
    for (const auto& [m, n, k] : kProducts)
      for (const bool ta : {false, true})
        for (const bool tb : {false, true}) all.push_back(workload_of({m, n, k, ta, tb, dtype}));
  return all;
}

std::vector<Measurement> measure_engines(const Workload& product, const RunnerOptions& options) {
  return measure(product, make_engines(), in_short_turns(options, 30));
}

}  // namespace tapegrad::bench
