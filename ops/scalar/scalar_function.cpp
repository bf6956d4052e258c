#include <tapegrad/ops/scalar/scalar_function.h>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/elementwise/math.h>

namespace tapegrad::detail {

void require_scalar_inputs(std::span<const Tensor* const> in) {
  for (const Tensor* x : in) {
    require_floating("scalar_function", *x);
    require_same_dtype("scalar_function", *in[0], *x, "the first input", "another");
  }
}

std::vector<double> scalar_values(const Tensor& x) {
  std::vector<double> all(static_cast<std::size_t>(x.size()));
  visit_floating(x.dtype(), [&]<class T> {
    const T* const from = TensorAccess::data_as<T>(x);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<double>(from[i]);
  });
  return all;
}

Tensor scalar_result(std::span<const tapegrad::Real> results, bool single, Dtype dtype) {
  Tensor tensor = Tensor::empty(single ? Shape{} : Shape{static_cast<std::int64_t>(results.size())}, dtype);
  visit_floating(dtype, [&]<class T> {
    T* to = TensorAccess::data_as<T>(tensor);
    for (const tapegrad::Real& y : results) *to++ = static_cast<T>(y.value());
  });
  return tensor;
}

static_assert(sizeof(ScalarCell) == 2 * sizeof(std::int64_t));

Tensor scalar_cells(const ScalarRecord& record) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(record.cells()), 2}, i64);
  record.copy_cells(reinterpret_cast<ScalarCell*>(TensorAccess::data_as<std::int64_t>(t)));
  return t;
}

Tensor scalar_numbers(const ScalarRecord& record, std::span<const tapegrad::Real> results) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(results.size()) + 1}, i64);
  std::int64_t* to = TensorAccess::data_as<std::int64_t>(t);
  for (const tapegrad::Real& y : results) *to++ = y.number_in(record);
  *to = static_cast<std::int64_t>(record.size());
  return t;
}

std::vector<double> scalar_gradients(const Tensor& cells, const Tensor& numbers, const Tensor& grad_output,
                                     std::size_t inputs) {
  const std::int64_t* const number = TensorAccess::data_as<std::int64_t>(numbers);
  const std::int64_t last = number[grad_output.size()];
  std::vector<double> d(static_cast<std::size_t>(last) + 1, 0.0);
  const std::vector<double> g = scalar_values(grad_output);
  for (std::size_t i = 0; i < g.size(); ++i) d[static_cast<std::size_t>(number[i])] += g[i];
  d[0] = 0;  // constants
  const auto* const first = reinterpret_cast<const ScalarCell*>(TensorAccess::data_as<std::int64_t>(cells));
  pass_back(first, first + cells.shape()[0], static_cast<std::uint32_t>(last), d.data());
  d.erase(d.begin());
  d.resize(inputs);
  return d;
}

}  // namespace tapegrad::detail
