#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/batch.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

constexpr std::string_view kInputs = "x";
constexpr std::string_view kTargets = "t";

/// The tensor of that name; null where there is none.
template <class B>
auto* find(B& batch, std::string_view name) {
  if (name == kInputs) return &batch.x;
  if (name == kTargets) return &batch.t;
  const auto found = std::ranges::find_if(batch.more, [&](const auto& named) { return named.first == name; });
  return found == batch.more.end() ? nullptr : &found->second;
}

}  // namespace

std::int64_t Batch::size() const {
  if (x.defined()) return x.dim(0);
  if (t.defined()) return t.dim(0);
  return more.empty() ? 0 : more.front().second.dim(0);
}

const Tensor& Batch::operator[](std::string_view name) const {
  if (const Tensor* found = find(*this, name); found && found->defined()) return *found;
  throw ArgumentError(fmt::format(
      "batch: there is no tensor \"{}\"; its tensors are {}. Give the data set one of that name, or look "
      "whether a transform leaves it out",
      name, batching::describe(*this)));
}

void Batch::set(std::string_view name, const Tensor& tensor) {
  if (name.empty()) throw ArgumentError("batch: a tensor is set under an empty name; give it one");
  if (Tensor* found = find(*this, name))
    *found = tensor;
  else
    more.emplace_back(name, tensor);
}

std::vector<std::string> Batch::names() const {
  std::vector<std::string> all;
  batching::for_each(*this, [&](std::string_view name, const Tensor&) { all.emplace_back(name); });
  return all;
}

namespace batching {

std::string describe(const Batch& batch) {
  std::string text;
  for_each(batch, [&](std::string_view name, const Tensor& tensor) {
    fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", name,
                   tensor.defined() ? to_string(tensor.shape()) : "undefined");
  });
  return text.empty() ? "no tensors" : text;
}

bool has_items(const Batch& batch, std::int64_t items) {
  bool all = true;
  for_each(batch, [&](std::string_view, const Tensor& tensor) {
    all = all && tensor.rank() > 0 && tensor.dim(0) == items;
  });
  return all;
}

void require_names(std::string_view what, const Batch& batch) {
  for (auto named = batch.more.begin(); named != batch.more.end(); ++named) {
    const auto& [name, tensor] = *named;
    const auto is_it = [&](const auto& other) { return other.first == named->first; };
    if (!tensor.defined())
      throw ArgumentError(
          fmt::format("{}: the tensor \"{}\" is undefined; give it a value, or leave it out", what, name));
    if (name.empty() || name == kInputs || name == kTargets || std::any_of(batch.more.begin(), named, is_it))
      throw ArgumentError(fmt::format(
          "{}: a tensor is named \"{}\", which is no name or another one's; each needs its own", what, name));
  }
}

}  // namespace batching

}  // namespace tapegrad::nn
