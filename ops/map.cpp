#include <cstdint>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/map.h>

#include <fmt/format.h>

namespace tapegrad::detail {

void write_points(std::span<const Tensor* const> inputs, double* points) {
  constexpr std::pair<double, double> kAlways[] = {{0.37, 0.21}, {-1.3, 0.57}, {4.1, -0.83}};
  for (const auto& [first, step] : kAlways)
    for (std::size_t i = 0; i < inputs.size(); ++i) *points++ = first + step * static_cast<double>(i);
  for (const double share : {0.0, 0.5, 1.0})
    for (const Tensor* x : inputs) {
      const bool any = x->defined() && x->size() > 0 && is_floating(x->dtype());
      *points++ =
          any ? value_at(*x, static_cast<std::int64_t>(share * static_cast<double>(x->size() - 1))) : 0;
    }
}

void throw_changed_function(const char* op) {
  throw MutatedSaved(fmt::format(
      "{}: its function computes something else than when it was recorded: it captures by reference ([&]) "
      "a variable that has changed since, or is gone; capture by value, as [=] does",
      op_label(op)));
}

}  // namespace tapegrad::detail
