#include <algorithm>
#include <array>
#include <new>
#include <numeric>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/data/batch_maker.h>

#include <fmt/format.h>

namespace tapegrad::nn::loading {

namespace {

using Numbers = std::array<std::uint32_t, 4>;

/// The seed and the stream are random bits themselves: whatever seeds a program uses, no batch and no item has the
/// numbers of another one, of the order of the items or of the network's generators.
Numbers random_bits(std::uint64_t seed, std::uint64_t epoch, std::int64_t of) {
  const auto low = [](std::uint64_t n) { return static_cast<std::uint32_t>(n); };
  const auto high = [](std::uint64_t n) { return static_cast<std::uint32_t>(n >> 32); };
  const auto number = static_cast<std::uint64_t>(of);
  return philox4x32({low(number), high(number), low(epoch), high(epoch)}, {low(seed), high(seed)});
}

Generator generator_of(const Numbers& r) {
  return Generator(std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]);
}

Generator generator_of_batch(const Recipe& recipe, std::int64_t number) {
  return generator_of(random_bits(recipe.seed, recipe.epoch, number));
}

/// Item n and batch n have nothing in common.
Generator generator_of_item(const Recipe& recipe, std::int64_t index) {
  constexpr std::array<std::uint32_t, 2> kOfItems{0x6974656dU, 0x73U};
  return generator_of(philox4x32(random_bits(recipe.seed, recipe.epoch, index), kOfItems));
}

/// The number of a piece among all pieces of the epoch, or of a batch that is one piece.
std::int64_t piece_of(const Recipe& recipe, std::int64_t number) {
  const Shard& s = recipe.shard;
  return number / s.count * s.pieces + s.first + number % s.count;
}

Batch untransformed(const Recipe& recipe, std::int64_t piece) {
  const std::int64_t start = piece / recipe.shard.pieces * recipe.batch;
  const std::int64_t items = std::min(recipe.batch, recipe.data.size() - start);
  const std::int64_t in_batch = piece % recipe.shard.pieces;
  const std::int64_t begin = start + piece_begin(in_batch, recipe.shard.pieces, items);
  const std::int64_t end = start + piece_begin(in_batch + 1, recipe.shard.pieces, items);
  if (begin == end) return {};
  if (!recipe.order.defined() && !recipe.item_transform) return recipe.data.batch(begin, end);
  std::vector<std::int64_t, tapegrad::detail::PoolAllocator<std::int64_t>> in_order;
  std::span<const std::int64_t> indices;
  if (recipe.order.defined()) {
    indices = recipe.order.values<std::int64_t>().subspan(static_cast<std::size_t>(begin),
                                                          static_cast<std::size_t>(end - begin));
  } else {
    in_order.resize(static_cast<std::size_t>(end - begin));
    std::iota(in_order.begin(), in_order.end(), begin);
    indices = in_order;
  }
  if (!recipe.item_transform) return recipe.data.gather(indices);
  return transformed_items(recipe.data, indices, recipe.item_transform,
                           [&](std::int64_t index) { return generator_of_item(recipe, index); });
}

}  // namespace

Batch BatchMaker::make(std::int64_t number) const {
  try {
    const std::int64_t piece = piece_of(recipe_, number);
    Batch batch = untransformed(recipe_, piece);
    if (!recipe_.transform || batch.size() == 0) return batch;
    Generator generator = generator_of_batch(recipe_, piece);
    return transformed(recipe_.transform, batch, generator);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("loader: there is no memory to make batch {}", number));
  }
}

Item transformed(const ItemTransform& transform, const Item& item, Generator& generator) {
  Item result = transform(item, generator);
  if (result.x.defined() < item.x.defined() || result.t.defined() < item.t.defined())
    throw ArgumentError("loader: the item transform has left out x or t; it must leave them, changed or not");
  return result;
}

Batch transformed(const Transform& transform, const Batch& batch, Generator& generator) {
  Batch result = transform(batch, generator);
  const std::int64_t items = batch.size();
  batching::require_names("loader: what the transform has made", result);
  if (result.x.defined() < batch.x.defined() || result.t.defined() < batch.t.defined() ||
      !batching::has_items(result, items) || result.size() != items)
    throw ShapeError(fmt::format(
        "loader: the transform made {} of {}, a batch of {} items; it must leave their number, and x and t",
        batching::describe(result), batching::describe(batch), items));
  return result;
}

}  // namespace tapegrad::nn::loading
