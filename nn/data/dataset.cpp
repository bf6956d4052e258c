#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/memory_source.h>
#include <tapegrad/ops/check.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::require_defined;

namespace {

using Indices = std::vector<std::int64_t, tapegrad::detail::PoolAllocator<std::int64_t>>;

/// What a function makes of the batches of a data set.
class MappedSource final : public DataSource {
 public:
  MappedSource(const Dataset& data, Callback<Batch(const Batch&)> change)
      : data_(data), change_(std::move(change)) {}
  std::int64_t size() const override { return data_.size(); }
  Item item(std::int64_t index) const override { return item_of(gather({&index, 1})); }
  Batch gather(std::span<const std::int64_t> indices) const override {
    return change_(data_.gather(indices));
  }
  std::int64_t classes() const override { return data_.classes(); }

 private:
  Dataset data_;
  Callback<Batch(const Batch&)> change_;
};

/// What is wrong with the names, TensorSource says.
Batch batch_of(const NamedTensors& tensors) {
  if (tensors.empty()) throw ArgumentError("dataset: no tensors given; give at least one");
  Batch batch;
  for (const auto& [name, tensor] : tensors) {
    Tensor* const place = name == "x" ? &batch.x : name == "t" ? &batch.t : nullptr;
    if (place && tensor.defined() && !place->defined())
      *place = tensor;
    else
      batch.more.emplace_back(name, tensor);
  }
  return batch;
}

}  // namespace

Dataset::Dataset(const Tensor& inputs, const Tensor& targets, std::int64_t classes) {
  require_defined("dataset", inputs, "the tensor of inputs");
  require_defined("dataset", targets, "the tensor of targets");
  *this = Dataset(std::make_shared<TensorSource>(Batch{inputs, targets}, classes));
}

Dataset::Dataset(const NamedTensors& tensors, std::int64_t classes)
    : Dataset(std::make_shared<TensorSource>(batch_of(tensors), classes)) {}

Dataset::Dataset(IdxArray images, const IdxArray& labels, const ImageOptions& options)
    : Dataset(std::make_shared<ImageSource>(std::move(images), labels, options)) {}

Dataset::Dataset(std::shared_ptr<const DataSource> source) : source_(std::move(source)) {
  if (!source_) throw ArgumentError("dataset: there is no source of items; give one");
  size_ = source_->size();
  if (size_ < 0)
    throw ArgumentError(fmt::format("dataset: its source has a size of {}; it must be 0 or above", size_));
}

Shape Dataset::item_shape(std::string_view name) const {
  if (!source_) throw ArgumentError("dataset: it is empty and has no shape");
  // One item where there is any, rather than none: a function of map() need not take an empty batch.
  const std::array<std::int64_t, 1> first{0};
  if (size_ > 0) return gather(first)[name].shape().removed(0);
  return rows({first.data(), source_->size() > 0 ? 1U : 0U})[name].shape().removed(0);
}

std::int64_t Dataset::classes() const { return source_ ? source_->classes() : 0; }

Dataset Dataset::slice(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || end < begin || end > size_)
    throw ArgumentError(fmt::format("dataset: items {} to {} asked of {} items", begin, end, size_));
  Dataset part = *this;
  part.begin_ += begin;
  part.size_ = end - begin;
  return part;
}

Dataset::Split Dataset::split(std::int64_t validation, std::uint64_t seed) const {
  if (validation < 0 || validation > size_)
    throw ArgumentError(fmt::format("split: {} items asked for validation of {} items", validation, size_));
  Generator generator(seed);
  Dataset shuffled = *this;
  shuffled.order_ = permutation(size_, generator);
  shuffled.begin_ = 0;
  for (std::int64_t& i : shuffled.order_.mutable_values<std::int64_t>()) i = row_of(i);
  return {shuffled.slice(validation, size_), shuffled.slice(0, validation)};
}

Dataset Dataset::map(Callback<Batch(const Batch&)> change) const {
  if (!change) throw ArgumentError("dataset: map: there is no function to change batches; give one");
  return Dataset(std::make_shared<MappedSource>(*this, std::move(change)));
}

/// The index in the source.
std::int64_t Dataset::row_of(std::int64_t index) const {
  return order_.defined() ? order_.values<std::int64_t>()[static_cast<std::size_t>(begin_ + index)]
                          : begin_ + index;
}

Item Dataset::item(std::int64_t index) const {
  if (index < 0 || index >= size_)
    throw ArgumentError(fmt::format("item: item {} asked of {} items", index, size_));
  return source_->item(row_of(index));
}

Batch Dataset::batch(std::int64_t begin, std::int64_t end) const {
  if (begin < 0 || end < begin || end > size_)
    throw ArgumentError(fmt::format("batch: items {} to {} asked of {} items", begin, end, size_));
  const auto count = static_cast<std::size_t>(end - begin);
  if (order_.defined())
    return rows(order_.values<std::int64_t>().subspan(static_cast<std::size_t>(begin_ + begin), count));
  Indices indices(count);
  std::iota(indices.begin(), indices.end(), begin_ + begin);
  return rows(indices);
}

Batch Dataset::gather(std::span<const std::int64_t> indices) const {
  for (const std::int64_t i : indices)
    if (i < 0 || i >= size_) throw ArgumentError(fmt::format("gather: item {} asked of {} items", i, size_));
  if (!order_.defined() && begin_ == 0) return rows(indices);
  Indices rows_of_source(indices.begin(), indices.end());
  for (std::int64_t& i : rows_of_source) i = row_of(i);
  return rows(rows_of_source);
}

/// The batch of these items of the source.
Batch Dataset::rows(std::span<const std::int64_t> rows) const {
  if (!source_) throw ArgumentError("dataset: it is empty and has no batches");
  Batch batch = source_->gather(rows);
  batching::require_names("dataset: what its source or map() has made", batch);
  if (!batching::has_items(batch, std::ssize(rows)) ||
      (!batch.x.defined() && !batch.t.defined() && batch.more.empty()))
    throw ShapeError(
        fmt::format("dataset: {} items were asked of its source or map(), which has made {}; the first axis "
                    "of each tensor "
                    "must count the items",
                    rows.size(), batching::describe(batch)));
  return batch;
}

}  // namespace tapegrad::nn
