#include <ceres/jet.h>

#include "contender.h"
#include "scalar_codes.h"

/// Dual numbers of the Ceres solver: each carries its derivatives for all inputs, so that there may be a few alone.
namespace tapegrad::bench {

namespace {

class Ceres final : public Contender {
 public:
  std::string name() const override { return "ceres"; }
  std::unique_ptr<Program> scalar_code(std::shared_ptr<const ScalarCodeTask> task) override {
    switch (task->at.size()) {
      case 4:
        return program<4>(std::move(task));
      case 5:
        return program<5>(std::move(task));
      default:
        return nullptr;
    }
  }

 private:
  template <int N>
  static std::unique_ptr<Program> program(std::shared_ptr<const ScalarCodeTask> task) {
    return make_program([task](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        std::vector<ceres::Jet<double, N>> p;
        for (const double x : task->at) p.emplace_back(x, static_cast<int>(p.size()));
        const ceres::Jet<double, N> y = bench::scalar_code(*task, p);
        result = {y.a, y.v.sum()};
      }
      return result;
    });
  }
};

}  // namespace

std::unique_ptr<Contender> make_ceres() { return std::make_unique<Ceres>(); }

}  // namespace tapegrad::bench
