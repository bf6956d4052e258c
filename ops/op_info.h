#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/op_table.h>
#include <tapegrad/ops/op.h>

namespace tapegrad {

class Samples;

/// What the checker knows of an operation: the engine's table, and what the op's struct says beside it.
struct OpInfo {
  const detail::OpTable* table;       ///< what the engine knows of it
  unsigned nondifferentiable_inputs;  ///< bit i: the gradient of input i is zero by definition
  void (*samples)(Samples&);          ///< collects the points to check it at
  /// Where the op tells which way its decisions go; null elsewhere.
  Tensor (*branches)(const void* attributes, const Tensor* const* inputs, std::size_t count);
  std::optional<Waiver> waiver;  ///< what is excused, if anything

  /// As in messages and for the checker.
  const char* name() const { return table->name; }
};

/// Every operation of the library, in the order of <tapegrad/ops/op_list.h>.
TAPEGRAD_API std::span<const OpInfo* const> library_ops();

namespace detail {
/// Of an op whose struct is known where <tapegrad/ops/define.h> is included.
template <class Op>
const OpInfo& info_of();
}  // namespace detail

}  // namespace tapegrad
