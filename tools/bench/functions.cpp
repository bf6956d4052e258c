#include "functions.h"

#include <array>

#include <tapegrad/graph/random.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/map.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

namespace tapegrad::bench {

namespace {

constexpr std::int64_t kCount = 4096;

struct Row {
  const char* name;
  Tensor (*f)(const Tensor&);
  double lo, hi;
};

Tensor formula(const Tensor& x) {
  return map([](auto v) { return sin(v) * erf(v) + sqrt(v); }, x);
}

const Row kRows[] = {
    {"sqrt", sqrt, 0, 10},     {"cbrt", cbrt, -10, 10}, {"sin", sin, -10, 10}, {"cos", cos, -10, 10},
    {"tan", tan, -10, 10},     {"asin", asin, -1, 1},   {"acos", acos, -1, 1}, {"atan", atan, -5, 5},
    {"sinh", sinh, -5, 5},     {"cosh", cosh, -5, 5},   {"erf", erf, -3, 3},   {"erfc", erfc, -3, 3},
    {"log10", log10, 0.1, 10}, {"gelu", gelu, -4, 4},   {"exp", exp, -3, 3},   {"formula", formula, 0, 3}};

/// The loops for one instruction set.
class SetContender final : public Contender {
 public:
  explicit SetContender(detail::Isa isa) : isa_(isa) {}

  std::string name() const override { return detail::name_of(isa_); }
  void set_threads(int count) override { tapegrad::set_threads(count); }
  std::unique_ptr<Program> function(const FunctionTask& task) override {
    if (!detail::is_usable(isa_)) return nullptr;
    Generator g(1);
    const Row& row = kRows[task.row];
    const Tensor x = uniform({kCount}, g, row.lo, row.hi, task.dtype);
    return make_program([isa = isa_, f = row.f, x](std::int64_t calls) {
      const detail::Isa before = detail::set_isa(isa);
      Tensor y = f(x);
      for (std::int64_t i = 1; i < calls; ++i) y = f(x);
      detail::set_isa(before);
      return Result{.value = mean(y).item()};
    });
  }

 private:
  detail::Isa isa_;
};

}  // namespace

std::vector<Workload> function_workloads() {
  std::vector<Workload> all;
  for (const Dtype dtype : {f64, f32})
    for (std::size_t row = 0; row < std::size(kRows); ++row) {
      Workload w{.name = fmt::format("functions-{}-{}", name_of(dtype), kRows[row].name),
                 .description = fmt::format("{} of each of {} numbers of {}, by instruction set",
                                            kRows[row].name, kCount, name_of(dtype)),
                 .metric = {.name = "time of an element",
                            .unit = "ns",
                            .higher_is_better = false,
                            .scale = 1e9 / static_cast<double>(kCount)}};
      w.processor_time = true;
      w.make = [task = FunctionTask{row, dtype}](Contender& c) { return c.function(task); };
      all.push_back(std::move(w));
    }
  return all;
}

std::vector<Measurement> measure_functions(const Workload& function, const RunnerOptions& options) {
  Contenders sets;
  for (const detail::Isa isa : detail::kIsas) sets.push_back(std::make_unique<SetContender>(isa));
  return measure(function, sets, in_short_turns(options, 50));
}

}  // namespace tapegrad::bench
