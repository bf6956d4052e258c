#include <array>
#include <cstddef>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

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
    if (task->code == ScalarCode::cameras) return cameras(std::move(task));
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
  /// As users of Ceres write it: what one camera sees of one point depends on few of all parameters.
  static std::unique_ptr<Program> cameras(std::shared_ptr<const ScalarCodeTask> task) {
    return make_program([task](std::int64_t calls) {
      constexpr int kOfBoth = static_cast<int>(kOfCamera) + 3;
      using Jet = ceres::Jet<double, kOfBoth>;
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        double value = 0;
        std::vector<double> gradient(task->at.size());
        for_observations(*task, [&](std::size_t camera, std::size_t point, std::size_t seen) {
          std::array<Jet, kOfBoth> p;
          const auto place = [&](std::size_t k) {
            return k < kOfCamera ? camera + k : point + k - kOfCamera;
          };
          for (std::size_t k = 0; k < p.size(); ++k) p[k] = Jet(task->at[place(k)], static_cast<int>(k));
          const Jet e = reprojection_error(p.data(), &p[kOfCamera], &task->data[seen]);
          value += e.a;
          for (std::size_t k = 0; k < p.size(); ++k) gradient[place(k)] += e.v[static_cast<int>(k)];
        });
        result = {value, std::accumulate(gradient.begin(), gradient.end(), 0.0)};
      }
      return result;
    });
  }

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
