#include <adolc/adolc.h>

#include <numeric>

#include "contender.h"
#include "scalar_codes.h"

/// Scalars on the tape of ADOL-C, in double: it has no other numbers. The tape is recorded anew for each
/// pass, as by the other contenders, with buffers large enough that it never goes to a file.
namespace tapegrad::bench {

namespace {

class Adolc final : public Contender {
 public:
  std::string name() const override { return "adolc"; }
  std::unique_ptr<Program> chain(const ChainTask& task) override {
    return program({task.x, task.a, task.b}, 8 * task.nodes, [task](const std::vector<adouble>& p) {
      adouble y = p[0];
      for (std::int64_t n = 0; n < task.nodes; n += 2) {
        y *= p[1];
        y += p[2];
      }
      return y;
    });
  }
  std::unique_ptr<Program> scalar_code(std::shared_ptr<const ScalarCodeTask> task) override {
    return program(task->at, 10'000'000,
                   [task](const std::vector<adouble>& p) { return bench::scalar_code(*task, p); });
  }

 private:
  template <class F>
  static std::unique_ptr<Program> program(std::vector<double> at, std::int64_t entries, F f) {
    return make_program([at, entries, f](std::int64_t calls) {
      constexpr short kTag = 1;
      constexpr int kKeepValues = 1;  // for reverse, which then needs no forward pass of its own
      const auto buffer = static_cast<unsigned>(entries + 1024);
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        trace_on(kTag, kKeepValues, buffer, buffer, buffer, buffer, 0);
        double value = 0;
        {
          std::vector<adouble> p(at.size());
          for (std::size_t k = 0; k < at.size(); ++k) p[k] <<= at[k];
          adouble y = f(p);
          y >>= value;
        }
        trace_off();
        double weight = 1;
        std::vector<double> gradient(at.size());
        fos_reverse(kTag, 1, static_cast<int>(at.size()), &weight, gradient.data());
        result = {value, std::accumulate(gradient.begin(), gradient.end(), 0.0)};
      }
      return result;
    });
  }
};

}  // namespace

std::unique_ptr<Contender> make_adolc() { return std::make_unique<Adolc>(); }

}  // namespace tapegrad::bench
