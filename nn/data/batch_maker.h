#pragma once

#include <cstdint>
#include <span>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/item_stack.h>
#include <tapegrad/nn/data/shard.h>
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
  ItemTransform item_transform{};
  std::uint64_t seed = 0;  ///< with the epoch: of the transforms' generators
  std::uint64_t epoch = 0;
  Shard shard{};  ///< what is counted and made is pieces
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

/// What the transform makes of one item. Throws ArgumentError where it leaves out x or t.
Item transformed(const ItemTransform& transform, const Item& item, Generator& generator);

/// The items with these indices as the transform makes them, in a batch; generator_of(index) is what it draws from.
template <class F>
Batch transformed_items(const Dataset& data, std::span<const std::int64_t> indices,
                        const ItemTransform& transform, F generator_of) {
  constexpr batching::ItemMaker kMaker{"loader: the item transform", "in it"};
  return batching::stacked(kMaker, indices, 0, [&](std::int64_t index) {
    auto&& generator = generator_of(index);
    return transformed(transform, data.item(index), generator);
  });
}

}  // namespace tapegrad::nn::loading
