#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/ops/elementwise/activation.h>

namespace tapegrad::nn {

struct AffineOptions {
  Init init = Init::he();  ///< of the weight; the bias starts at 0
  bool bias = true;
  Dtype dtype = f32;
};

/// y = x W + b with x [n, in], W [in, out], b [out]: parameters "weight" and "bias".
class TAPEGRAD_API Affine final : public Module {
 public:
  /// Draws the weight from the generator. Throws ArgumentError for an extent below 1, DtypeError for i64.
  Affine(std::int64_t in, std::int64_t out, Generator& generator, const AffineOptions& options = {});
  /// With these parameters, which may be shared with other layers; without a bias where it is undefined.
  /// Throws ShapeError or DtypeError where they do not fit.
  explicit Affine(Parameter weight, Parameter bias = {});

  std::int64_t in() const { return weight_.shape()[0]; }
  std::int64_t out() const { return weight_.shape()[1]; }
  Parameter& weight() noexcept { return weight_; }
  const Parameter& weight() const noexcept { return weight_; }
  /// Undefined where the layer has none.
  Parameter& bias() noexcept { return bias_; }
  const Parameter& bias() const noexcept { return bias_; }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<Module> blank() const override;

 private:
  Affine() = default;

  Parameter weight_;
  Parameter bias_;
};

/// A function of one tensor as a module: anything that is called as Tensor(const Tensor&).
template <class F>
class Function final : public Module {
 public:
  explicit Function(F f = F()) : f_(std::move(f)) {}
  Tensor forward(const Tensor& x) override { return f_(x); }
  std::unique_ptr<Module> blank() const override { return std::make_unique<Function>(f_); }

 private:
  F f_;
};

/// Operations in the form that Function takes.
namespace functions {

template <Tensor (*f)(const Tensor&)>
struct Plain {
  Tensor operator()(const Tensor& x) const { return f(x); }
};
/// With one number, by default so many hundredths.
template <Tensor (*f)(const Tensor&, double), int hundredths>
struct WithNumber {
  WithNumber(double n = hundredths / 100.0) : number(n) {}
  Tensor operator()(const Tensor& x) const { return f(x, number); }
  double number;
};
/// [n, a, b, ...] as [n, a * b * ...]; [n] as [n, 1].
struct FlattenItems {
  TAPEGRAD_API Tensor operator()(const Tensor& x) const;
};

}  // namespace functions

/// The activations of <tapegrad/ops/elementwise/activation.h> as modules. LeakyRelu takes a slope, Elu its
/// alpha: LeakyRelu(0.2).
using Relu = Function<functions::Plain<relu>>;
using LeakyRelu = Function<functions::WithNumber<leaky_relu, 1>>;
using Elu = Function<functions::WithNumber<elu, 100>>;
using Sigmoid = Function<functions::Plain<sigmoid>>;
using Tanh = Function<functions::Plain<tanh>>;
using Softplus = Function<functions::Plain<softplus>>;
using Gelu = Function<functions::Plain<gelu>>;
using Silu = Function<functions::Plain<silu>>;
using Identity = Function<functions::Plain<identity>>;
/// Keeps the first axis and joins all others. Throws ShapeError for a scalar.
using Flatten = Function<functions::FlattenItems>;

extern template class TAPEGRAD_API Function<functions::Plain<relu>>;
extern template class TAPEGRAD_API Function<functions::WithNumber<leaky_relu, 1>>;
extern template class TAPEGRAD_API Function<functions::WithNumber<elu, 100>>;
extern template class TAPEGRAD_API Function<functions::Plain<sigmoid>>;
extern template class TAPEGRAD_API Function<functions::Plain<tanh>>;
extern template class TAPEGRAD_API Function<functions::Plain<softplus>>;
extern template class TAPEGRAD_API Function<functions::Plain<gelu>>;
extern template class TAPEGRAD_API Function<functions::Plain<silu>>;
extern template class TAPEGRAD_API Function<functions::Plain<identity>>;
extern template class TAPEGRAD_API Function<functions::FlattenItems>;

struct BatchNormOptions {
  /// How much of the running statistics an update keeps: running = momentum * running + (1 - momentum) *
  /// batch, as in "Deep Learning from Scratch". (PyTorch's momentum is 1 minus this.)
  double momentum = 0.9;
  double eps = 1e-5;  ///< is added to the variance
  Dtype dtype = f32;
};

/// Ioffe, Szegedy: Batch Normalization, ICML 2015: y = gamma (x - mean) / sqrt(var + eps) + beta for each
/// feature of x [n, features]. Parameters "gamma", at first 1, and "beta", 0; buffers "running_mean", 0, and
/// "running_var", 1.
///
/// In training the mean and variance are those of the batch, and the running ones are updated by them; the
/// variance that normalises is the biased one, sum (x - mean)^2 / n, that in the running average the unbiased
/// one, / (n - 1), as in PyTorch. In evaluation the running ones are used.
class TAPEGRAD_API BatchNorm final : public Module {
 public:
  /// Throws ArgumentError for no features, a momentum outside [0, 1], an eps that is not positive and finite.
  explicit BatchNorm(std::int64_t features, const BatchNormOptions& options = {});

  Parameter& gamma() noexcept { return gamma_; }
  Parameter& beta() noexcept { return beta_; }
  const Tensor& running_mean() const noexcept { return running_mean_; }
  const Tensor& running_var() const noexcept { return running_var_; }

  void visit(Visitor& v) override;
  /// Throws ShapeError for another shape than [n, features], and in training ArgumentError for n < 2.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<Module> blank() const override;

 private:
  std::int64_t features_;
  BatchNormOptions options_;
  Parameter gamma_;
  Parameter beta_;
  Buffer running_mean_;
  Buffer running_var_;
};

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
  std::unique_ptr<Module> blank() const override;

 private:
  double ratio_;
  Generator generator_;
};

}  // namespace tapegrad::nn
