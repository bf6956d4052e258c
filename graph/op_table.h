#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/tensor.h>

namespace tapegrad::detail {

class RuleContext;

/// Which values a rule reads: bit i is input i, bit kOutputBit the output.
using SaveMask = std::uint8_t;
inline constexpr unsigned kOutputBit = 7;
inline constexpr std::uint8_t kAnyOrder = 255;

/// What the engine knows of an operation: constant, shared by all its nodes, plain functions.
struct OpTable {
  const char* name;
  /// Highest order of derivative: 0 not differentiable, kAnyOrder without limit.
  std::uint8_t max_order;
  /// True where `forward` runs other operations; the engine then shields it from the tape.
  bool composed;
  std::uint16_t attribute_bytes;
  std::uint16_t attribute_align;
  /// saves[i]: what the gradient of input i reads. Inputs beyond the second-to-last entry share the last.
  SaveMask saves[4];
  Tensor (*forward)(const void* attributes, const Tensor* const* inputs, std::size_t count);
  void (*vjp)(RuleContext&);
  /// The sum of two gradients, as an operation; and the same in place, of n elements.
  Tensor (*add)(const Tensor&, const Tensor&);
  void (*add_into)(Dtype dtype, std::byte* sum, const std::byte* term, std::int64_t n);

  SaveMask saves_for_input(std::size_t input) const { return saves[input < 4 ? input : 3]; }
};

}  // namespace tapegrad::detail
