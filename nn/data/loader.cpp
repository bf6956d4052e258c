#include <algorithm>
#include <array>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/loader.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
std::int64_t batches(std::int64_t items, std::int64_t batch) { return items / batch + (items % batch != 0); }

/// The seed and the stream are random bits themselves: whatever seeds a program uses, no batch has the numbers of another
/// one, of the order of the items or of the network's generators.
Generator generator_of(std::uint64_t seed, std::uint64_t epoch, std::int64_t batch) {
  const auto low = [](std::uint64_t n) { return static_cast<std::uint32_t>(n); };
  const auto high = [](std::uint64_t n) { return static_cast<std::uint32_t>(n >> 32); };
  const auto number = static_cast<std::uint64_t>(batch);
  const std::array<std::uint32_t, 4> r =
      philox4x32({low(number), high(number), low(epoch), high(epoch)}, {low(seed), high(seed)});
  return Generator(std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]);
}

Batch apply(const Transform& transform, const Batch& batch, Generator& generator) {
  Batch result = transform(batch, generator);
  const auto items_of = [](const Tensor& t) { return t.rank() == 0 ? std::int64_t{0} : t.dim(0); };
  if (items_of(result.x) != batch.size() || items_of(result.t) != batch.size())
    throw ShapeError(fmt::format(
        "loader: the transform made inputs {} and targets {} of a batch of {} items; it must leave "
        "their number",
        to_string(result.x.shape()), to_string(result.t.shape()), batch.size()));
  return result;
}
}  // namespace

Batches::Iterator Batches::begin() {
  next_ = first_;
  advance();
  return Iterator(this);
}

void Batches::advance() {
  current_ = {};  // first, so that the pool can hand its memory to the next batch
  if (next_ == count_) return;
  const std::int64_t begin = next_++ * batch_;
  const std::int64_t end = std::min(begin + batch_, data_.size());
  if (order_.defined()) {
    const std::span<const std::int64_t> order = order_.values<std::int64_t>();
    current_ =
        data_.gather(order.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  } else {
    current_ = data_.batch(begin, end);
  }
  if (!transformed_.transform) return;
  Generator generator = generator_of(transformed_.seed, transformed_.epoch, next_ - 1);
  current_ = apply(transformed_.transform, current_, generator);
}

DataLoader::DataLoader(Dataset data, const LoaderOptions& options)
    : data_(std::move(data)), options_(options) {
  if (options.batch < 1)
    throw ArgumentError(fmt::format("loader: batch size {} given; it must be at least 1", options.batch));
  if (data_.size() == 0) throw ArgumentError("loader: the data set has no items to make batches of");
  if (options.batch > data_.size())
    throw ArgumentError(fmt::format("loader: batch size {} given for {} items; it can be {} at most",
                                    options.batch, data_.size(), data_.size()));
}

std::int64_t DataLoader::size() const noexcept {
  return options_.drop_last ? data_.size() / options_.batch : batches(data_.size(), options_.batch);
}

Batches DataLoader::epoch(std::uint64_t number, std::int64_t first) const {
  if (first < 0 || first > size())
    throw ArgumentError(fmt::format("loader: batch {} of {} given as the first; it must be in [0, {}]", first,
                                    size(), size()));
  Tensor order;
  if (options_.shuffle) {
    Generator generator(options_.seed, number);
    order = permutation(data_.size(), generator);
  }
  return {data_, order, options_.batch, size(), first, {options_.transform, options_.transform_seed, number}};
}

Batch DataLoader::sample(Generator& generator) const {
  const Tensor items = integers({options_.batch}, generator, 0, data_.size());
  Batch batch = data_.gather(items.values<std::int64_t>());
  return options_.transform ? apply(options_.transform, batch, generator) : batch;
}

Batches in_order(const Dataset& data, std::int64_t at_most, const Transform& transform) {
  if (at_most < 1)
    throw ArgumentError(fmt::format("in_order: batches of at most {} items; give at least 1", at_most));
  return {data, {}, at_most, batches(data.size(), at_most), 0, {transform}};
}

}  // namespace tapegrad::nn
