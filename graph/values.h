#pragma once

#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::detail {

/// Flat index of the first NaN or infinity, -1 where there is none (or the elements are integers).
TAPEGRAD_API std::int64_t first_non_finite(const Tensor& t) noexcept;
/// The element at a flat index, in whatever floating dtype.
double value_at(const Tensor& t, std::int64_t flat) noexcept;
/// "[1, 0, 2]" for a flat index into a shape.
TAPEGRAD_API std::string index_text(std::int64_t flat, const Shape& shape);

}  // namespace tapegrad::detail
