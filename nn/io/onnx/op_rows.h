#pragma once

#include <functional>
#include <span>
#include <string_view>

#include <tapegrad/graph/op_table.h>
#include <tapegrad/nn/io/onnx/op_context.h>

/// What becomes of each operation of the library in ONNX. Not part of the library's interface.
namespace tapegrad::nn::onnx {

struct OpRow {
  std::string_view name;
  /// Appends nodes that compute the result; empty where the operation has no counterpart.
  std::function<Term(OpContext&)> emit;
  /// Why it has none.
  std::string_view reason{};
};

/// One row for each of library_ops().
std::span<const OpRow> op_rows();

/// The row of an operation of the library; null for one of a user's.
const OpRow* row_of(const tapegrad::detail::OpTable& table);

/// Throws ArgumentError for an operation that has no counterpart.
void require_counterparts(const Graph& graph);

}  // namespace tapegrad::nn::onnx
