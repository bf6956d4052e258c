#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/function.h>

#include <fmt/format.h>

namespace tapegrad::detail {

void throw_no_callback() {
  throw ArgumentError("function: none was given, and it is to be called; give one, such as a lambda");
}

void throw_arity(std::size_t takes, std::size_t given) {
  throw ArgumentError(
      fmt::format("function: it takes {} tensor{}, and {} {} given; give one for each of its parameters",
                  takes, takes == 1 ? "" : "s", given, given == 1 ? "was" : "were"));
}

}  // namespace tapegrad::detail
