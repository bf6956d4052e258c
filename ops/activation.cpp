#include <tapegrad/ops/activation_ops.h>
#include <tapegrad/ops/define.h>

namespace tapegrad {

Tensor relu(const Tensor& x) { return apply(Relu{}, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return apply(LeakyRelu{.slope = slope}, x); }
Tensor elu(const Tensor& x, double alpha) { return apply(Elu{.alpha = alpha}, x); }
Tensor sigmoid(const Tensor& x) { return apply(Sigmoid{}, x); }
Tensor tanh(const Tensor& x) { return apply(Tanh{}, x); }
Tensor softplus(const Tensor& x) { return apply(Softplus{}, x); }
Tensor gelu(const Tensor& x) { return apply(Gelu{}, x); }
Tensor silu(const Tensor& x) { return apply(Silu{}, x); }
Tensor step(const Tensor& x) { return apply(Step{}, x); }

}  // namespace tapegrad
