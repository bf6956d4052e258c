#pragma once

#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/neural/dropout.h>

namespace tapegrad::nn {

/// What layers of dropout share: in training f of x, in evaluation x itself.
template <Tensor (*f)(const Tensor&, double, Generator&)>
class DropoutLayer : public Module {
 public:
  /// The probability with which an element, or a channel, is dropped.
  double ratio() const noexcept { return ratio_; }

  void visit(Visitor& v) override { v("generator", generator_); }
  Tensor forward(const Tensor& x) override {
    if (!training() || ratio_ == 0) return x;
    return f(x, ratio_, generator_);
  }

 protected:
  /// With random numbers of its own, from this seed. Throws ArgumentError naming the layer for a ratio outside [0, 1).
  DropoutLayer(const char* layer, double ratio, std::uint64_t seed);
  std::uint64_t seed() const { return generator_.state().seed; }  ///< of the generator

 private:
  double ratio_;
  Generator generator_;
};

extern template class TAPEGRAD_API DropoutLayer<dropout>;
extern template class TAPEGRAD_API DropoutLayer<dropout2d>;

/// Srivastava et al.: Dropout, JMLR 15, 2014, in the inverted form: in training each element is 0 with
/// probability `ratio`, and otherwise divided by 1 - ratio, so that its mean stays and evaluation changes
/// nothing. (The book's form scales by 1 - ratio in evaluation instead; the trained network is the same.)
class TAPEGRAD_API Dropout final : public DropoutLayer<dropout> {
 public:
  /// With random numbers of its own, from this seed or from a seed drawn here. Throws ArgumentError for a
  /// ratio outside [0, 1).
  Dropout(double ratio, std::uint64_t seed) : DropoutLayer("dropout", ratio, seed) {}
  Dropout(double ratio, Generator& generator) : Dropout(ratio, generator()) {}

  std::unique_ptr<ModuleBase> new_like() const override;
};

/// The same for whole channels of x [n, c, ...]: see dropout2d.
class TAPEGRAD_API Dropout2d final : public DropoutLayer<dropout2d> {
 public:
  /// As of Dropout.
  Dropout2d(double ratio, std::uint64_t seed) : DropoutLayer("dropout2d", ratio, seed) {}
  Dropout2d(double ratio, Generator& generator) : Dropout2d(ratio, generator()) {}

  /// Throws ShapeError for fewer than three axes, also in evaluation.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;
};

}  // namespace tapegrad::nn
