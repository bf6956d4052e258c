#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Integers = std::vector<std::int64_t>;
using Run = std::function<std::vector<Tensor>(const NodeCall&)>;

template <class F>
Run with(F f) {
  return [=](const NodeCall& c) { return std::vector<Tensor>{f(c.in(0), c)}; };
}

/// An axis, a negative one counted from the end.
std::int64_t axis_of(const NodeCall& c, std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n) c.fail(fmt::format("names the axis {} of a tensor of {}", axis, rank));
  return axis < 0 ? axis + n : axis;
}

/// Of at most as many axes as a tensor has.
Shape shape_of(const NodeCall& c, const Integers& sizes) {
  if (sizes.size() > Shape::kMaxRank) c.fail(fmt::format("makes a tensor of {} axes", sizes.size()));
  return Shape(std::span<const std::int64_t>(sizes));
}

Run reduction(Tensor (*f)(const Tensor&, const Axes&, KeepDims)) {
  return with([=](const Tensor& x, const NodeCall& c) {
    const Integers axes = c.axes(1);
    const KeepDims keep = c.integer("keepdims", 1) ? KeepDims::yes : KeepDims::no;
    if (!axes.empty()) return f(x, Axes(std::span<const std::int64_t>(axes)), keep);
    return c.integer("noop_with_empty_axes", 0) ? x : f(x, Axes::all(), keep);
  });
}

Run position(Tensor (*f)(const Tensor&, const Axes&, KeepDims)) {
  return with([=](const Tensor& x, const NodeCall& c) {
    return f(x, c.integer("axis", 0), c.integer("keepdims", 1) ? KeepDims::yes : KeepDims::no);
  });
}

void check_first_position(const NodeCall& c) {
  if (c.integer("select_last_index", 0))
    c.fail("asks for the last of equal elements, which is not known here");
}

Tensor reshaped(const Tensor& x, const NodeCall& c) {
  Integers sizes = c.integers_in(1);
  const bool allow_zero = c.integer("allowzero", 0) != 0;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (sizes[i] == 0 && !allow_zero) {
      if (i >= x.rank()) c.fail(fmt::format("copies the size of axis {} of {}", i, to_string(x.shape())));
      sizes[i] = x.shape()[i];
    }
  // -1 is inferred, as reshape does itself.
  const auto inferred = std::ranges::find(sizes, -1);
  if (inferred != sizes.end()) {
    std::int64_t others = 1;
    for (const std::int64_t s : sizes)
      if (s != -1 && __builtin_mul_overflow(others, s, &others)) c.fail("makes a tensor that is too large");
    if (others <= 0 || x.size() % others != 0)
      c.fail(fmt::format("makes of {} what does not divide it", to_string(x.shape())));
    *inferred = x.size() / others;
  }
  return reshape(x, shape_of(c, sizes));
}

Tensor flattened(const Tensor& x, const NodeCall& c) {
  std::int64_t axis = c.integer("axis", 1);
  if (axis != static_cast<std::int64_t>(x.rank())) axis = axis_of(c, axis, x.rank());
  std::int64_t rows = 1;
  for (std::int64_t i = 0; i < axis; ++i) rows *= x.shape()[static_cast<std::size_t>(i)];
  return reshape(x, Shape{rows, rows == 0 ? 0 : x.size() / rows});
}

Tensor transposed(const Tensor& x, const NodeCall& c) {
  Integers order(x.rank());
  std::iota(order.rbegin(), order.rend(), 0);
  return permute(x, c.integers("perm", order));
}

Tensor squeezed(const Tensor& x, const NodeCall& c) {
  const Integers axes = c.axes(1);
  return axes.empty() ? squeeze(x) : squeeze(x, Axes(std::span<const std::int64_t>(axes)));
}

Tensor unsqueezed(const Tensor& x, const NodeCall& c) {
  Integers axes = c.axes(1);
  const std::size_t rank = x.rank() + axes.size();
  if (rank > Shape::kMaxRank) c.fail(fmt::format("makes a tensor of {} axes", rank));
  for (std::int64_t& a : axes) a = axis_of(c, a, rank);
  std::ranges::sort(axes);
  Tensor y = x;
  for (const std::int64_t a : axes) y = unsqueeze(y, a);
  return y;
}

