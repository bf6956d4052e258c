#pragma once

#include <tapegrad/gradcheck/catalog.h>

namespace tapegrad::gradcheck::detail {

/// Every module of the library, with samples.
void add_library_modules(Catalog& catalog);

}  // namespace tapegrad::gradcheck::detail
