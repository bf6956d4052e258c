#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Activation functions, elementwise on f32 or f64.
namespace tapegrad {

/// max(x, 0). The gradient at 0 is 0.
TAPEGRAD_API Tensor relu(const Tensor& x);
/// x where x > 0, else slope * x.
TAPEGRAD_API Tensor leaky_relu(const Tensor& x, double slope = 0.01);
/// x where x > 0, else alpha * (e^x - 1). Clevert, Unterthiner, Hochreiter, ICLR 2016.
TAPEGRAD_API Tensor elu(const Tensor& x, double alpha = 1);
/// 1 / (1 + e^-x).
TAPEGRAD_API Tensor sigmoid(const Tensor& x);
TAPEGRAD_API Tensor tanh(const Tensor& x);
/// ln(1 + e^x), without overflow.
TAPEGRAD_API Tensor softplus(const Tensor& x);
/// x * Phi(x) with the normal distribution function Phi, exact. Hendrycks, Gimpel, 2016.
TAPEGRAD_API Tensor gelu(const Tensor& x);
/// x * sigmoid(x).
TAPEGRAD_API Tensor silu(const Tensor& x);
/// x itself: the activation of an output layer in regression.
inline Tensor identity(const Tensor& x) { return x; }
/// One where x > 0, else zero: the perceptron's activation. Not differentiable: the result is a constant.
TAPEGRAD_API Tensor step(const Tensor& x);

}  // namespace tapegrad
