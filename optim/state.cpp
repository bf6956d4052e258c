#include <algorithm>
#include <unordered_map>

#include <tapegrad/graph/errors.h>
#include <tapegrad/optim/state.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {

bool is_transpose(const Shape& a, const Shape& b) {
  return a.rank() == 2 && b.rank() == 2 && a != b && a[0] == b[1] && a[1] == b[0];
}

/// Names that only modules of PyTorch have.
bool is_of_pytorch(std::string_view name) {
  return name.ends_with("num_batches_tracked") || name.ends_with("in_proj_weight");
}

constexpr const char* kPytorchHint =
    "PyTorch's weights of linear layers are [out, in], here they are [in, out]: nn::load_foreign transposes "
    "them, the square ones too, whose shape does not tell";

/// A tensor that is not like the one expected under its name.
struct Unlike {
  std::string_view name;
  const Tensor* given;
  const Tensor* expected;

  bool shapes_differ() const { return given->shape() != expected->shape(); }
  bool transposed() const { return is_transpose(given->shape(), expected->shape()); }
};

struct Comparison {
  StateMatch match;
  std::vector<Unlike> unlike;
};

Comparison compare(std::string_view what, const State& expected, const State& given) {
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : given) {
    if (!tensor.defined()) throw ArgumentError(fmt::format("{}: '{}' is an undefined tensor", what, name));
    if (!by_name.emplace(name, &tensor).second)
      throw ArgumentError(fmt::format("{}: '{}' is given twice", what, name));
  }
  Comparison result;
  StateMatch& match = result.match;
  for (const auto& [name, tensor] : expected) {
    Tensor& matched = match.tensors.emplace_back();
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      match.missing.push_back(name);
      continue;
    }
    const Tensor& t = *found->second;
    by_name.erase(found);
    if (t.shape() == tensor.shape())
      matched = t;
    else
      match.misfits.push_back({name, t.shape(), tensor.shape()});
    if (t.shape() != tensor.shape() || t.dtype() != tensor.dtype())
      result.unlike.push_back({name, &t, &tensor});
  }
  for (const auto& [name, tensor] : given)
    if (by_name.contains(name)) match.unexpected.push_back(name);
  return result;
}

/// Throws where there is any.
void require_none(std::string_view what, const std::vector<Unlike>& unlike) {
  if (unlike.empty()) return;
  std::string text;
  for (const Unlike& u : unlike)
    text += fmt::format("{}'{}' is {} of {}, expected is {} of {}", text.empty() ? "" : "; ", u.name,
                        to_string(u.given->shape()), name_of(u.given->dtype()),
                        to_string(u.expected->shape()), name_of(u.expected->dtype()));
  if (std::ranges::none_of(unlike, &Unlike::shapes_differ))
    throw DtypeError(fmt::format("{}: {}; cast them first", what, text));
  const bool transposed = std::ranges::any_of(unlike, &Unlike::transposed);
  throw ShapeError(fmt::format(
      "{}: {}{}", what, text,
      transposed ? fmt::format(". The shape is that of the transpose of what is expected. {}", kPytorchHint)
                 : ""));
}

}  // namespace

StateMatch match_partly(std::string_view what, const State& expected, const State& given) {
  Comparison c = compare(what, expected, given);
  std::erase_if(c.unlike, [](const Unlike& u) { return u.shapes_differ() && !u.transposed(); });
  require_none(what, c.unlike);
  return std::move(c.match);
}

std::vector<Tensor> match_state(std::string_view what, const State& expected, const State& given) {
  Comparison c = compare(what, expected, given);
  const std::vector<std::string>&missing = c.match.missing, &unexpected = c.match.unexpected;
  if (!missing.empty() || !unexpected.empty())
    throw ArgumentError(
        fmt::format("{}: the names do not match{}{}{}", what,
                    missing.empty() ? "" : fmt::format("; missing: {}", fmt::join(missing, ", ")),
                    unexpected.empty() ? "" : fmt::format("; unexpected: {}", fmt::join(unexpected, ", ")),
                    std::ranges::any_of(unexpected, is_of_pytorch) ? fmt::format(". {}", kPytorchHint) : ""));
  require_none(what, c.unlike);
  return std::move(c.match.tensors);
}

}  // namespace tapegrad::optim
