#pragma once

#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include <tapegrad/nn/data/batch.h>

/// Not part of the library's interface.
namespace tapegrad::nn::batching {

/// Who makes the items that are stacked, and where they are to be brought to one shape, for messages.
struct ItemMaker {
  std::string_view name;
  std::string_view shapes_in;
};

/// The items of a batch as they come, stacked in its tensors.
class ItemStack {
 public:
  /// `first`, with the index that it has in its source, says what the others are like; it is the first of `items`,
  /// unless these are none. Throws ArgumentError for one without tensors, or with one that is undefined.
  ItemStack(const ItemMaker& maker, const Item& first, std::int64_t index, std::int64_t items);
  /// The next item. Throws ShapeError, DtypeError or ArgumentError where its shapes, dtypes or names differ from those
  /// of the first one, naming both.
  void add(const Item& item, std::int64_t index);
  Batch take() { return std::move(batch_); }

 private:
  void copy(std::string_view name, const Tensor& from, std::int64_t index, const Tensor& to) const;
  [[noreturn]] void throw_names(const Item& item, std::int64_t index) const;

  ItemMaker maker_;
  Batch batch_;
  std::int64_t first_index_;
  std::int64_t count_ = 0;
};

/// The items with these indices, which item(index) gives, as one batch; `pattern` is asked where there are none.
template <class F>
Batch stacked(const ItemMaker& maker, std::span<const std::int64_t> indices, std::int64_t pattern, F item) {
  const std::int64_t first = indices.empty() ? pattern : indices[0];
  ItemStack stack(maker, item(first), first, std::ssize(indices));
  for (const std::int64_t index : indices.subspan(indices.empty() ? 0 : 1)) stack.add(item(index), index);
  return stack.take();
}

}  // namespace tapegrad::nn::batching
