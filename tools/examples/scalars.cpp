#include <tapegrad/ops/scalar/scalar_function.h>
#include <tapegrad/ops/scalar/scalar_gradient.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Where a weight on a spring is after each of ten seconds; p is stiffness and friction.
constexpr auto swing = []<class R>(std::span<const R> p) {
  R x = 1, v = 0;
  std::array<R, 10> places;
  for (int i = 1; i <= 1000; ++i) {
    v -= 0.01 * (p[0] * x + p[1] * v);
    x += 0.01 * v;
    if (i % 100 == 0) places[i / 100 - 1] = x;
  }
  return places;
};

int main() {
  // As one operation on tensors: what was seen tells stiffness and friction.
  const Tensor seen = scalar_function(swing, Tensor::from({4, 0.3}, f64));
  const Parameter p(Tensor::from({3.7, 0.1}, f64));
  optim::Adam adam({p}, 0.02);
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    adam.step(tape.backward(sum(square(scalar_function(swing, p) - seen))));
  }
  fmt::print("stiffness and friction: {:.3f}\n", p.value());

  // Without a tensor: numbers in, numbers out.
  const auto [place, gradient] =
      value_and_gradient([](std::span<const Real> q) { return swing(q).back(); }, {4.0, 0.3});
  fmt::print("after ten seconds at {:.4f}, with the derivatives {:.4f} and {:.4f}\n", place, gradient[0],
             gradient[1]);
}
