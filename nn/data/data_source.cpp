#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data_source.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

std::string names_of(const Item& item) {
  std::string names;
  batching::for_each(item, [&](std::string_view name, const Tensor&) {
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name);
  });
  return names.empty() ? "no tensors" : names;
}

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.size()) * size_of(t.dtype()); }

/// The items of a batch as they come, stacked in its tensors.
class Stack {
 public:
  /// `first`, with the index that it has in its source, says what the others are like.
  Stack(const Item& first, std::int64_t index, std::int64_t items) : first_index_(index) {
    const auto room_for = [&](std::string_view name, const Tensor& one) {
      if (!one.defined())
        throw ArgumentError(fmt::format(
            "data source: \"{}\" of item {} is undefined; leave it out, or give it a value", name, index));
      return TensorAccess::make(one.shape().inserted(0, items), one.dtype(), "data source");
    };
    if (first.x.defined()) batch_.x = room_for("x", first.x);
    if (first.t.defined()) batch_.t = room_for("t", first.t);
    for (const auto& [name, one] : first.more) batch_.more.emplace_back(name, room_for(name, one));
    batching::require_names(fmt::format("data source: item {}", index), batch_);
    if (batch_.names().empty())
      throw ArgumentError(
          fmt::format("data source: item {} has no tensors; an item needs at least one", index));
    if (items > 0) add(first, index);
  }

  /// The next item.
  void add(const Item& item, std::int64_t index) {
    bool same_names = item.x.defined() == batch_.x.defined() && item.t.defined() == batch_.t.defined() &&
                      item.more.size() == batch_.more.size();
    for (std::size_t i = 0; same_names && i < item.more.size(); ++i)
      same_names = item.more[i].first == batch_.more[i].first;
    if (!same_names) throw_names(item, index);
    if (item.x.defined()) copy("x", item.x, index, batch_.x);
    if (item.t.defined()) copy("t", item.t, index, batch_.t);
    for (std::size_t i = 0; i < item.more.size(); ++i)
      copy(item.more[i].first, item.more[i].second, index, batch_.more[i].second);
    ++count_;
  }

  Batch take() { return std::move(batch_); }

 private:
  void copy(std::string_view name, const Tensor& from, std::int64_t index, const Tensor& to) const {
    const Shape pattern = to.shape().removed(0);
    if (!from.defined())
      throw ArgumentError(
          fmt::format("data source: \"{}\" of item {} is undefined, of item {} it is {}; give each item a "
                      "value",
                      name, index, first_index_, to_string(pattern)));
    if (from.shape() != pattern)
      throw ShapeError(
          fmt::format("data source: \"{}\" of item {} is {}, of item {} in the same batch it is {}; bring "
                      "items to one shape in item(), or override gather(), which may pad those of a batch",
                      name, index, to_string(from.shape()), first_index_, to_string(pattern)));
    if (from.dtype() != to.dtype())
      throw DtypeError(
          fmt::format("data source: \"{}\" of item {} is {}, of item {} in the same batch it is {}; give all "
                      "items one dtype",
                      name, index, name_of(from.dtype()), first_index_, name_of(to.dtype())));
    if (const std::size_t bytes = bytes_of(from); bytes > 0)
      std::memcpy(TensorAccess::data(to) + static_cast<std::size_t>(count_) * bytes, TensorAccess::data(from),
                  bytes);
  }

  [[noreturn]] void throw_names(const Item& item, std::int64_t index) const {
    const Item pattern{batch_.x, batch_.t, batch_.more};
    throw ArgumentError(
        fmt::format("data source: item {} has {}, item {} in the same batch has {}; give all items the same "
                    "tensors in the same order",
                    index, names_of(item), first_index_, names_of(pattern)));
  }

  Batch batch_;
  std::int64_t first_index_;
  std::int64_t count_ = 0;
};

}  // namespace

DataSource::~DataSource() = default;

std::int64_t DataSource::classes() const { return 0; }

Batch DataSource::gather(std::span<const std::int64_t> indices) const {
  if (indices.empty() && size() == 0)
    throw ArgumentError("data source: there are no items, whose shapes a batch of none could have");
  const std::int64_t pattern = indices.empty() ? 0 : indices[0];
  Stack stack(item(pattern), pattern, std::ssize(indices));
  for (const std::int64_t index : indices.subspan(indices.empty() ? 0 : 1)) stack.add(item(index), index);
  return stack.take();
}

}  // namespace tapegrad::nn
