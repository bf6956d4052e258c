#include <tapegrad/gradcheck/command.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

struct Swish {  // y = x / (1 + e^(-beta x)), with s = 1 / (1 + e^(-beta x)): dy/dx = s + beta y (1 - s)
  static constexpr auto name = "swish";
  static constexpr std::size_t arity = 1;                // elementwise, of one operand
  static constexpr auto saves = saves_for(kIn0 | kOut);  // what the gradient reads
  double beta = 1;
  auto f(auto x) const { return x / (1 + exp(-beta * x)); }
  auto vjp(auto g, auto x, auto y) const {
    auto s = 1 / (1 + exp(-beta * x));
    return g * (s + beta * y * (1 - s));
  }
  static void samples(Samples& s) { s.unary(Swish{.beta = 1.5}, {-3, 3}); }
};

Tensor swish(const Tensor& x, double beta) { return apply_op(Swish{beta}, x); }

int main(int argc, char** argv) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({-1, 0, 2}));
  const Tensor y = sum(swish(x, 1.5));
  fmt::print("swish sums to {:.4f}, gradient {:.4f}\n", y.item(), tape.grad(y, x));
  // The whole checking command for this op: --order 2, --op, --list, -v; the exit code says whether all pass.
  return gradcheck::gradcheck_main<TypeList<Swish>>(argc, argv);
}
