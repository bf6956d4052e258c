#include <tapegrad/nn/layers/pool.h>

namespace tapegrad::nn {

std::unique_ptr<ModuleBase> MaxPool1d::new_like() const { return std::make_unique<MaxPool1d>(options()); }
std::unique_ptr<ModuleBase> MaxPool2d::new_like() const { return std::make_unique<MaxPool2d>(options()); }
std::unique_ptr<ModuleBase> AvgPool1d::new_like() const { return std::make_unique<AvgPool1d>(options()); }
std::unique_ptr<ModuleBase> AvgPool2d::new_like() const { return std::make_unique<AvgPool2d>(options()); }

Tensor GlobalAvgPool::forward(const Tensor& x) { return global_avg_pool(x); }
std::unique_ptr<ModuleBase> GlobalAvgPool::new_like() const { return std::make_unique<GlobalAvgPool>(); }

}  // namespace tapegrad::nn
