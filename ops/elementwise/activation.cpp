#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>

namespace tapegrad {

Tensor relu(const Tensor& x) { return apply_op(Relu{}, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return apply_op(LeakyRelu{.slope = slope}, x); }
Tensor elu(const Tensor& x, double alpha) { return apply_op(Elu{.alpha = alpha}, x); }
Tensor sigmoid(const Tensor& x) { return apply_op(Sigmoid{}, x); }
Tensor tanh(const Tensor& x) { return apply_op(Tanh{}, x); }
Tensor softplus(const Tensor& x) { return apply_op(Softplus{}, x); }
Tensor gelu(const Tensor& x) { return apply_op(Gelu{}, x); }
Tensor silu(const Tensor& x) { return apply_op(Silu{}, x); }
Tensor step(const Tensor& x) { return apply_op(Step{}, x); }

}  // namespace tapegrad
