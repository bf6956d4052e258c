#include <algorithm>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/einsum.h>
#include <tapegrad/ops/tensor/einsum_formula.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

namespace tapegrad {

namespace {

using detail::Label;
using detail::Labels;

bool contains(const Labels& labels, Label axis) { return std::ranges::find(labels, axis) != labels.end(); }

Labels joined(Labels a, const Labels& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A tensor whose axes have labels.
struct Operand {
  Tensor tensor;
  Labels labels;

  std::int64_t size_of(const Labels& some) const {
    std::int64_t size = 1;
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (contains(some, labels[i])) size *= tensor.shape()[i];
    return size;
  }
  std::vector<std::int64_t> sizes_of(const Labels& some) const {
    std::vector<std::int64_t> sizes;
    for (const Label axis : some)
      sizes.push_back(
          tensor.shape()[static_cast<std::size_t>(std::ranges::find(labels, axis) - labels.begin())]);
    return sizes;
  }
  void permute_to(const Labels& order) {
    if (labels == order) return;
    std::vector<std::int64_t> axes;
    for (const Label axis : order) axes.push_back(std::ranges::find(labels, axis) - labels.begin());
    tensor = permute(tensor, axes);
    labels = order;
  }
};

/// Of each label that stands twice, the elements whose two indices are equal.
void take_diagonals(Operand& x) {
  for (std::size_t i = 0; i < x.labels.size();) {
    const Label axis = x.labels[i];
    const auto twin = std::find(x.labels.begin() + static_cast<std::ptrdiff_t>(i) + 1, x.labels.end(), axis);
    if (twin == x.labels.end()) {
      ++i;
      continue;
    }
    const auto second = static_cast<std::size_t>(twin - x.labels.begin());
    std::vector<std::int64_t> order;
    Labels others;
    for (std::size_t k = 0; k < x.labels.size(); ++k)
      if (k != i && k != second) order.push_back(static_cast<std::int64_t>(k)), others.push_back(x.labels[k]);
    order.push_back(static_cast<std::int64_t>(i));
    order.push_back(static_cast<std::int64_t>(second));
    const Tensor last = permute(x.tensor, order);
    x.tensor = slice(flatten(last, -2, -1), -1, 0, kToEnd, last.dim(-1) + 1);
    x.labels = joined(others, {axis});
    i = 0;
  }
}

/// Without axes of size 1 that others repeat.
void drop_repeated(Operand& x, const std::map<Label, std::int64_t>& sizes) {
  for (std::size_t i = x.labels.size(); i-- > 0;)
    if (x.tensor.shape()[i] != sizes.at(x.labels[i])) {
      x.tensor = reshape(x.tensor, x.tensor.shape().removed(i));
      x.labels.erase(x.labels.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

/// Sums over the axes that the condition does not hold for.
template <class F>
void sum_others(Operand& x, const F& stays) {
  std::vector<std::int64_t> axes;
  Labels left;
  for (std::size_t i = 0; i < x.labels.size(); ++i)
    if (stays(x.labels[i]))
      left.push_back(x.labels[i]);
    else
      axes.push_back(static_cast<std::int64_t>(i));
  if (axes.empty()) return;
  x.tensor = sum(x.tensor, Axes(std::span<const std::int64_t>(axes)));
  x.labels = std::move(left);
}

/// The product of two operands, summed over the labels of both that are not needed. Labels of one alone are needed.
Operand contract(Operand a, Operand b, const Labels& needed) {
  Labels batch, summed, of_a, of_b;
  for (const Label axis : a.labels)
    (!contains(b.labels, axis) ? of_a : contains(needed, axis) ? batch : summed).push_back(axis);
  for (const Label axis : b.labels)
    if (!contains(a.labels, axis)) of_b.push_back(axis);

  const std::int64_t batches = a.size_of(batch), rows = a.size_of(of_a), columns = b.size_of(of_b);
  std::vector<std::int64_t> sizes = a.sizes_of(joined(batch, of_a));
  for (const std::int64_t size : b.sizes_of(of_b)) sizes.push_back(size);
  const auto matrices = [&](const Tensor& t, std::int64_t m, std::int64_t n) {
    return reshape(t, batch.empty() ? Shape{m, n} : Shape{batches, m, n});
  };
  Tensor product;
  if (summed.empty()) {
    a.permute_to(joined(batch, of_a));
    b.permute_to(joined(batch, of_b));
    product = matrices(a.tensor, rows, 1) * matrices(b.tensor, 1, columns);
  } else {
    const std::int64_t count = a.size_of(summed);
    const bool transpose_a = !of_a.empty() && a.labels == joined(joined(batch, summed), of_a);
    if (!transpose_a) a.permute_to(joined(joined(batch, of_a), summed));
    const bool transpose_b = b.labels == joined(joined(batch, of_b), summed);
    if (!transpose_b) b.permute_to(joined(joined(batch, summed), of_b));
    product = matmul(transpose_a ? matrices(a.tensor, count, rows) : matrices(a.tensor, rows, count),
                     transpose_b ? matrices(b.tensor, columns, count) : matrices(b.tensor, count, columns),
                     {.transpose_a = transpose_a, .transpose_b = transpose_b});
  }
  return {reshape(product, Shape(std::span<const std::int64_t>(sizes))), joined(joined(batch, of_a), of_b)};
}

Tensor compute(const detail::EinsumFormula& formula, std::span<const Tensor> tensors) {
  std::vector<Operand> operands;
  for (std::size_t p = 0; p < tensors.size(); ++p) {
    Operand& x = operands.emplace_back(Operand{tensors[p], formula.operands[p]});
    take_diagonals(x);
    drop_repeated(x, formula.sizes);
  }
  Operand product = std::move(operands[0]);
  for (std::size_t p = 0; p < operands.size(); ++p) {
    Labels needed = formula.result;  // by the result and the operands still to come
    for (std::size_t later = p + 1; later < operands.size(); ++later)
      needed = joined(needed, operands[later].labels);
    if (p > 0) {
      Operand& next = operands[p];
      sum_others(next, [&](Label axis) { return contains(needed, axis) || contains(product.labels, axis); });
      product = contract(std::move(product), std::move(next), needed);
    }
    sum_others(product, [&](Label axis) { return contains(needed, axis); });
  }
  product.permute_to(formula.result);
  return product.tensor;
}

}  // namespace

Tensor einsum(std::string_view formula, std::span<const Tensor> operands) {
  constexpr const char* kName = "einsum";
  for (std::size_t p = 0; p < operands.size(); ++p) {
    detail::require_defined(kName, operands[p], {"operand", p});
    detail::require_floating(kName, operands[p], {"operand", p});
    detail::require_same_dtype(kName, operands[0], operands[p], {"operand", 0}, {"operand", p});
  }
  const detail::EinsumFormula read(formula, operands);
  return detail::named(kName, [&] { return compute(read, operands); });
}
Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands) {
  return einsum(formula, std::span(operands.begin(), operands.size()));
}

}  // namespace tapegrad
