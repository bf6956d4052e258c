#pragma once

#include <tapegrad/gradcheck/catalog.h>

namespace tapegrad::gradcheck::detail {

/// Adds one operation that stands for all of scalar_function: each function of Reals in turn.
void add_scalar_functions(Catalog& catalog);

}  // namespace tapegrad::gradcheck::detail