/// Begins, ends and steps as Python's slices have them.
Tensor sliced(const Tensor& x, const NodeCall& c) {
  const Integers begins = c.integers_in(1), ends = c.integers_in(2);
  Integers axes(begins.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (c.has(3)) axes = c.integers_in(3);
  const Integers steps = c.has(4) ? c.integers_in(4) : Integers(begins.size(), 1);
  if (ends.size() != begins.size() || axes.size() != begins.size() || steps.size() != begins.size())
    c.fail("takes lists of different lengths");
  Tensor y = x;
  for (std::size_t i = 0; i < axes.size(); ++i)
    y = slice(y, axis_of(c, axes[i], x.rank()), begins[i], ends[i], steps[i]);
  return y;
}

std::vector<Tensor> parts_of(const NodeCall& c) {
  const Tensor& x = c.in(0);
  const std::int64_t axis = axis_of(c, c.integer("axis", 0), x.rank()), n = x.dim(axis);
  const auto outputs = static_cast<std::int64_t>(c.node().outputs.size());
  Integers sizes;
  if (c.has(1)) {
    sizes = c.integers_in(1);
  } else {  // equal ones, of which the last may be smaller
    const std::int64_t each = (n + outputs - 1) / outputs;
    for (std::int64_t i = 0; i < outputs; ++i)
      sizes.push_back(std::clamp<std::int64_t>(n - i * each, 0, each));
  }
  if (static_cast<std::int64_t>(sizes.size()) != outputs)
    c.fail("splits into another number of parts than it has outputs");
  return split(x, std::span<const std::int64_t>(sizes), axis);
}

Tensor joined(const NodeCall& c) {
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < c.count(); ++i) parts.push_back(c.in(i));
  return concat(parts, c.integer("axis", 0));
}

void check_padding(const NodeCall& c) {
  if (const std::string mode = c.text("mode", "constant"); mode != "constant")
    c.fail(fmt::format("pads by mode '{}'; only constant is known here", mode));
}

Tensor padded(const Tensor& x, const NodeCall& c) {
  const Integers pads = c.integers_in(1);
  Integers axes(x.rank());
  std::iota(axes.begin(), axes.end(), 0);
  if (c.has(3)) axes = c.integers_in(3);
  if (pads.size() != 2 * axes.size()) c.fail("has another number of paddings than of axes");
  std::vector<Padding> padding(x.rank());
  for (std::size_t i = 0; i < axes.size(); ++i)
    padding[static_cast<std::size_t>(axis_of(c, axes[i], x.rank()))] = {pads[i], pads[i + axes.size()]};
  return pad(x, std::span<const Padding>(padding), c.number_in(2, 0));
}

/// Broadcasting goes both ways.
Tensor expanded(const Tensor& x, const NodeCall& c) {
  Integers to = c.integers_in(1);
  const Integers from(x.shape().dims().begin(), x.shape().dims().end());
  if (to.size() < from.size()) to.insert(to.begin(), from.size() - to.size(), 1);
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::int64_t& size = to[to.size() - from.size() + i];
    if (size == 1) size = from[i];
  }
  return broadcast_to(x, shape_of(c, to));
}

Tensor shape_tensor(const Tensor& x, const NodeCall& c) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  const auto within = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t begin = within(c.integer("start", 0)), end = within(c.integer("end", rank));
  const std::span<const std::int64_t> dims = x.shape().dims();
  return Tensor::from(Integers(dims.begin() + begin, dims.begin() + std::max(begin, end)));
}

/// Indices along an axis; negative ones count from the end.
Tensor indices_of(const NodeCall& c, std::size_t input, std::int64_t size) {
  const Tensor& indices = c.in(input);
  if (indices.dtype() != i64) c.fail("takes indices that are no integers");
  return where(indices < 0, indices + static_cast<double>(size), indices);
}

/// Indices of any shape, which stands in the place of the axis.
Tensor gathered(const Tensor& x, const NodeCall& c) {
  const std::int64_t axis = axis_of(c, c.integer("axis", 0), x.rank());
  const Tensor indices = indices_of(c, 1, x.dim(axis));
  const Tensor flat = index_select(x, axis, reshape(indices, {-1}));
  Integers sizes(x.shape().dims().begin(), x.shape().dims().begin() + axis);
  sizes.insert(sizes.end(), indices.shape().dims().begin(), indices.shape().dims().end());
  sizes.insert(sizes.end(), x.shape().dims().begin() + axis + 1, x.shape().dims().end());
  return reshape(flat, shape_of(c, sizes));
}

void check_scatter(const NodeCall& c) {
  if (c.text("reduction", "none") != "add") c.fail("scatters without adding, which is not known here");
}

void check_cumsum(const NodeCall& c) {
  if (c.integer("exclusive", 0)) c.fail("sums exclusively, which is not known here");
}

Tensor running_sum(const Tensor& x, const NodeCall& c) {
  const Integers axes = c.integers_in(1);
  if (axes.size() != 1) c.fail("sums along one axis");
  const std::int64_t axis = axis_of(c, axes[0], x.rank());
  return c.integer("reverse", 0) ? flip(cumsum(flip(x, axis), axis), axis) : cumsum(x, axis);
}

