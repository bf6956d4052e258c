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

std::vector<TensorNumber> scalar_numbers(const Tensor& x) {
  if (!x.tracked()) {
    const std::vector<double> values = scalar_values(x);
    return {values.begin(), values.end()};
  }
  std::vector<TensorNumber> all;
  const Tensor flat = cast(reshape(x, {x.size()}), f64);
  for (std::int64_t i = 0; i < x.size(); ++i) all.emplace_back(reshape(slice(flat, 0, i, i + 1), {}));
  return all;
}

Tensor scalar_tensor(std::span<const double> numbers, Dtype dtype) {
  Tensor tensor = Tensor::empty({static_cast<std::int64_t>(numbers.size())}, dtype);
  visit_floating(dtype, [&]<class T> {
    T* to = TensorAccess::data_as<T>(tensor);
    for (const double x : numbers) *to++ = static_cast<T>(x);
  });
  return tensor;
}

Tensor scalar_tensor(std::span<const TensorNumber> numbers, Dtype dtype) {
  if (numbers.empty()) return Tensor::empty({0}, dtype);
  std::vector<Tensor> parts;
  for (const TensorNumber& x : numbers) parts.push_back(x.tensor());
  return cast(stack(parts), dtype);
}

static_assert(sizeof(ScalarCell<double>) == 2 * sizeof(std::int64_t));

Tensor saved_cells(const ScalarRecord<double>& record) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(record.cells()), 2}, i64);
  record.copy_cells(reinterpret_cast<ScalarCell<double>*>(TensorAccess::data_as<std::int64_t>(t)));
  return t;
}

Tensor saved_results(const ScalarRecord<double>& record, std::span<const tapegrad::Real> results) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(results.size()) + 1}, i64);
  std::int64_t* to = TensorAccess::data_as<std::int64_t>(t);
  for (const tapegrad::Real& y : results) *to++ = y.number_in(record);
  *to = static_cast<std::int64_t>(record.size());
  return t;
}

std::vector<double> saved_gradients(const Tensor& cells, const Tensor& results, const Tensor& grad_output,
                                    std::size_t inputs) {
  const std::int64_t* const number = TensorAccess::data_as<std::int64_t>(results);
  const std::int64_t last = number[grad_output.size()];
  std::vector<double> d(static_cast<std::size_t>(last) + 1, 0.0);
  const std::vector<double> g = scalar_values(grad_output);
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (number[i] > last) throw_damaged_record();
    d[static_cast<std::size_t>(number[i])] += g[i];
  }
  d[0] = 0;  // constants
  const auto* const first =
      reinterpret_cast<const ScalarCell<double>*>(TensorAccess::data_as<std::int64_t>(cells));
  pass_back<double>(first, first + cells.shape()[0], static_cast<std::uint32_t>(last), d.data());
  d.erase(d.begin());
  d.resize(inputs);
  return d;
}

}  // namespace tapegrad::detail
