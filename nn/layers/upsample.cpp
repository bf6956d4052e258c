#include <tapegrad/nn/layers/upsample.h>

namespace tapegrad::nn {

Tensor Upsample::forward(const Tensor& x) { return upsample(x, options_); }
std::unique_ptr<ModuleBase> Upsample::new_like() const { return std::make_unique<Upsample>(options_); }

}  // namespace tapegrad::nn
