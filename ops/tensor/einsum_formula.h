#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/tensor.h>

/// Not part of the library's interface.
namespace tapegrad::detail {

/// An axis of an einsum: the character of its letter, or kUnnamed + i for the i-th from the last of those that "..."
/// stands for.
using Label = int;
using Labels = std::vector<Label>;
inline constexpr Label kUnnamed = 256;

/// What an einsum's formula says of certain operands.
struct EinsumFormula {
  std::vector<Labels> operands;  ///< a label for each axis
  Labels result;
  std::map<Label, std::int64_t> sizes;

  /// Throws as einsum does.
  EinsumFormula(std::string_view formula, std::span<const Tensor> tensors);

 private:
  void set_sizes(const std::string& label, std::span<const Tensor> tensors);
};

}  // namespace tapegrad::detail
