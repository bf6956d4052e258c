// The paths of the optimizers down f(x, y) = x^2 / 20 + y^2 from (-7, 2), a valley much steeper across than
// along. "Deep Learning from Scratch", chapter 6.1.
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  const struct {
    const char* name;
    double lr;
  } rules[] = {{"sgd", 0.95},    {"momentum", 0.1}, {"nesterov", 0.1}, {"adagrad", 1.5},
               {"rmsprop", 0.1}, {"adam", 0.3},     {"adamw", 0.3}};
  fmt::print("{:9} {:>5}   (x, y) after 2, 5, 10, 20, 30 updates; f at the end\n", "", "lr");
  for (const auto& rule : rules) {
    const Parameter p(Tensor::from({-7, 2}, f64));
    const auto optimizer = optim::make_optimizer(rule.name, {p}, rule.lr);
    const auto f = [&] { return sum(square(p.value()) * Tensor::from({1.0 / 20, 1}, f64)); };
    fmt::print("{:9} {:5}  ", rule.name, rule.lr);
    for (int step = 1; step <= 30; ++step) {
      Tape tape;
      optimizer->step(tape.backward(f()));
      if (step == 2 || step == 5 || step % 10 == 0) {
        const auto at = p.data().values<double>();
        fmt::print(" ({:5.2f}, {:5.2f})", at[0], at[1]);
      }
    }
    fmt::print("  {:.4f}\n", f().item());
  }
}
