#pragma once

#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// Srivastava et al.: Dropout, JMLR 15, 2014, in the inverted form: in training each element is 0 with
/// probability `ratio`, and otherwise divided by 1 - ratio, so that its mean stays and evaluation changes
/// nothing. (The book's form scales by 1 - ratio in evaluation instead; the trained network is the same.)
class TAPEGRAD_API Dropout final : public Module {
 public:
  /// With random numbers of its own, from this seed or from a seed drawn here. Throws ArgumentError for a
  /// ratio outside [0, 1).
  Dropout(double ratio, std::uint64_t seed);
  Dropout(double ratio, Generator& generator) : Dropout(ratio, generator()) {}

  double ratio() const noexcept { return ratio_; }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  double ratio_;
  Generator generator_;
};

/// The same for whole channels of x [n, c, ...]: see dropout2d.
class TAPEGRAD_API Dropout2d final : public Module {
 public:
  /// As of Dropout.
  Dropout2d(double ratio, std::uint64_t seed);
  Dropout2d(double ratio, Generator& generator) : Dropout2d(ratio, generator()) {}

  double ratio() const noexcept { return ratio_; }

  void visit(Visitor& v) override;
  /// Throws ShapeError for fewer than three axes, also in evaluation.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  double ratio_;
  Generator generator_;
};

}  // namespace tapegrad::nn
