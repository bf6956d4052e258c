#include "work.h"

namespace tapegrad::bench {

namespace {

/// A layer as the product or convolution y = x w + b that it is, of one item.
struct Layer {
  double multiplications = 0;
  double x = 0;           ///< elements of its input
  double y = 0;           ///< elements of its result
  double w = 0;           ///< elements of its weights
  double parameters = 0;  ///< of its weights and bias, and of the normalisation behind it
  double passes = 0;      ///< over y, forward, beside writing it: a normalisation, a pooling
};

std::vector<Layer> layers_of(const NetTask& t) {
  std::vector<Layer> all;
  for (std::size_t i = 0; i < t.convolutions.size(); ++i) {
    const ConvLayer& c = t.convolutions[i];
    const auto in = static_cast<double>(t.image_at(i).channels);
    const auto out = static_cast<double>(c.channels);
    const auto side = static_cast<double>(t.side_of(i));
    const auto kernel = static_cast<double>(c.kernel * c.kernel);
    all.push_back({.multiplications = out * side * side * in * kernel,
                   .x = static_cast<double>(t.image_at(i).elements()),
                   .y = out * side * side,
                   .w = out * in * kernel,
                   .parameters = out * in * kernel + out,
                   .passes = c.pool ? 1.0 : 0.0});
  }
  for (std::size_t i = 0; i < t.layers(); ++i) {
    const auto in = static_cast<double>(t.widths[i]);
    const auto out = static_cast<double>(t.widths[i + 1]);
    const bool normalised = t.batch_norm && i + 1 < t.layers();
    all.push_back({.multiplications = in * out,
                   .x = in,
                   .y = out,
                   .w = in * out,
                   .parameters = in * out + out + (normalised ? 2 * out : 0),
                   .passes = normalised ? 2.0 : 0.0});  // it is read twice: for the moments, and to be scaled
  }
  return all;
}

constexpr double kBytes = sizeof(float);

/// Of `items` of them: x and w are read, and y is written.
Work forward(const Layer& l, double items) {
  return {2 * items * l.multiplications, kBytes * (items * (l.x + l.y * (1 + l.passes)) + l.w)};
}

/// The gradient of w reads x and that of y; the gradient of x, of which the first layer's is not asked, reads w and
/// that of y.
Work backward(const Layer& l, double items, bool first) {
  const double each = 2 * items * l.multiplications;
  const Work of_w{each, kBytes * (items * (l.x + l.y * (1 + l.passes)) + l.w)};
  const Work of_x{each, kBytes * (items * (l.x + l.y) + l.w)};
  return first ? of_w : of_w + of_x;
}

/// SGD reads parameter and gradient and writes the parameter; Adam reads and writes two moments, too.
Work update(const Layer& l, Rule rule) { return {0, kBytes * l.parameters * (rule == Rule::adam ? 7 : 3)}; }

}  // namespace

Work work_of_step(const NetTask& task) {
  const auto items = static_cast<double>(task.batch);
  Work all;
  bool first = true;
  for (const Layer& l : layers_of(task)) {
    all = all + forward(l, items) + backward(l, items, first) + update(l, task.rule);
    first = false;
  }
  return all;
}

Work work_of_predictions(const NetTask& task, std::int64_t items) {
  Work all;
  for (const Layer& l : layers_of(task)) all = all + forward(l, static_cast<double>(items));
  return all;
}

}  // namespace tapegrad::bench
