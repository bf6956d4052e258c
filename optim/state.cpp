#include <unordered_map>

#include <tapegrad/graph/errors.h>
#include <tapegrad/optim/state.h>

#include <fmt/format.h>

namespace tapegrad::optim {

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
    misfits += fmt::format("{}'{}' is {} of {}, expected is {} of {}", misfits.empty() ? "" : "; ", name,
                           to_string(t.shape()), name_of(t.dtype()), to_string(tensor.shape()),
                           name_of(tensor.dtype()));
  }
  std::vector<std::string_view> unexpected;
  for (const auto& [name, tensor] : given)
    if (by_name.contains(name)) unexpected.push_back(name);

  if (!missing.empty() || !unexpected.empty())
    throw ArgumentError(
        fmt::format("{}: the names do not match{}{}", what,
                    missing.empty() ? "" : fmt::format("; missing: {}", fmt::join(missing, ", ")),
                    unexpected.empty() ? "" : fmt::format("; unexpected: {}", fmt::join(unexpected, ", "))));
  if (shapes_differ) throw ShapeError(fmt::format("{}: {}", what, misfits));
  if (!misfits.empty()) throw DtypeError(fmt::format("{}: {}; cast them first", what, misfits));
  return matched;
}

}  // namespace tapegrad::optim
