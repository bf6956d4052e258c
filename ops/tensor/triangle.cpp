#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/triangle.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

/// [m, n], 1 where the elements of x stay: in row i from begin(i) up to end(i), both of which are clamped to the row.
template <class Begin, class End>
Tensor triangle_of(const Tensor& x, const char* op, Begin begin, End end) {
  detail::require_defined(op, x);
  if (x.rank() < 2)
    throw ShapeError(fmt::format("{}: {} has fewer than two axes; it takes matrices, [..., m, n]",
                                 op_label(op), to_string(x.shape())));
  const std::int64_t rows = x.dim(-2);
  const std::int64_t columns = x.dim(-1);
  Tensor mask = Tensor::zeros({rows, columns}, x.dtype());
  visit_dtype(x.dtype(), [&]<class T> {
    const std::span<T> elements = mask.mutable_values<T>();
    for (std::int64_t i = 0; i < rows; ++i) {
      T* const row = elements.data() + i * columns;
      std::fill(row + std::clamp<std::int64_t>(begin(i), 0, columns),
                row + std::clamp<std::int64_t>(end(i, columns), 0, columns), T{1});
    }
  });
  return mask;
}

/// A diagonal so far out that sums with numbers of rows and columns would overflow is as good as one just outside.
std::int64_t within(std::int64_t diagonal) {
  constexpr std::int64_t kFar = std::int64_t{1} << 62;
  return std::clamp(diagonal, -kFar, kFar);
}

}  // namespace

Tensor tril(const Tensor& x, std::int64_t diagonal) {
  const std::int64_t d = within(diagonal);
  const auto end = [d](std::int64_t i, std::int64_t) { return i + d + 1; };
  return where(triangle_of(
                   x, "tril", [](std::int64_t) { return std::int64_t{0}; }, end),
               x, 0);
}

Tensor triu(const Tensor& x, std::int64_t diagonal) {
  const std::int64_t d = within(diagonal);
  const auto end = [](std::int64_t, std::int64_t columns) { return columns; };
  return where(triangle_of(
                   x, "triu", [d](std::int64_t i) { return i + d; }, end),
               x, 0);
}

}  // namespace tapegrad
