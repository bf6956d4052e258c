#pragma once

#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// How an Affine is made.
struct AffineOptions {
  Init init = Init::he();  ///< of the weight; the bias starts at 0
  bool bias = true;        ///< whether there is one
  Dtype dtype = f32;       ///< of weight and bias: f32 or f64
};

/// y = x W + b with x [n, in], W [in, out], b [out]: parameters "weight" and "bias".
class TAPEGRAD_API Affine final : public Module {
 public:
  /// Draws the weight from the generator. Throws ArgumentError for a size below 1, DtypeError for i64, ShapeError for
  /// more weights than can be counted.
  Affine(std::int64_t in, std::int64_t out, Generator& generator, const AffineOptions& options = {});
  /// With these parameters, which may be shared with other layers; without a bias where it is undefined.
  /// Throws ShapeError or DtypeError where they do not fit.
  explicit Affine(Parameter weight, Parameter bias = {});

  /// The sizes of inputs and results.
  std::int64_t in() const { return weight_.shape()[0]; }
  std::int64_t out() const { return weight_.shape()[1]; }
  /// The parameter W, [in, out].
  Parameter& weight() noexcept { return weight_; }
  const Parameter& weight() const noexcept { return weight_; }
  /// Undefined where the layer has none.
  Parameter& bias() noexcept { return bias_; }
  const Parameter& bias() const noexcept { return bias_; }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  Affine() = default;

  Parameter weight_;
  Parameter bias_;
};

}  // namespace tapegrad::nn
