#pragma once

#include <cstdint>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/transforms.h>

/// What loops over batches are made of. Not part of the library's interface.
namespace tapegrad::nn::loading {

/// Of what the batches of an epoch are made.
struct Recipe {
  Dataset data{};
  Tensor order{};  ///< i64, or undefined: in order
  std::int64_t batch = 1;
  std::int64_t count = 0;  ///< of batches
  Transform transform{};
  std::uint64_t seed = 0;  ///< with the epoch: of the transform's generators
  std::uint64_t epoch = 0;
};

/// Makes any batch of an epoch, from its number alone: by any thread, several at once, in any order.
class BatchMaker {
 public:
  explicit BatchMaker(const Recipe& recipe) : recipe_(recipe) {}

  std::int64_t count() const noexcept { return recipe_.count; }
  /// Throws what the data and the transform throw, and OutOfMemory in place of std::bad_alloc.
  Batch make(std::int64_t number) const;

 private:
  Recipe recipe_;
};

/// What the transform makes of the batch. Throws ShapeError unless that has as many items, and x and t where the batch
/// had them.
Batch transformed(const Transform& transform, const Batch& batch, Generator& generator);

}  // namespace tapegrad::nn::loading
