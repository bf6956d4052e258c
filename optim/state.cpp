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

}  // namespace

std::vector<Tensor> match_state(std::string_view what, const State& expected, const State& given) {
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : given) {
    if (!tensor.defined()) throw ArgumentError(fmt::format("{}: '{}' is an undefined tensor", what, name));
    if (!by_name.emplace(name, &tensor).second)
      throw ArgumentError(fmt::format("{}: '{}' is given twice", what, name));
  }

  std::vector<Tensor> matched;
  std::vector<std::string_view> missing;
  std::string misfits;
  bool shapes_differ = false;
  bool transposed = false;
  for (const auto& [name, tensor] : expected) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      missing.push_back(name);
      continue;
    }
    const Tensor& t = *found->second;
    by_name.erase(found);
    matched.push_back(t);
    if (t.shape() == tensor.shape() && t.dtype() == tensor.dtype()) continue;
    shapes_differ |= t.shape() != tensor.shape();
    transposed |= is_transpose(t.shape(), tensor.shape());
    misfits += fmt::format("{}'{}' is {} of {}, expected is {} of {}", misfits.empty() ? "" : "; ", name,
                           to_string(t.shape()), name_of(t.dtype()), to_string(tensor.shape()),
                           name_of(tensor.dtype()));
  }
  std::vector<std::string_view> unexpected;
  for (const auto& [name, tensor] : given)
    if (by_name.contains(name)) unexpected.push_back(name);

  if (!missing.empty() || !unexpected.empty())
    throw ArgumentError(
        fmt::format("{}: the names do not match{}{}{}", what,
                    missing.empty() ? "" : fmt::format("; missing: {}", fmt::join(missing, ", ")),
                    unexpected.empty() ? "" : fmt::format("; unexpected: {}", fmt::join(unexpected, ", ")),
                    std::ranges::any_of(unexpected, is_of_pytorch) ? fmt::format(". {}", kPytorchHint) : ""));
  if (shapes_differ)
    throw ShapeError(fmt::format(
        "{}: {}{}", what, misfits,
        transposed ? fmt::format(". The shape is that of the transpose of what is expected. {}", kPytorchHint)
                   : ""));
  if (!misfits.empty()) throw DtypeError(fmt::format("{}: {}; cast them first", what, misfits));
  return matched;
}

}  // namespace tapegrad::optim
