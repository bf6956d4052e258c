#include <algorithm>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/state.h>

namespace tapegrad::nn {

bool is_finite(const State& state) {
  return std::ranges::all_of(
      state, [](const auto& named) { return tapegrad::detail::first_non_finite(named.second) < 0; });
}

}  // namespace tapegrad::nn
