#include <adolc/adolc.h>

#include "contender.h"

/// Scalars on the tape of ADOL-C, in double: it has no other numbers. The tape is recorded anew for each
/// pass, as by the other contenders, with buffers large enough that it never goes to a file.
namespace tapegrad::bench {

namespace {

class Adolc final : public Contender {
 public:
  std::string name() const override { return "adolc"; }
  std::unique_ptr<Program> chain(const ChainTask& task) override {
    return make_program([task](std::int64_t calls) {
      constexpr short kTag = 1;
      constexpr int kKeepValues = 1;  // for reverse, which then needs no forward pass of its own
      const auto entries = static_cast<unsigned>(8 * task.nodes + 1024);
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        trace_on(kTag, kKeepValues, entries, entries, entries, entries, 0);
        adouble x, a, b;
        x <<= double{task.x};
        a <<= double{task.a};
        b <<= double{task.b};
        adouble y = x;
        for (std::int64_t n = 0; n < task.nodes; n += 2) {
          y *= a;
          y += b;
        }
        double value = 0;
        y >>= value;
        trace_off();
        double weight = 1;
        double gradient[3] = {};
        fos_reverse(kTag, 1, 3, &weight, gradient);
        result = {value, gradient[0] + gradient[1] + gradient[2]};
      }
      return result;
    });
  }
};

}  // namespace

std::unique_ptr<Contender> make_adolc() { return std::make_unique<Adolc>(); }

}  // namespace tapegrad::bench
