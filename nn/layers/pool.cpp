#include <tapegrad/nn/layers/pool.h>

namespace tapegrad::nn {

Tensor MaxPool2d::forward(const Tensor& x) { return max_pool2d(x, options_); }
std::unique_ptr<ModuleBase> MaxPool2d::new_like() const { return std::make_unique<MaxPool2d>(options_); }

Tensor MaxPool1d::forward(const Tensor& x) { return max_pool1d(x, options_); }
std::unique_ptr<ModuleBase> MaxPool1d::new_like() const { return std::make_unique<MaxPool1d>(options_); }

Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool2d(x, options_); }
std::unique_ptr<ModuleBase> AvgPool2d::new_like() const { return std::make_unique<AvgPool2d>(options_); }

Tensor AvgPool1d::forward(const Tensor& x) { return avg_pool1d(x, options_); }
std::unique_ptr<ModuleBase> AvgPool1d::new_like() const { return std::make_unique<AvgPool1d>(options_); }

Tensor GlobalAvgPool::forward(const Tensor& x) { return global_avg_pool(x); }
std::unique_ptr<ModuleBase> GlobalAvgPool::new_like() const { return std::make_unique<GlobalAvgPool>(); }

}  // namespace tapegrad::nn
