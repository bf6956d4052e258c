#include "machine.h"

#include <algorithm>
#include <memory>

#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/threads.h>

#include "engines.h"

namespace tapegrad::bench {

namespace {

constexpr const char* kProduct = "machine-product";
constexpr const char* kTriad = "machine-triad";

/// Each array has 128 MiB, several times what a processor's last cache holds.
constexpr std::int64_t kElements = std::int64_t{1} << 25;
constexpr std::int64_t kRange = std::int64_t{1} << 18;  ///< elements that a thread takes at a time

class Triad final : public Program {
 public:
  Triad() {
    for (auto& array : arrays_) {
      array = std::make_unique_for_overwrite<float[]>(kElements);
      std::fill_n(array.get(), kElements, 1.0F);
    }
  }

  Result run(std::int64_t calls) override {
    for (std::int64_t call = 0; call < calls; ++call)
      detail::parallel_ranges(kElements, kRange, [this](std::int64_t begin, std::int64_t end) {
        float* const to = arrays_[0].get() + begin;
        const float* const a = arrays_[1].get() + begin;
        const float* const b = arrays_[2].get() + begin;
        detail::dispatch_isa(
            [=] { detail::simd_for(end - begin, [=](std::int64_t i) { to[i] = a[i] + 3 * b[i]; }); });
      });
    return {arrays_[0][0], arrays_[0][kElements - 1]};
  }

 private:
  std::unique_ptr<float[]> arrays_[3];
};

class Machine final : public Contender {
 public:
  std::string name() const override { return "triad"; }
  void set_threads(int count) override { tapegrad::set_threads(count); }
};

std::vector<Measurement> measure_triad(const RunnerOptions& options) {
  Workload w{.name = kTriad,
             .description = "a[i] = b[i] + 3 c[i] over 3 arrays of 128 MiB",
             .metric = {"bandwidth", "GB/s", true}};
  w.per_call = 1e-9 * 3 * sizeof(float) * kElements;
  w.make = [](Contender&) { return std::make_unique<Triad>(); };
  Contenders only;
  only.push_back(std::make_unique<Machine>());
  return measure(w, only, options);
}

double best(const std::vector<Measurement>& all, const char* workload) {
  double most = 0;
  for (const Measurement& m : all)
    if (m.workload == workload) most = std::max(most, 1e9 * m.max());
  return most;
}

}  // namespace

std::vector<Measurement> measure_machine(const RunnerOptions& options) {
  Workload product = largest_square_product();
  product.name = kProduct;
  std::vector<Measurement> all = measure(product, make_engines(), options);
  // It takes one of the two.
  std::erase_if(all, [](const Measurement& m) { return m.contender == "automatic"; });
  for (Measurement& m : measure_triad(options)) all.push_back(std::move(m));
  return all;
}

MachineLimits limits_of(const std::vector<Measurement>& machine) {
  return {best(machine, kProduct), best(machine, kTriad)};
}

}  // namespace tapegrad::bench
