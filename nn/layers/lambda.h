#pragma once

#include <memory>
#include <utility>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// A function of one tensor as a module: anything that is called as Tensor(const Tensor&).
///
///     nn::Lambda halve([](const Tensor& x) { return x / 2; });
template <class F>
class Lambda final : public Module {
 public:
  /// The function f as a module.
  explicit Lambda(F f = F()) : f_(std::move(f)) {}
  Tensor forward(const Tensor& x) override { return f_(x); }
  std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Lambda>(f_); }

 private:
  F f_;
};

}  // namespace tapegrad::nn
