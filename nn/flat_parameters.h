#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/optim/parameters.h>

/// All parameters as one vector, as PyTorch's parameters_to_vector and vector_to_parameters: for methods that know
/// nothing of modules. A list is what its holder's parameters() gives; a module may be given itself.
namespace tapegrad::nn {

/// The elements of all parameters, one after the other. Recorded, so that a gradient goes to each of them, unless
/// frozen; under Pause or without a tape, a copy. Throws ArgumentError for no parameters, DtypeError where their
/// dtypes differ.
TAPEGRAD_API Tensor parameters_to_vector(const optim::ParameterList& parameters);

/// Copies the elements of such a vector back, frozen parameters included. Throws ShapeError for another number of
/// elements or an axis more, DtypeError where a parameter's dtype differs; all parameters are then unchanged.
TAPEGRAD_API void vector_to_parameters(const Tensor& vector, const optim::ParameterList& parameters);

}  // namespace tapegrad::nn
