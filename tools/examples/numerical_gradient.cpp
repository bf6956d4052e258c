#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// What training by numerical gradients would cost: those of a 784-50-10 network for a batch of 100 images in
// double, two forward passes for each of its 39,760 parameters, and how far they are from backpropagation. By
// default every 20th parameter is moved; "all" moves all. usage: numerical_gradient [MNIST_FOLDER] [all]
int main(int argc, char** argv) {
  const bool all = argc > 1 && std::string_view(argv[argc - 1]) == "all";
  const nn::Batch batch =
      nn::load_mnist(argc > (all ? 2 : 1) ? argv[1] : "tools/data/mnist").train.batch(0, 100);
  const Tensor x = cast(batch.x, f64);
  Generator rng(0);
  const nn::Init init = nn::Init::normal(0.01);
  const std::vector<Tensor> parameters{init({784, 50}, rng, f64), Tensor::zeros({50}, f64),
                                       init({50, 10}, rng, f64), Tensor::zeros({10}, f64)};
  const auto loss = [&](std::span<const Tensor> p) {
    return softmax_with_loss(affine(sigmoid(affine(x, p[0], p[1])), p[2], p[3]), batch.t);
  };
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };

  Clock::time_point start = Clock::now();
  const std::vector<Tensor> exact = gradient(loss, parameters);
  fmt::print("backpropagation: {:.4f} s\n", seconds(start));

  const std::int64_t every = all ? 1 : 20;
  const char* const names[] = {"W1", "b1", "W2", "b2"};
  std::int64_t count = 0;
  std::int64_t moved = 0;
  double spent = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto of_one = [&](const Tensor& p) {
      std::vector<Tensor> list = parameters;
      list[i] = p;
      return loss(list);
    };
    const std::int64_t size = parameters[i].size();
    double total = 0;
    double largest = 0;
    std::int64_t compared = 0;
    start = Clock::now();
    const Tensor whole = all ? numerical_gradient(of_one, parameters[i]) : Tensor();
    std::vector<double> numerical;
    for (std::int64_t k = 0; k < size; k += every)
      numerical.push_back(all ? whole.values<double>()[static_cast<std::size_t>(k)]
                              : numerical_partial(of_one, parameters[i], k));
    spent += seconds(start);
    for (const double value : numerical) {
      const double difference =
          std::abs(value - exact[i].values<double>()[static_cast<std::size_t>(compared++ * every)]);
      total += difference;
      largest = std::max(largest, difference);
    }
    fmt::print("{}: {:5} of {:5} parameters moved; from backpropagation {:.1e} on average, {:.1e} at most\n",
               names[i], compared, size, total / static_cast<double>(compared), largest);
    count += size;
    moved += compared;
  }
  const double one = spent * static_cast<double>(count) / static_cast<double>(moved);
  fmt::print("{:.2f} s for {} parameters; {:.1f} s for one gradient of all {}{}\n", spent, moved, one, count,
             all ? "" : " (extrapolated)");
  fmt::print("100 iterations: {:.0f} minutes; in NumPy, by the notes, 65 minutes\n", one * 100 / 60);
}
