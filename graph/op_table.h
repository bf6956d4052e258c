#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/tensor.h>

namespace tapegrad {
class AttributeVisitor;
}

namespace tapegrad::detail {

class RuleContext;

/// Which values a rule reads: bit i is input i, kOutputBit the output, kResidualBit + i residual i.
using SaveMask = std::uint16_t;
inline constexpr unsigned kOutputBit = 8;
inline constexpr unsigned kResidualBit = 9;
inline constexpr std::size_t kMaxResiduals = 4;
inline constexpr std::uint8_t kAnyOrder = 255;

/// What the engine knows of an operation: constant, shared by all its nodes, plain functions.
struct OpTable {
  const char* name;
  /// Highest order of derivative: 0 not differentiable, kAnyOrder without limit.
  std::uint8_t max_order;
  /// True where `forward` runs other operations; the engine then guards the tape's recording from it.
  bool composed;
  /// How many residuals `forward` produces.
  std::uint8_t residuals;
  /// Bit i: input i may be an undefined tensor.
  std::uint8_t optional_inputs;
  std::uint16_t attribute_bytes;
  std::uint16_t attribute_align;
  /// saves[i]: what the gradient of input i reads. Inputs beyond the second-to-last entry share the last.
  SaveMask saves[4];
  /// `residuals`: place for as many tensors as the op has residuals; null where nobody will read them.
  Tensor (*forward)(const void* attributes, const Tensor* const* inputs, std::size_t count,
                    Tensor* residuals);
  void (*vjp)(RuleContext&);
  /// Null for an op that has no attributes, or does not name them.
  void (*describe)(const void* attributes, AttributeVisitor& visitor);
  /// The sum of two gradients, as an operation; and the same in place, of n elements.
  Tensor (*add)(const Tensor&, const Tensor&);
  void (*add_into)(Dtype dtype, std::byte* sum, const std::byte* term, std::int64_t n);

  SaveMask saves_for_input(std::size_t input) const { return saves[input < 4 ? input : 3]; }
};

}  // namespace tapegrad::detail
