#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>

/// The elements of several tensors in a row, as ranks exchange them. Not part of the library's interface.
namespace tapegrad::nn {

/// Which tensors of a list stand in one row of numbers, one behind the other.
struct Bucket {
  struct Member {
    std::size_t tensor = 0;  ///< its number in the list
    Shape shape{};
    std::int64_t offset = 0;  ///< in the row, in elements
  };
  Dtype dtype = f32;
  std::int64_t length = 0;  ///< of the row, in elements
  std::vector<Member> members{};

  /// A row of zeros.
  Tensor new_row() const { return Tensor::zeros({length}, dtype); }
};

/// Buckets for tensors of these shapes and floating dtypes, in the order in which their last tensor comes. One is full
/// with `bytes`, and a tensor of that size has one for itself. Lengths are filled up to multiples of `multiple`.
std::vector<Bucket> buckets_of(std::span<const Tensor> tensors, std::int64_t bytes, std::int64_t multiple);

/// Copies the elements of a tensor to its place in a row, each times `factor`.
void put(Tensor& row, const Bucket::Member& place, const Tensor& tensor, double factor = 1);
/// The tensor at a place, which shares the elements of the row.
Tensor take(const Tensor& row, const Bucket::Member& place);
/// The bytes of a row.
std::span<std::byte> bytes_of(Tensor& row);
/// The sum over all ranks, in the communicator's order.
void all_reduce(Communicator& communicator, Tensor& row);

}  // namespace tapegrad::nn
