// The paths of the optimizers down f(x, y) = x^2 / 20 + y^2 from (-7, 2), a valley much steeper across than
// along. "Deep Learning from Scratch", chapter 6.1. usage: optimizer_paths [FOLDER_FOR_THE_PICTURE]
#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"

using namespace tapegrad;

int main(int argc, char** argv) {
  const struct {
    const char* name;
    double lr;
  } rules[] = {{"sgd", 0.95},    {"momentum", 0.1}, {"nesterov", 0.1}, {"adagrad", 1.5},
               {"rmsprop", 0.1}, {"adam", 0.3},     {"adamw", 0.3}};
  std::vector<plot::Picture> panels;
  fmt::print("{:9} {:>5}   (x, y) after 2, 5, 10, 20, 30 updates; f at the end\n", "", "lr");
  for (const auto& rule : rules) {
    const Parameter p(Tensor::from({-7, 2}, f64));
    const auto optimizer = optim::make_optimizer(rule.name, {p}, rule.lr);
    const auto f = [&] { return sum(square(p.value()) * Tensor::from({1.0 / 20, 1}, f64)); };
    plot::Points path{{-7, 2}};
    fmt::print("{:9} {:5}  ", rule.name, rule.lr);
    for (int step = 1; step <= 30; ++step) {
      Tape tape;
      optimizer->step(tape.backward(f()));
      const auto at = p.values<double>();
      path.push_back({at[0], at[1]});
      if (step == 2 || step == 5 || step % 10 == 0) fmt::print(" ({:5.2f}, {:5.2f})", at[0], at[1]);
    }
    fmt::print("  {:.4f}\n", f().item());
    panels.push_back(
        plot::Chart(fmt::format("{}, rate {}", rule.name, rule.lr))
            .size(360, 270)
            .x({.label = "x", .from = -10, .to = 10})
            .y({.label = "y", .from = -5, .to = 5})
            .contour([](double x, double y) { return x * x / 20 + y * y; }, {0.25, 1, 2, 4, 8, 16})
            .line("", path, {.dots = true, .width = 1.5})
            .draw());
  }
  const std::filesystem::path folder = argc > 1 ? argv[1] : "build/pictures";
  std::filesystem::create_directories(folder);
  const std::string file = (folder / "optimizer_paths.svg").string();
  plot::save(file, plot::grid(panels, 3, "Paths on x²/20 + y² from (-7, 2), 30 updates"));
  fmt::print("{}\n", file);
}
