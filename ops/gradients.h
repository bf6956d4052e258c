#pragma once

#include <span>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>

/// Arithmetic on Gradients, as on the vector of all their elements. They are plain values: nothing here is
/// recorded, and an operation that changes one leaves its copies as they are. A key that only one of two
/// operands has counts as zeros in the other. Sums run in a fixed order: entry by entry, worker by worker.
namespace tapegrad {

/// Throws ShapeError or DtypeError where two entries of one key do not fit; the sum is then unchanged.
TAPEGRAD_API Gradients& operator+=(Gradients& sum, const Gradients& term);
TAPEGRAD_API Gradients operator+(const Gradients& a, const Gradients& b);
TAPEGRAD_API Gradients& operator*=(Gradients& g, double factor);
TAPEGRAD_API Gradients operator*(const Gradients& g, double factor);
TAPEGRAD_API Gradients operator*(double factor, const Gradients& g);

/// The mean of the gradients of several workers, added in the order given. Throws ArgumentError for none.
TAPEGRAD_API Gradients average(std::span<const Gradients> workers);

/// The Euclidean norm of all elements together, summed in f64. NaN or infinite where an element is.
TAPEGRAD_API double global_norm(const Gradients& g);
/// Scales all elements by max_norm / norm where the global norm is above max_norm; returns the norm before.
/// Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks, ICML 2013. Throws
/// NonFinite, and changes nothing, where an element is NaN or infinite: no factor repairs such a gradient.
/// Throws ArgumentError unless max_norm > 0.
TAPEGRAD_API double clip_global_norm(Gradients& g, double max_norm);
/// Limits each element to [-limit, limit]; a NaN stays. Throws ArgumentError unless limit > 0.
TAPEGRAD_API void clip_value(Gradients& g, double limit);

}  // namespace tapegrad
