#include <cstddef>
#include <cstring>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/item_stack.h>

#include <fmt/format.h>

namespace tapegrad::nn::batching {

using tapegrad::detail::TensorAccess;

namespace {

std::string names_of(const Item& item) {
  std::string names;
  for_each(item, [&](std::string_view name, const Tensor&) {
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name);
  });
  return names.empty() ? "no tensors" : names;
}

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.size()) * size_of(t.dtype()); }

}  // namespace

ItemStack::ItemStack(const ItemMaker& maker, const Item& first, std::int64_t index, std::int64_t items)
    : maker_(maker), first_index_(index) {
  const auto room_for = [&](std::string_view name, const Tensor& one) {
    if (!one.defined())
      throw ArgumentError(fmt::format("{}: \"{}\" of item {} is undefined; leave it out, or give it a value",
                                      maker.name, name, index));
    return TensorAccess::make(one.shape().inserted(0, items), one.dtype(), maker_.name);
  };
  if (first.x.defined()) batch_.x = room_for("x", first.x);
  if (first.t.defined()) batch_.t = room_for("t", first.t);
  for (const auto& [name, one] : first.more) batch_.more.emplace_back(name, room_for(name, one));
  require_names(fmt::format("{}: item {}", maker.name, index), batch_);
  if (batch_.names().empty())
    throw ArgumentError(
        fmt::format("{}: item {} has no tensors; an item needs at least one", maker.name, index));
  if (items > 0) add(first, index);
}

void ItemStack::add(const Item& item, std::int64_t index) {
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

void ItemStack::copy(std::string_view name, const Tensor& from, std::int64_t index, const Tensor& to) const {
  const Shape pattern = to.shape().removed(0);
  if (!from.defined())
    throw ArgumentError(
        fmt::format("{}: \"{}\" of item {} is undefined, of item {} it is {}; give each item a value",
                    maker_.name, name, index, first_index_, to_string(pattern)));
  if (from.shape() != pattern)
    throw ShapeError(fmt::format(
        "{}: \"{}\" of item {} is {}, of item {} in the same batch it is {}; bring items to one shape {}",
        maker_.name, name, index, to_string(from.shape()), first_index_, to_string(pattern),
        maker_.shapes_in));
  if (from.dtype() != to.dtype())
    throw DtypeError(fmt::format(
        "{}: \"{}\" of item {} is {}, of item {} in the same batch it is {}; give all items one dtype",
        maker_.name, name, index, name_of(from.dtype()), first_index_, name_of(to.dtype())));
  if (const std::size_t bytes = bytes_of(from); bytes > 0)
    std::memcpy(TensorAccess::data(to) + static_cast<std::size_t>(count_) * bytes, TensorAccess::data(from),
                bytes);
}

void ItemStack::throw_names(const Item& item, std::int64_t index) const {
  const Item pattern{batch_.x, batch_.t, batch_.more};
  throw ArgumentError(
      fmt::format("{}: item {} has {}, item {} in the same batch has {}; give all items the same tensors in "
                  "the same order",
                  maker_.name, index, names_of(item), first_index_, names_of(pattern)));
}

}  // namespace tapegrad::nn::batching
