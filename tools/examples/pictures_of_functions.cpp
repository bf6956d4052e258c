/// Draws derivatives and descents as SVG files: a function with its tangents, a field of gradients, the path
/// of gradient descent, and the paths of four optimizers. usage: pictures_of_functions [FOLDER]
#include <filesystem>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"

using namespace tapegrad;

namespace {

using plot::Chart;
using plot::Points;

/// f(x) = 0.01 x^2 + 0.1 x with the tangents at 5 and 10, whose slopes are the derivative there.
plot::Picture tangents() {
  const auto f = [](const auto& x) { return 0.01 * x * x + 0.1 * x; };
  Chart chart("f(x) = 0.01 x² + 0.1 x and its tangents");
  chart.x({.label = "x"}).y({.label = "f(x)"}).function("f", f, 0, 20);
  Points touched;
  for (const double at : {5.0, 10.0}) {
    Tape tape;
    const Tensor x = tape.watch(Tensor::scalar(at, f64));
    const Tensor y = f(x);
    const double slope = tape.grad(y, x).item();
    const auto tangent = [&](double t) { return y.item() + slope * (t - at); };
    fmt::print("f'({}) = {:.10g}\n", at, slope);
    chart.function(fmt::format("tangent at {}", at), tangent, 0, 20, plot::kDashed);
    touched.push_back({at, y.item()});
  }
  return chart.dots("where they touch", touched).draw();
}

/// -gradient of f(x, y) = x^2 + y^2 on a grid of points. The sum over the points has the gradient of each in
/// its row.
plot::Picture gradient_field() {
  std::vector<double> grid;
  for (int i = -9; i <= 9; ++i)
    for (int j = -9; j <= 9; ++j) grid.insert(grid.end(), {0.25 * i, 0.25 * j});
  const Shape pairs{static_cast<std::int64_t>(grid.size() / 2), 2};

  Tape tape;
  const Tensor at = tape.watch(Tensor::from(grid, pairs));
  const std::vector<double> gradient = tape.grad(sum(square(at)), at).to_vector<double>();
  std::vector<plot::Arrow> arrows;
  for (std::size_t i = 0; i < grid.size(); i += 2)
    arrows.push_back({{grid[i], grid[i + 1]}, {-gradient[i], -gradient[i + 1]}});
  return Chart("Direction of descent of x² + y²")
      .size(540, 560)
      .x({.label = "x", .from = -2.5, .to = 2.5})
      .y({.label = "y", .from = -2.5, .to = 2.5})
      .arrows(std::move(arrows))
      .draw();
}

/// The function a x^2 + b y^2.
struct Bowl {
  double a, b;
  double operator()(double x, double y) const { return a * x * x + b * y * y; }

  /// Where an optimizer goes on it.
  Points descend(plot::Point start, int steps, const char* optimizer_name, double lr) const {
    const Tensor weights = Tensor::from({a, b}, f64);
    const Parameter w(Tensor::from({start.x, start.y}, f64));
    const auto optimizer = optim::make_optimizer(optimizer_name, std::vector{w}, lr);
    Points path{start};
    for (int i = 0; i < steps; ++i) {
      Tape tape;
      optimizer->step(tape.backward(sum(weights * square(w))));
      const std::vector<double> now = w.value().to_vector<double>();
      path.push_back({now[0], now[1]});
    }
    return path;
  }
};

plot::Picture descent() {
  const Bowl bowl{1, 1};
  const Points path = bowl.descend({-3, 4}, 100, "sgd", 0.1);
  fmt::print("x² + y² from (-3, 4), 100 steps of rate 0.1: ({:.8e}, {:.8e})\n", path.back().x, path.back().y);
  return Chart("Gradient descent on x² + y², rate 0.1")
      .size(600, 560)
      .x({.label = "x", .from = -4.5, .to = 4.5})
      .y({.label = "y", .from = -4.5, .to = 4.5})
      .contour(bowl, {0.25, 1, 4, 9, 16, 25})
      .line("path", path, plot::kLineAndDots)
      .draw();
}

plot::Picture optimizer_paths() {
  const Bowl bowl{1.0 / 20, 1};
  const struct {
    const char* title;
    const char* name;
    double lr;
  } optimizers[] = {{"SGD, rate 0.95", "sgd", 0.95},
                    {"Momentum, rate 0.1", "momentum", 0.1},
                    {"AdaGrad, rate 1.5", "adagrad", 1.5},
                    {"Adam, rate 0.3", "adam", 0.3}};
  std::vector<plot::Picture> panels;
  for (const auto& o : optimizers) {
    const Points path = bowl.descend({-7, 2}, 30, o.name, o.lr);
    fmt::print("x²/20 + y² after 30 steps of {:<18} ({:7.4f}, {:7.4f})\n", o.title, path.back().x,
               path.back().y);
    panels.push_back(Chart(o.title)
                         .size(460, 340)
                         .x({.label = "x", .from = -10, .to = 10})
                         .y({.label = "y", .from = -5, .to = 5})
                         .contour(bowl, {0.25, 1, 2, 4, 8, 16})
                         .line("", path, {.dots = true, .width = 1.5})
                         .draw());
  }
  return plot::grid(panels, 2, "Paths on x²/20 + y² from (-7, 2)");
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "build/pictures";
  std::filesystem::create_directories(folder);
  const auto save = [&](const char* name, const plot::Picture& picture) {
    plot::save((folder / name).string(), picture);
    fmt::print("{}\n", (folder / name).string());
  };
  save("tangents.svg", tangents());
  save("gradient_field.svg", gradient_field());
  save("descent.svg", descent());
  save("optimizer_paths.svg", optimizer_paths());
}
