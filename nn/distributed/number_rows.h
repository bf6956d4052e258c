#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>

/// The elements of many tensors in a row for each floating dtype, as ranks exchange them. Not part of the library's
/// interface.
namespace tapegrad::nn {

/// A row for each floating dtype; undefined where it has no elements.
struct NumberRows {
  std::array<Tensor, detail::kDtypeCount> of{};

  bool defined() const noexcept {
    for (const Tensor& row : of)
      if (row.defined()) return true;
    return false;
  }
};
inline bool is_there(const NumberRows& rows) noexcept { return rows.defined(); }

/// Where the elements of a tensor stand.
struct RowPlace {
  Dtype dtype = f32;
  std::int64_t offset = 0;
  Shape shape{};
};

/// Gives tensors their places, one behind the other.
class RowLayout {
 public:
  RowPlace add(const Shape& shape, Dtype dtype);
  /// Rows with place for all that were added, filled up to a multiple of `multiple` elements; all zeros.
  NumberRows new_rows(std::int64_t multiple = 1) const;

 private:
  std::array<std::int64_t, detail::kDtypeCount> lengths_{};
};

/// Copies the elements of a tensor to their place, each times `factor`.
void put(NumberRows& rows, const RowPlace& place, const Tensor& tensor, double factor = 1);
/// The elements at a place, which the tensor shares with the row.
Tensor take(const NumberRows& rows, const RowPlace& place);
/// The bytes of a row.
std::span<std::byte> bytes_of(Tensor& row);
/// The sum over all ranks, in the communicator's order.
void all_reduce(Communicator& communicator, NumberRows& rows);

}  // namespace tapegrad::nn
