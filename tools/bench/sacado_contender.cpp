// Only the header: the configuration of a full Trilinos would ask for Kokkos, which nothing here needs.
#define TRILINOS_NO_CONFIG_H
#include <Sacado_trad.hpp>

#include "contender.h"
#include "scalar_codes.h"

/// Scalars of Trilinos' Sacado, in reverse mode.
namespace tapegrad::bench {

namespace {

class Sacado final : public Contender {
 public:
  std::string name() const override { return "sacado"; }
  std::unique_ptr<Program> chain(const ChainTask& task) override {
    return make_program([task](std::int64_t calls) {
      using Number = ::Sacado::Rad::ADvar<double>;
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        const Number x = double{task.x};
        const Number a = double{task.a};
        const Number b = double{task.b};
        Number y = x;
        for (std::int64_t n = 0; n < task.nodes; n += 2) y = y * a + b;
        Number::Gradcomp();
        result = {y.val(), x.adj() + a.adj() + b.adj()};
      }
      return result;
    });
  }
  std::unique_ptr<Program> scalar_code(std::shared_ptr<const ScalarCodeTask> task) override {
    return make_program([task](std::int64_t calls) {
      using Number = ::Sacado::Rad::ADvar<double>;
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        const std::vector<Number> p(task->at.begin(), task->at.end());
        const Number y = bench::scalar_code(*task, p);
        Number::Gradcomp();
        double sum = 0;
        for (const Number& x : p) sum += x.adj();
        result = {y.val(), sum};
      }
      return result;
    });
  }
};

}  // namespace

std::unique_ptr<Contender> make_sacado() { return std::make_unique<Sacado>(); }

}  // namespace tapegrad::bench
