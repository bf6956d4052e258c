#pragma once

#include <cstddef>
#include <span>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/tensor.h>

/// For tools that look into rules: a hook that sees what operations give while a rule is being recorded, and may put
/// something else in its place. What composed operations run inside is not seen.
namespace tapegrad::detail {

class TAPEGRAD_API ResultHook {
 public:
  /// Of this thread. The last one made is asked.
  ResultHook();
  virtual ~ResultHook();
  ResultHook(const ResultHook&) = delete;
  ResultHook& operator=(const ResultHook&) = delete;

  /// Gives what stands in the place of `out`, of its shape and dtype, or an undefined tensor for `out` itself. The
  /// operations that it applies are not seen.
  virtual Tensor run(const OpTable& op, std::span<const Tensor* const> inputs, const Tensor& out) = 0;

  /// Puts what this gives in the place of the result of an operation that a rule has applied while it is recorded; the
  /// engine calls it.
  void replace(const OpTable& op, std::span<const Tensor* const> inputs, Tensor& out);

 private:
  ResultHook* before_;
};

}  // namespace tapegrad::detail
