#pragma once

#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/tensor.h>

/// Derivatives of functions, without a tape in sight:
///
///     const auto f = [](const Tensor& x, const Tensor& w) { return sum(tanh(matmul(x, w))); };
///     std::vector<Tensor> g = gradient(f, {x, w});
///     Tensor h = hessian([](const Tensor& x) { return prod(sin(x)); }, x);
///
/// f is called once, with its inputs; what else it uses (parameters, captured tensors) is constant to it. An
/// input that the result does not depend on has a derivative of zeros.
///
/// Where a tape is active, all of this is recorded on it and can be differentiated in turn: by the inputs,
/// the tangents, cotangents and vectors, by parameters and by captured tensors. So these functions compose to
/// any depth: the Jacobian of a gradient, the Hessian of a jvp. Under Pause, as without a tape, the results
/// are plain values; f may then not use what an outer tape has recorded (ForeignTape), except as its inputs.
///
/// All throw DtypeError for integer inputs, which have no derivative (let f capture them), and for a result
/// of integers; ArgumentError for no inputs, an undefined tensor, or f taking another number of them;
/// ShapeError or DtypeError where tangents, cotangents or vectors do not fit what they belong to.
///
/// Names and conventions are those of JAX and torch.func. J is the Jacobian, all derivatives of the result's
/// elements by those of an input.
namespace tapegrad {

/// Of a function of one tensor.
struct ValueAndGradient {
  Tensor value;     ///< f(x)
  Tensor gradient;  ///< of the shape and dtype of x
};
/// Of a function of several tensors.
struct ValueAndGradients {
  Tensor value;                   ///< f(inputs)
  std::vector<Tensor> gradients;  ///< one of the shape and dtype of each input
};
/// A result, and how fast it changes along a direction.
struct ValueAndTangent {
  Tensor value;    ///< f(inputs)
  Tensor tangent;  ///< of its shape and dtype
};

namespace detail {
/// value_and_gradient for the function `what`, which errors name.
ValueAndGradient value_and_gradient_of(const char* what, const TensorFunction& f, const Tensor& x);
}  // namespace detail

/// The derivative of a result of one element for each input. Throws ShapeError for more elements.
TAPEGRAD_API std::vector<Tensor> gradient(const TensorFunction& f, const std::vector<Tensor>& inputs);
TAPEGRAD_API Tensor gradient(const TensorFunction& f, const Tensor& x);
/// The same with the result itself.
TAPEGRAD_API ValueAndGradients value_and_gradient(const TensorFunction& f, const std::vector<Tensor>& inputs);
TAPEGRAD_API ValueAndGradient value_and_gradient(const TensorFunction& f, const Tensor& x);

/// J^T u for each input, with a cotangent u of the result's shape: the gradient of <u, f>. One backward pass.
TAPEGRAD_API ValueAndGradients vjp(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                   const Tensor& cotangent);
TAPEGRAD_API ValueAndGradient vjp(const TensorFunction& f, const Tensor& x, const Tensor& cotangent);

/// J v, summed over the inputs, with tangents v of their shapes: how fast the result changes as the inputs
/// move along v; for a unit vector, the directional derivative. Two backward passes, since the tape runs in
/// reverse: J^T u is linear in u, and its derivative for u along v is J v. (Townsend: A new trick for
/// calculating Jacobian vector products, 2017.)
TAPEGRAD_API ValueAndTangent jvp(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                 const std::vector<Tensor>& tangents);
TAPEGRAD_API ValueAndTangent jvp(const TensorFunction& f, const Tensor& x, const Tensor& tangent);

/// The Jacobian for each input, of the result's shape followed by the input's: [2, 3] for a function from [3]
/// to [2]. One backward pass for each element of the result; where these are many and the inputs few, take
/// its columns by jvp.
TAPEGRAD_API std::vector<Tensor> jacobian(const TensorFunction& f, const std::vector<Tensor>& inputs);
TAPEGRAD_API Tensor jacobian(const TensorFunction& f, const Tensor& x);

/// All second derivatives of a result of one element. [i][j] is the derivative for inputs i and j, of the
/// shape of i followed by that of j and the dtype of j. One backward pass for each element of the inputs.
/// Throws ShapeError for a result of more elements.
TAPEGRAD_API std::vector<std::vector<Tensor>> hessian(const TensorFunction& f,
                                                      const std::vector<Tensor>& inputs);
TAPEGRAD_API Tensor hessian(const TensorFunction& f, const Tensor& x);

/// The Hessian times vectors of the inputs' shapes, for each input: the gradient of <gradient, v>, in two
/// backward passes and without the Hessian. (Pearlmutter: Fast exact multiplication by the Hessian, Neural
/// Computation 6, 1994.) Throws ShapeError for a result of more than one element.
TAPEGRAD_API std::vector<Tensor> hvp(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                     const std::vector<Tensor>& vectors);
TAPEGRAD_API Tensor hvp(const TensorFunction& f, const Tensor& x, const Tensor& vector);

}  // namespace tapegrad
