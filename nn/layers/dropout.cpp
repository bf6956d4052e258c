#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/ops/neural/dropout.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

double checked(const char* layer, double ratio) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(fmt::format("{}: ratio is {}; it must be in [0, 1)", layer, ratio));
  return ratio;
}

}  // namespace

Dropout::Dropout(double ratio, std::uint64_t seed) : ratio_(checked("dropout", ratio)), generator_(seed) {}

void Dropout::visit(Visitor& v) { v("generator", generator_); }

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || ratio_ == 0) return x;
  return dropout(x, ratio_, generator_);
}

std::unique_ptr<ModuleBase> Dropout::new_like() const {
  return std::make_unique<Dropout>(ratio_, generator_.state().seed);
}

Dropout2d::Dropout2d(double ratio, std::uint64_t seed)
    : ratio_(checked("dropout2d", ratio)), generator_(seed) {}

void Dropout2d::visit(Visitor& v) { v("generator", generator_); }

Tensor Dropout2d::forward(const Tensor& x) {
  if (x.rank() < 3)
    throw ShapeError(
        fmt::format("{}: input {}; it must be [n, c, ...], with channels of several elements to drop "
                    "(Dropout drops single "
                    "elements)",
                    op_label("dropout2d"), to_string(x.shape())));
  if (!training() || ratio_ == 0) return x;
  return dropout2d(x, ratio_, generator_);
}

std::unique_ptr<ModuleBase> Dropout2d::new_like() const {
  return std::make_unique<Dropout2d>(ratio_, generator_.state().seed);
}

}  // namespace tapegrad::nn
