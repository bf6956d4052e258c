#include <algorithm>
#include <array>
#include <new>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/batch_maker.h>

#include <fmt/format.h>

namespace tapegrad::nn::loading {

namespace {

/// The seed and the stream are random bits themselves: whatever seeds a program uses, no batch has the numbers of
/// another one, of the order of the items or of the network's generators.
Generator generator_of(std::uint64_t seed, std::uint64_t epoch, std::int64_t batch) {
  const auto low = [](std::uint64_t n) { return static_cast<std::uint32_t>(n); };
  const auto high = [](std::uint64_t n) { return static_cast<std::uint32_t>(n >> 32); };
  const auto number = static_cast<std::uint64_t>(batch);
  const std::array<std::uint32_t, 4> r =
      philox4x32({low(number), high(number), low(epoch), high(epoch)}, {low(seed), high(seed)});
  return Generator(std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]);
}

Batch untransformed(const Recipe& recipe, std::int64_t number) {
  const std::int64_t begin = number * recipe.batch;
  const std::int64_t end = std::min(begin + recipe.batch, recipe.data.size());
  if (!recipe.order.defined()) return recipe.data.batch(begin, end);
  const std::span<const std::int64_t> order = recipe.order.values<std::int64_t>();
  return recipe.data.gather(
      order.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
}

}  // namespace

Batch BatchMaker::make(std::int64_t number) const {
  try {
    Batch batch = untransformed(recipe_, number);
    if (!recipe_.transform) return batch;
    Generator generator = generator_of(recipe_.seed, recipe_.epoch, number);
    return transformed(recipe_.transform, batch, generator);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("loader: there is no memory to make batch {}", number));
  }
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
