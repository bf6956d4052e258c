/// Draws derivatives as SVG files: a function with its tangents, a field of gradients, and the path of
/// gradient descent. usage: pictures_of_functions [FOLDER]
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
    const ValueAndGradient y = value_and_gradient(f, Tensor::scalar(at, f64));
    const double value = y.value.item();
    const double slope = y.gradient.item();
    const auto tangent = [=](double t) { return value + slope * (t - at); };
    fmt::print("f'({}) = {:.10g}\n", at, slope);
    chart.function(fmt::format("tangent at {}", at), tangent, 0, 20, plot::kDashed);
    touched.push_back({at, value});
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

  const auto sum_of_squares = [](const Tensor& at) { return sum(square(at)); };
  const std::vector<double> slopes = gradient(sum_of_squares, Tensor::from(grid, pairs)).to_vector<double>();
  std::vector<plot::Arrow> arrows;
  for (std::size_t i = 0; i < grid.size(); i += 2)
    arrows.push_back({{grid[i], grid[i + 1]}, {-slopes[i], -slopes[i + 1]}});
  return Chart("Direction of descent of x² + y²")
      .size(540, 560)
      .x({.label = "x", .from = -2.5, .to = 2.5})
      .y({.label = "y", .from = -2.5, .to = 2.5})
      .arrows(std::move(arrows))
      .draw();
}

plot::Picture descent() {
  const optim::Descent d = optim::gradient_descent([](const Tensor& x) { return sum(square(x)); },
                                                   Tensor::from({-3, 4}, f64), {.rate = 0.1, .steps = 100});
  Points path;
  for (const Tensor& x : d.path) path.push_back({x.values<double>()[0], x.values<double>()[1]});
  fmt::print("x² + y² from (-3, 4), 100 steps of rate 0.1: ({:.8e}, {:.8e})\n", path.back().x, path.back().y);
  return Chart("Gradient descent on x² + y², rate 0.1")
      .size(600, 560)
      .x({.label = "x", .from = -4.5, .to = 4.5})
      .y({.label = "y", .from = -4.5, .to = 4.5})
      .contour([](double x, double y) { return x * x + y * y; }, {0.25, 1, 4, 9, 16, 25})
      .line("path", path, plot::kLineAndDots)
      .draw();
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
}
