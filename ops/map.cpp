#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/map.h>

#include <fmt/format.h>

namespace tapegrad::detail {

void throw_changed_function(const char* op) {
  throw MutatedSaved(fmt::format(
      "{}: its function computes something else than when it was recorded: it captures by reference ([&]) "
      "a variable that has changed since, or is gone; capture by value, as [=] does",
      op_label(op)));
}

}  // namespace tapegrad::detail
