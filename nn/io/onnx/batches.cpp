#include <algorithm>
#include <cstring>
#include <numeric>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/batches.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

using tapegrad::detail::TensorAccess;

namespace {

constexpr const char* kFixedBatch =
    "export with a fixed batch (OnnxOptions::free_batch = false), or write it so that it does not depend on "
    "the batch";

std::int64_t batch_of(const std::vector<OnnxTensor>& inputs, const std::vector<std::int64_t>& axes) {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (axes[i] >= 0) return inputs[i].tensor.dim(axes[i]);
  return 0;
}

bool same_elements(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(TensorAccess::data(a), TensorAccess::data(b),
                                       static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0);
}

}  // namespace

std::vector<std::int64_t> batch_axes(const std::vector<OnnxTensor>& inputs, const OnnxOptions& options) {
  std::vector<std::int64_t> axes(inputs.size(), -1);
  if (!options.free_batch) return axes;
  if (!options.batch_axes.empty() && options.batch_axes.size() != inputs.size())
    throw ArgumentError(
        fmt::format("save_onnx: there are {} batch_axes and {} inputs; give one for each, -1 for none",
                    options.batch_axes.size(), inputs.size()));
  std::int64_t batch = -1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i].tensor;
    const std::int64_t axis = options.batch_axes.empty() ? 0 : options.batch_axes[i];
    if (axis == -1) continue;
    if (axis < -1 || axis >= static_cast<std::int64_t>(t.rank()))
      throw ArgumentError(
          fmt::format("save_onnx: the input '{}' {} has no axis {} for the batch; give its axis in "
                      "batch_axes, -1 where it has none",
                      inputs[i].name, tapegrad::to_string(t.shape()), axis));
    if (batch >= 0 && t.dim(axis) != batch)
      throw ArgumentError(
          fmt::format("save_onnx: the input '{}' {} has {} items along axis {}, an input before it has {}; "
                      "give the axes of the batch in batch_axes, -1 where there is none",
                      inputs[i].name, tapegrad::to_string(t.shape()), t.dim(axis), axis, batch));
    batch = t.dim(axis);
    axes[i] = axis;
  }
  if (batch == 0)
    throw ArgumentError("save_onnx: the example is a batch of no items; give one of at least one");
  if (batch < 0)
    throw ArgumentError("save_onnx: no input has a batch; say so with OnnxOptions::free_batch = false");
  return axes;
}

std::vector<OnnxTensor> with_more_items(const std::vector<OnnxTensor>& inputs,
                                        const std::vector<std::int64_t>& axes, std::int64_t more) {
  std::vector<OnnxTensor> result = inputs;
  const std::int64_t batch = batch_of(inputs, axes);
  std::vector<std::int64_t> items(static_cast<std::size_t>(batch + more));
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = (static_cast<std::int64_t>(i) + 1) % batch;
  const Tensor indices = Tensor::from(items);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (axes[i] >= 0) result[i].tensor = index_select(inputs[i].tensor.detach(), axes[i], indices);
  return result;
}

namespace {

/// The runs side by side.
class Comparison {
 public:
  Comparison(std::span<const Graph> runs, std::int64_t batch) : runs_(runs), batch_(batch), graph_(runs[0]) {}

  Graph graph() && {
    require_same_structure();
    const std::vector<bool> used = used_values();
    for (std::size_t v = 0; v < used.size(); ++v)
      if (used[v]) merge_value(v);
    for (std::size_t o = 0; o < graph_.operations.size(); ++o)
      for (std::size_t a = 0; a < graph_.operations[o].attributes.size(); ++a) merge_attribute(o, a);
    return std::move(graph_);
  }

 private:
  std::vector<bool> used_values() const {
    std::vector<bool> used(graph_.values.size());
    for (const std::size_t v : graph_.outputs) used[v] = true;
    for (const Operation& op : graph_.operations) {
      used[op.output] = true;
      for (const auto& input : op.inputs)
        if (input) used[*input] = true;
    }
    return used;
  }
  const Operation* reader_of(std::size_t v) const {
    for (const Operation& op : graph_.operations)
      if (std::ranges::find(op.inputs, std::optional(v)) != op.inputs.end()) return &op;
    return nullptr;
  }

  void require_same_structure() const {
    for (const Graph& run : runs_) {
      const std::size_t count = std::min(run.operations.size(), graph_.operations.size());
      for (std::size_t o = 0; o < count; ++o) {
        const Operation& a = graph_.operations[o];
        const Operation& b = run.operations[o];
        if (a.table != b.table || a.inputs != b.inputs || a.output != b.output)
          throw ArgumentError(
              fmt::format("save_onnx: a larger batch takes another way, from {} on, where it computes {}; "
                          "the model has no "
                          "branches: {}",
                          label(a), label(b), kFixedBatch));
      }
      if (run.operations.size() != graph_.operations.size() || run.values.size() != graph_.values.size() ||
          run.outputs != graph_.outputs)
        throw ArgumentError(fmt::format(
            "save_onnx: a batch of {} items takes {} operations, a larger one {}; the model has no loops: {}",
            batch_, graph_.operations.size(), run.operations.size(), kFixedBatch));
    }
  }

