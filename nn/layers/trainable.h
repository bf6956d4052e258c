#pragma once

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

/// What constructors of layers share. Not part of the library's interface.
namespace tapegrad::nn {

/// Throws DtypeError naming the layer for a dtype whose values have no gradient.
inline void require_trainable(const char* layer, Dtype dtype) {
  if (!is_floating(dtype))
    throw DtypeError(
        fmt::format("{}: parameters of {} have no gradient; ask for f32 or f64", layer, name_of(dtype)));
}

}  // namespace tapegrad::nn
