#include <new>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/data/batch_maker.h>
#include <tapegrad/nn/data/batches_ahead.h>
#include <tapegrad/nn/data/loader.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// From the pool, as an epoch is made again and again.
template <class T, class... A>
std::shared_ptr<T> make_pooled(A&&... arguments) {
  return std::allocate_shared<T>(tapegrad::detail::PoolAllocator<T>(), std::forward<A>(arguments)...);
}

void require_workers(const char* what, std::int64_t workers, std::int64_t prefetch = 0) {
  constexpr std::int64_t kMost = 256;
  if (workers < 0 || workers > kMost)
    throw ArgumentError(fmt::format("{}: {} workers given; there can be 0 to {}", what, workers, kMost));
  if (prefetch < 0)
    throw ArgumentError(
        fmt::format("{}: {} batches given to be prepared ahead; give their number, or 0 for two for each "
                    "worker",
                    what, prefetch));
}

}  // namespace

Batches::Batches(Batches&&) noexcept = default;
Batches& Batches::operator=(Batches&&) noexcept = default;
Batches::~Batches() = default;

std::int64_t Batches::size() const noexcept { return maker_->count() - first_; }

Batches::Iterator Batches::begin() {
  ahead_.reset();
  next_ = first_;
  if (workers_ > 0 && size() > 0) {
    try {
      ahead_.reset(
          new loading::BatchesAhead(maker_, first_, workers_, prefetch_ > 0 ? prefetch_ : 2 * workers_));
    } catch (const std::bad_alloc&) {
      throw OutOfMemory("loader: there is no memory for workers");
    }
    if (!ahead_->has_workers()) ahead_.reset();
  }
  advance();
  return Iterator(this);
}

void Batches::advance() {
  current_ = {};  // first, so that the pool can hand its memory to the next batch
  ended_ = true;
  if (ahead_ && (next_ == maker_->count() || ahead_->is_left_behind())) ahead_.reset();
  if (next_ == maker_->count()) return;
  const std::int64_t number = next_++;
  current_ = ahead_ ? ahead_->take() : maker_->make(number);
  ended_ = false;
}

DataLoader::DataLoader(Dataset data, const LoaderOptions& options)
    : data_(std::move(data)), options_(options) {
  if (options.batch < 1)
    throw ArgumentError(fmt::format("loader: batch size {} given; it must be at least 1", options.batch));
  if (data_.size() == 0) throw ArgumentError("loader: the data set has no items to make batches of");
  if (options.batch > data_.size())
    throw ArgumentError(fmt::format("loader: batch size {} given for {} items; it can be {} at most",
                                    options.batch, data_.size(), data_.size()));
  require_workers("loader", options.workers, options.prefetch);
  const Shard& s = options.shard;
  if (s.pieces < 1 || s.first < 0 || s.count < 1 || s.count > s.pieces - s.first)
    throw ArgumentError(fmt::format(
        "loader: a shard of {} pieces from {} on, of {}; give at least one of those that there are", s.count,
        s.first, s.pieces));
}

std::int64_t DataLoader::size() const noexcept {
  return options_.drop_last ? data_.size() / options_.batch : batch_count(data_.size(), options_.batch);
}

Batches DataLoader::epoch(std::uint64_t number, std::int64_t first) const {
  if (first < 0 || first > size())
    throw ArgumentError(fmt::format("loader: batch {} of {} given as the first; it must be in [0, {}]", first,
                                    size(), size()));
  loading::Recipe recipe{.data = data_,
                         .batch = options_.batch,
                         .count = size() * options_.shard.count,
                         .transform = options_.transform,
                         .item_transform = options_.item_transform,
                         .seed = options_.transform_seed,
                         .epoch = number,
                         .shard = options_.shard};
  if (options_.shuffle) {
    Generator generator(options_.seed, number);
    recipe.order = permutation(data_.size(), generator);
  }
  return {make_pooled<const loading::BatchMaker>(recipe), first * options_.shard.count, options_.workers,
          options_.prefetch};
}

Batches::Iterator DataLoader::begin() {
  const auto range = make_pooled<Batches>(epoch(next_epoch_));
  ++next_epoch_;
  Batches::Iterator iterator = range->begin();
  iterator.owned_ = range;
  return iterator;
}

Batch DataLoader::sample(Generator& generator) const {
  const Tensor items = integers({options_.batch}, generator, 0, data_.size());
  const std::span<const std::int64_t> indices = items.values<std::int64_t>();
  Batch batch = options_.item_transform
                    ? loading::transformed_items(data_, indices, options_.item_transform,
                                                 [&](std::int64_t) -> Generator& { return generator; })
                    : data_.gather(indices);
  return options_.transform ? loading::transformed(options_.transform, batch, generator) : batch;
}

Batches in_order(const Dataset& data, std::int64_t at_most, const Transform& transform,
                 std::int64_t workers) {
  return share_in_order(data, at_most, transform, workers, 0, 1);
}

Batches share_in_order(const Dataset& data, std::int64_t at_most, const Transform& transform,
                       std::int64_t workers, std::int64_t share, std::int64_t shares) {
  if (at_most < 1)
    throw ArgumentError(fmt::format("in_order: batches of at most {} items; give at least 1", at_most));
  require_workers("in_order", workers);
  if (share < 0 || share >= shares)
    throw ArgumentError(
        fmt::format("in_order: share {} of {}; it must be in [0, {})", share, shares, shares));
  const std::int64_t all = batch_count(data.size(), at_most);
  return {make_pooled<const loading::BatchMaker>(loading::Recipe{.data = data,
                                                                 .batch = at_most,
                                                                 .count = piece_begin(share + 1, shares, all),
                                                                 .transform = transform}),
          piece_begin(share, shares, all), workers, 0};
}

}  // namespace tapegrad::nn
