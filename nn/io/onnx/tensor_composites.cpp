#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

#include <tapegrad/nn/io/onnx/composites.h>

namespace tapegrad::nn::onnx {

namespace {

Term reshaped(const Term& x, const Term& sizes) { return f("Reshape", {x, sizes}); }

Term transposed(const Term& x, const std::vector<std::int64_t>& order) {
  return f("Transpose", {x}, {{"perm", order}});
}

bool contains(const std::vector<std::int64_t>& axes, std::int64_t axis) {
  return std::ranges::find(axes, axis) != axes.end();
}

constexpr std::int64_t kBeyondTheFirst = std::numeric_limits<std::int64_t>::min();

}  // namespace

Term emit_position(OpContext& c, std::string_view type) {
  Term x = c.input(0);
  const std::vector<std::int64_t> axes = c.integers("axes");
  const auto of = [&](const Term& t, std::int64_t axis, bool keepdims) {
    return f_of_type(type, ElementType::i64, {t}, {{"axis", axis}, {"keepdims", std::int64_t{keepdims}}});
  };
  if (axes.size() == 1) return of(x, axes[0], c.flag("keepdims"));
  // The position counts along all reduced axes: they become one, behind the others.
  std::vector<std::int64_t> order;
  Dims others;
  const auto rank = static_cast<std::int64_t>(c.dims(0).size());
  for (std::int64_t i = 0; i < rank; ++i)
    if (!contains(axes, i)) order.push_back(i), others.push_back(c.dims(0)[static_cast<std::size_t>(i)]);
  order.insert(order.end(), axes.begin(), axes.end());
  if (!std::ranges::is_sorted(order)) x = transposed(x, order);
  Dims joined = others;
  joined.push_back({-1});
  const Term position =
      of(reshaped(x, c.builder().sizes(joined)), static_cast<std::int64_t>(others.size()), false);
  return c.flag("keepdims") ? reshaped(position, c.builder().sizes(c.output_dims())) : position;
}

Term emit_variance(OpContext& c) {
  const Term x = c.input(0);
  const std::vector<std::int64_t> axes = c.integers("axes");
  const Term distance = x - reduce("ReduceMean", x, axes, true);
  const Term squares = distance * distance;
  const std::int64_t ddof = c.integer("ddof");
  if (ddof == 0) return reduce("ReduceMean", squares, axes, c.flag("keepdims"));
  Term count = c.builder().number(x.type, 1);
  for (const std::int64_t axis : axes)
    count = count * c.builder().size(c.dims(0)[static_cast<std::size_t>(axis)], x.type);
  return reduce("ReduceSum", squares, axes, c.flag("keepdims")) / (count - static_cast<double>(ddof));
}

Term emit_vector_norm(OpContext& c) {
  const Term x = c.input(0);
  const double p = c.number("p");
  const Term powers = f("Pow", {f("Abs", {x}), number(x, p)});
  return f("Pow", {reduce("ReduceSum", powers, c.integers("axes"), c.flag("keepdims")), number(x, 1 / p)});
}

Term emit_reshape(OpContext& c) {
  const Dims& from = c.dims(0);
  const Dims& to = c.output_dims();
  const auto is_zero = [](const Dim& d) { return d == Dim{}; };
  std::vector<std::int64_t> sizes;
  bool inferred = false;  // by the runtime, which may do so for one axis
  bool known = std::ranges::none_of(to, is_zero);
  for (std::size_t i = 0; i < to.size() && known; ++i) {
    constexpr std::int64_t kAsItIs = 0, kInferred = -1;
    if (!to[i].is_free()) {
      sizes.push_back(to[i].constant);
    } else if (i < from.size() && from[i] == to[i]) {
      sizes.push_back(kAsItIs);
    } else {
      sizes.push_back(kInferred);
      known = !std::exchange(inferred, true);
    }
  }
  if (known) return reshaped(c.input(0), c.builder().integers(sizes));
  return f("Reshape", {c.input(0), c.builder().sizes(to)}, {{"allowzero", std::int64_t{1}}});
}

Term emit_permute(OpContext& c) {
  if (c.dims(0).size() < 2) return c.input(0);
  return transposed(c.input(0), c.integers("order"));
}

Term emit_flip(OpContext& c) {
  const std::vector<std::int64_t> axes = c.integers("axes");
  if (axes.empty()) return c.input(0);
  const auto each = [&](std::int64_t value) {
    return c.builder().integers(std::vector<std::int64_t>(axes.size(), value));
  };
  return f("Slice", {c.input(0), each(-1), each(kBeyondTheFirst), c.builder().integers(axes), each(-1)});
}

Term emit_slice(OpContext& c) {
  const std::int64_t axis = c.integer("axis"), step = c.integer("step");
  Dim end = c.size("begin") + c.size("count") * step;
  // An end below 0 would count from the last element.
  if (!end.is_free() && end.constant < 0) end = {kBeyondTheFirst};
  return f("Slice", {c.input(0), c.builder().sizes({c.size("begin")}), c.builder().sizes({end}),
                     c.builder().integers({axis}), c.builder().integers({step})});
}

Term emit_pad(OpContext& c) {
  const Dims padding = c.sizes("padding");  // before and after each axis
  Dims pads;
  for (const std::size_t side : {0, 1})
    for (std::size_t i = side; i < padding.size(); i += 2) pads.push_back(padding[i]);
  const Term x = c.input(0);
  return f("Pad", {x, c.builder().sizes(pads), number(x, c.number("value"))});
}

Term emit_index_add(OpContext& c) {
  // The indices stand along their axis, the same for all elements of the others.
  const std::int64_t axis = c.integer("axis");
  Dims beside(c.dims(2).size(), Dim{1});
  beside[static_cast<std::size_t>(axis)] = c.dims(1)[0];
  const Term indices =
      f("Expand", {reshaped(c.input(1), c.builder().sizes(beside)), c.builder().sizes(c.dims(2))});
  return f("ScatterElements", {c.input(0), indices, c.input(2)},
           {{"axis", axis}, {"reduction", std::string("add")}});
}

Term one_hot(const Term& indices, std::int64_t classes, ElementType type) {
  // Not by the operator, which takes no scalar and which runtimes do not have for all types.
  std::vector<std::int64_t> all(static_cast<std::size_t>(classes));
  std::iota(all.begin(), all.end(), 0);
  Builder& b = *indices.builder;
  return cast(f("Unsqueeze", {indices, b.integers({-1})}) == b.integers(all), type);
}

Term emit_one_hot(OpContext& c) {
  return one_hot(c.input(0), c.integer("classes"), element_type_of(c.dtype("dtype")));
}

Term emit_matmul(OpContext& c) {
  const auto operand = [&](std::size_t i, const char* transposes) {
    const std::size_t rank = c.dims(i).size();
    if (!c.flag(transposes) || rank < 2) return c.input(i);
    std::vector<std::int64_t> order(rank);
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[rank - 1], order[rank - 2]);
    return transposed(c.input(i), order);
  };
  return f("MatMul", {operand(0, "transpose_a"), operand(1, "transpose_b")});
}

Term emit_affine(OpContext& c) {
  const Term x = c.input(0), weight = c.input(1);
  if (!c.has_input(2)) return f("MatMul", {x, weight});
  if (c.dims(0).size() == 2) return f("Gemm", {x, weight, c.input(2)});
  return f("MatMul", {x, weight}) + c.input(2);
}

}  // namespace tapegrad::nn::onnx
