#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/gradients.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {
// Parameters first, by id; watched tensors behind them in the order in which they came.
bool before(const Gradients::Entry& e, std::uint64_t parameter) {
  return e.key.parameter != 0 && e.key.parameter < parameter;
}
}  // namespace

const Tensor* Gradients::find(const Key& key) const noexcept {
  if (key.parameter) {
    // Numbers of parameters that were made one after the other follow each other, too.
    const std::uint64_t offset = entries_.empty() ? 0 : key.parameter - entries_.front().key.parameter;
    if (offset < entries_.size() && entries_[offset].key == key) return &entries_[offset].value;
    const auto e = std::lower_bound(entries_.begin(), entries_.end(), key.parameter, before);
    return e != entries_.end() && e->key == key ? &e->value : nullptr;
  }
  const auto e = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& x) { return x.key == key; });
  return e != entries_.end() ? &e->value : nullptr;
}

const Tensor* Gradients::find(const Parameter& parameter) const noexcept {
  return parameter.defined() ? find(Key{parameter.id(), {}}) : nullptr;
}

Tensor* Gradients::find(const Parameter& parameter) noexcept {
  return const_cast<Tensor*>(std::as_const(*this).find(parameter));
}

const Tensor* Gradients::find(const Tensor& watched) const noexcept {
  const detail::Tag& tag = detail::TensorAccess::tag(watched);
  return tag.epoch ? find(Key{0, tag}) : nullptr;
}

const Tensor& Gradients::operator[](const Parameter& parameter) const& {
  if (const Tensor* g = find(parameter)) return *g;
  throw NotTracked(
      fmt::format("gradients: none for a parameter of shape {}: the tape did not read it, or it is frozen",
                  to_string(parameter.shape())));
}

const Tensor& Gradients::operator[](const Tensor& watched) const& {
  if (const Tensor* g = find(watched)) return *g;
  throw NotTracked(
      fmt::format("gradients: none for a tensor of shape {}: it is not what Tape::watch returned on the tape "
                  "that ran backward; ask Tape::grad for intermediate values",
                  to_string(watched.shape())));
}

void Gradients::insert(const Key& key, Tensor value) {
  // The newest, as a rule: entries come in their order.
  if (key.parameter && (entries_.empty() || before(entries_.back(), key.parameter))) {
    entries_.push_back(Entry{key, std::move(value)});
    return;
  }
  const auto at = key.parameter ? std::lower_bound(entries_.begin(), entries_.end(), key.parameter, before)
                                : entries_.end();
  entries_.insert(at, Entry{key, std::move(value)});
}

}  // namespace tapegrad
