#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/dropout.h>

#include <fmt/format.h>

namespace tapegrad::nn {

template <Tensor (*f)(const Tensor&, double, Generator&)>
DropoutLayer<f>::DropoutLayer(const char* layer, double ratio, std::uint64_t seed)
    : ratio_(ratio), generator_(seed) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(fmt::format("{}: ratio is {}; it must be in [0, 1)", layer, ratio));
}

template class DropoutLayer<dropout>;
template class DropoutLayer<dropout2d>;

std::unique_ptr<ModuleBase> Dropout::new_like() const { return std::make_unique<Dropout>(ratio(), seed()); }

Tensor Dropout2d::forward(const Tensor& x) {
  tapegrad::detail::require_droppable_channels("dropout2d", x);
  return DropoutLayer::forward(x);
}
std::unique_ptr<ModuleBase> Dropout2d::new_like() const {
  return std::make_unique<Dropout2d>(ratio(), seed());
}

}  // namespace tapegrad::nn
