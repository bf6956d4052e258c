#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/elementwise/rows.h>

/// Activation functions, elementwise on f32 or f64: TAPEGRAD_ACTIVATIONS and those after it in
/// <tapegrad/ops/elementwise/rows.h>, with their documentation. `step` is in math.h.
namespace tapegrad {

#define TAPEGRAD_ROW(function, ...) TAPEGRAD_API Tensor function(const Tensor& x);
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard) \
  TAPEGRAD_API Tensor function(const Tensor& x, double attribute = standard);
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

namespace detail {
/// Throws ArgumentError for a number that activation f does not take, whatever the dtype.
template <Tensor (*f)(const Tensor&, double)>
void require_number(double number) = delete;
#define TAPEGRAD_ROW(function, ...) \
  template <>                       \
  TAPEGRAD_API void require_number<function>(double number);
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
}  // namespace detail

#define TAPEGRAD_ROW(function, Op, name, initialiser, parameter, initial) \
  TAPEGRAD_API Tensor function(const Tensor& x, const Tensor& parameter);
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

/// x itself: the activation of an output layer in regression.
inline Tensor identity(const Tensor& x) { return x; }

}  // namespace tapegrad
