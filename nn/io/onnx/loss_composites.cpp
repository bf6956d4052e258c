#include <numeric>

#include <tapegrad/nn/io/onnx/composites.h>

namespace tapegrad::nn::onnx {

namespace {

Term abs(const Term& x) { return f("Abs", {x}); }

std::vector<std::int64_t> all_axes(const Dims& dims) {
  std::vector<std::int64_t> axes(dims.size());
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

}  // namespace

Term over_all(OpContext& c, std::string_view type, const Term& elements) {
  return reduce(type, elements, all_axes(c.dims(0)), false);
}

Term squared_difference(OpContext& c) {
  const Term d = c.input(0) - c.input(1);
  return d * d;
}

Term huber_elements(OpContext& c) {
  const double delta = c.number("delta");
  const Term d = abs(c.input(0) - c.input(1));
  return where(d > delta, delta * (d - 0.5 * delta), 0.5 * d * d);
}

Term cross_entropy_elements(OpContext& c) {
  const Term x = c.input(0), t = c.input(1);
  const Term positive = f("Max", {x, number(x, 0)});
  return positive - x * t + f("Log", {1 + f("Exp", {-abs(x)})});
}

Term class_loss(OpContext& c, const Term& log_probabilities) {
  const Dims& scores = c.dims(0);
  Term weights = c.input(1);
  if (weights.type == ElementType::i64)
    weights = one_hot(weights, c.fixed(scores.back(), "the number of classes"), log_probabilities.type);
  const auto classes = static_cast<std::int64_t>(scores.size()) - 1;
  const Term of_rows = reduce("ReduceSum", weights * log_probabilities, {classes}, false);
  const Dims rows(scores.begin(), scores.end() - 1);
  return -reduce("ReduceMean", of_rows, all_axes(rows), false);
}

Term emit_batch_norm(OpContext& c) {
  const Term x = c.input(0);
  // Channels are the second axis; statistics are taken over all others.
  std::vector<std::int64_t> axes = all_axes(c.dims(0));
  axes.erase(axes.begin() + 1);
  const auto beside = [&](const Term& t) {
    const std::vector<std::int64_t> behind(axes.begin() + 1, axes.end());
    if (behind.empty()) return t;
    std::vector<std::int64_t> ones(behind.size());
    std::iota(ones.begin(), ones.end(), 1);
    return f("Unsqueeze", {t, c.builder().integers(ones)});
  };
  const Term distance = x - reduce("ReduceMean", x, axes, true);
  const Term variance = reduce("ReduceMean", distance * distance, axes, true);
  return distance / f("Sqrt", {variance + c.number("eps")}) * beside(c.input(1)) + beside(c.input(2));
}

}  // namespace tapegrad::nn::onnx
