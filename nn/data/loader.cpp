#include <algorithm>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/loader.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
std::int64_t batches(std::int64_t items, std::int64_t batch) { return items / batch + (items % batch != 0); }
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
  return {data_, order, options_.batch, size(), first};
}

Batch DataLoader::sample(Generator& generator) const {
  const Tensor items = integers({options_.batch}, generator, 0, data_.size());
  return data_.gather(items.values<std::int64_t>());
}

Batches in_order(const Dataset& data, std::int64_t at_most) {
  if (at_most < 1)
    throw ArgumentError(fmt::format("in_order: batches of at most {} items; give at least 1", at_most));
  return {data, {}, at_most, batches(data.size(), at_most)};
}

}  // namespace tapegrad::nn