  /// The line through the first two sizes, if the others lie on it.
  template <class SizeOf>
  std::optional<Dim> line(SizeOf size_of_run) const {
    const std::int64_t first = size_of_run(0);
    const std::int64_t slope = size_of_run(1) - first;
    for (std::size_t r = 2; r < runs_.size(); ++r)
      if (size_of_run(r) != first + slope * static_cast<std::int64_t>(r)) return std::nullopt;
    return Dim{first - slope * batch_, slope};
  }

  void merge_value(std::size_t v) {
    Value& value = graph_.values[v];
    for (const Graph& run : runs_)
      if (run.values[v].dims.size() != value.dims.size() || run.values[v].origin != value.origin)
        throw ArgumentError(
            fmt::format("save_onnx: a tensor of shape {} has another rank in a larger batch, {}; {}",
                        to_string(value.dims), to_string(run.values[v].dims), kFixedBatch));
    for (std::size_t i = 0; i < value.dims.size(); ++i) {
      const auto dim = line([&](std::size_t r) { return runs_[r].values[v].dims[i].constant; });
      if (!dim) throw ArgumentError(not_linear(v));
      value.dims[i] = *dim;
    }
    if (value.origin == Value::Origin::constant) merge_constant(v);
  }

  std::string not_linear(std::size_t v) const {
    const auto made_by = std::ranges::find(graph_.operations, v, &Operation::output);
    return fmt::format("save_onnx: the size of a result{} does not grow linearly with the batch; {}",
                       made_by == graph_.operations.end() ? "" : " of " + label(*made_by), kFixedBatch);
  }

  void merge_constant(std::size_t v) {
    Value& value = graph_.values[v];
    const auto repeated = [&](const Tensor& t) {
      Tensor one = t;
      for (std::size_t i = 0; i < value.dims.size(); ++i)
        if (value.dims[i].is_free()) one = slice(one, static_cast<std::int64_t>(i), 0, 1);
      return one;
    };
    const Tensor one = repeated(value.value).copy();
    for (const Graph& run : runs_) {
      const Tensor& other = run.values[v].value;
      if (other.size() > 0 && same_elements(repeated(other).copy(), one) &&
          same_elements(broadcast_to(one, other.shape()), other))
        continue;
      if (same_elements(one, other)) continue;  // without elements
      const Operation* const reader = reader_of(v);
      throw ArgumentError(fmt::format(
          "save_onnx: a tensor {}{} is computed outside of operations, or drawn at random, and is another "
          "one for another "
          "batch or another run: the model would hold the example's for good. Compute it with the library's "
          "operations, or: {}",
          to_string(value.dims), reader ? ", which " + label(*reader) + " takes," : "", kFixedBatch));
    }
    value.value = one;
  }

  void merge_attribute(std::size_t o, std::size_t a) {
    OpAttribute& attribute = graph_.operations[o].attributes[a];
    const auto of_run = [&](std::size_t r) -> const OpAttribute& {
      return runs_[r].operations[o].attributes[a];
    };
    const auto fail = [&] {
      throw ArgumentError(fmt::format(
          "save_onnx: the attribute '{}' of {} depends on the batch in a way that a model cannot follow; {}",
          attribute.name, label(graph_.operations[o]), kFixedBatch));
    };
    if (auto* const dim = std::get_if<Dim>(&attribute.value)) {
      const auto merged = line([&](std::size_t r) { return std::get<Dim>(of_run(r).value).constant; });
      if (!merged) fail();
      *dim = *merged;
    } else if (auto* const dims = std::get_if<Dims>(&attribute.value)) {
      for (std::size_t r = 0; r < runs_.size(); ++r)
        if (std::get<Dims>(of_run(r).value).size() != dims->size()) fail();
      for (std::size_t i = 0; i < dims->size(); ++i) {
        const auto merged = line([&](std::size_t r) { return std::get<Dims>(of_run(r).value)[i].constant; });
        if (!merged) fail();
        (*dims)[i] = *merged;
      }
    } else {
      for (std::size_t r = 1; r < runs_.size(); ++r)
        if (of_run(r).value != attribute.value) fail();
    }
  }

  std::span<const Graph> runs_;
  std::int64_t batch_;
  Graph graph_;
};

}  // namespace

Graph common_graph(std::span<const Graph> runs, const std::vector<OnnxTensor>& inputs,
                   const std::vector<std::int64_t>& axes) {
  Graph graph = Comparison(runs, batch_of(inputs, axes)).graph();
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (axes[i] >= 0) {
      graph.batch_input = i;
      graph.batch_axis = axes[i];
      break;
    }
  return graph;
}

}  // namespace tapegrad::nn::onnx