void check_topk(const NodeCall& c) {
  if (c.node().outputs.size() > 2) c.fail("has more outputs than values and indices");
}

/// In order, also where the model takes any.
std::vector<Tensor> first_in_order(const NodeCall& c) {
  const Tensor& x = c.in(0);
  const Integers count = c.integers_in(1);
  if (count.size() != 1) c.fail("takes one number of elements");
  auto [values, indices] = topk(x, count[0], axis_of(c, c.integer("axis", -1), x.rank()),
                                {.largest = c.integer("largest", 1) != 0});
  return {std::move(values), std::move(indices)};
}

Tensor constant(const NodeCall& c) {
  if (const Tensor* const value = c.tensor("value")) return *value;
  const Attribute& a = c.node().attributes.at(0);
  if (a.name == "value_int") return Tensor::scalar(static_cast<double>(c.integer("value_int", 0)), i64);
  if (a.name == "value_ints") return Tensor::from(c.integers("value_ints"));
  return Tensor::scalar(c.number("value_float", 0));
}

void check_constant(const NodeCall& c) {
  if (c.node().attributes.size() != 1) c.fail("has not one value");
  constant(c);
}

Tensor filled(const NodeCall& c) {
  const Tensor* const value = c.tensor("value");
  const Tensor one = value ? *value : Tensor::zeros({});
  if (one.size() != 1) c.fail("fills with more than one value");
  return broadcast_to(reshape(one, Shape{}), shape_of(c, c.integers_in(0)));
}

}  // namespace

std::vector<OperatorRow> tensor_operators() {
  const std::vector<std::string_view> of_reduction{"axes", "keepdims", "noop_with_empty_axes"};
  const std::vector<std::string_view> of_position{"axis", "keepdims", "select_last_index"};
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  return {
      {"ReduceSum", 1, 2, reduction(sum), of_reduction},
      {"ReduceMean", 1, 2, reduction(mean), of_reduction},
      {"ReduceProd", 1, 2, reduction(prod), of_reduction},
      {"ReduceMax", 1, 2, reduction(max), of_reduction},
      {"ReduceMin", 1, 2, reduction(min), of_reduction},
      {"ReduceL2", 1, 2, reduction(norm), of_reduction},
      {"ReduceLogSumExp", 1, 2, reduction(logsumexp), of_reduction},
      {"ArgMax", 1, 1, position(argmax), of_position, check_first_position},
      {"ArgMin", 1, 1, position(argmin), of_position, check_first_position},
      {"Reshape", 2, 2, with(reshaped), {"allowzero"}},
      {"Flatten", 1, 1, with(flattened), {"axis"}},
      {"Transpose", 1, 1, with(transposed), {"perm"}},
      {"Squeeze", 1, 2, with(squeezed), {"axes"}},
      {"Unsqueeze", 1, 2, with(unsqueezed), {"axes"}},
      {"Slice", 3, 5, with(sliced)},
      {"Split", 1, 2, parts_of, {"axis", "num_outputs"}},
      {"Concat", 1, kAny, one_output(joined), {"axis"}},
      {"Pad", 2, 4, with(padded), {"mode"}, check_padding},
      {"Expand", 2, 2, with(expanded)},
      {"Shape", 1, 1, with(shape_tensor), {"start", "end"}},
      {"Gather", 2, 2, with(gathered), {"axis"}},
      {"GatherElements",
       2,
       2,
       with([](const Tensor& x, const NodeCall& c) {
         const std::int64_t axis = axis_of(c, c.integer("axis", 0), x.rank());
         return gather(x, axis, indices_of(c, 1, x.dim(axis)));
       }),
       {"axis"}},
      {"ScatterElements",
       3,
       3,
       with([](const Tensor& x, const NodeCall& c) {
         const std::int64_t axis = axis_of(c, c.integer("axis", 0), x.rank());
         return scatter_add(x, axis, indices_of(c, 1, x.dim(axis)), c.in(2));
       }),
       {"axis", "reduction"},
       check_scatter},
      {"CumSum", 2, 2, with(running_sum), {"exclusive", "reverse"}, check_cumsum},
      {"TopK", 2, 2, first_in_order, {"axis", "largest", "sorted"}, check_topk},
      {"Constant",
       0,
       0,
       one_output(constant),
       {"value", "value_float", "value_int", "value_ints"},
       check_constant},
      {"ConstantOfShape", 1, 1, one_output(filled), {"value"}},
  };
}

}  // namespace tapegrad::nn::onnx
