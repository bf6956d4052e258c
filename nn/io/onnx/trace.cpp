#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tape_view.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/io/onnx/free_sizes.h>
#include <tapegrad/nn/io/onnx/op_rows.h>
#include <tapegrad/nn/io/onnx/trace.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::nn::onnx {

using tapegrad::detail::TensorAccess;

bool any_free(const Dims& dims) {
  return std::ranges::any_of(dims, [](const Dim& d) { return d.is_free(); });
}

std::string to_string(const Dims& dims, const std::vector<FreeSize>& sizes) {
  std::vector<std::string> texts;
  for (const Dim& d : dims) texts.push_back(to_string(d, sizes));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string label(const Operation& op) {
  return op.scope.empty() ? std::string(op.table->name) : fmt::format("{} '{}'", op.table->name, op.scope);
}

namespace {

class AttributeCollector final : public AttributeVisitor {
 public:
  explicit AttributeCollector(std::vector<OpAttribute>& to) : to_(to) {}

 protected:
  void boolean(std::string_view name, bool value) override { add(name, value); }
  void integer(std::string_view name, std::int64_t value) override { add(name, Dim{value}); }
  void number(std::string_view name, double value) override { add(name, value); }
  void dtype(std::string_view name, Dtype value) override { add(name, value); }
  void integers(std::string_view name, std::span<const std::int64_t> values) override {
    Dims dims;
    for (const std::int64_t v : values) dims.push_back({v});
    add(name, dims);
  }

 private:
  template <class T>
  void add(std::string_view name, const T& value) {
    to_.push_back({std::string(name), value});
  }
  std::vector<OpAttribute>& to_;
};

Dims dims_of(const Shape& shape) {
  Dims dims;
  for (const std::int64_t d : shape.dims()) dims.push_back({d});
  return dims;
}

/// One run of the network. Tensors are told apart by where their elements lie, so that a detach, a reshape to the same
/// shape or a parameter's value leads back to where it came from.
class TracedRun {
 public:
  TracedRun(ModuleBase& module, const OnnxForward& forward, const std::vector<OnnxTensor>& inputs,
            const OnnxOptions& options) {
    std::vector<Tensor> arguments;
    for (const OnnxTensor& input : inputs) {
      // A copy, as one tensor may have been given for several inputs.
      arguments.push_back(input.tensor.copy());
      graph_.inputs.push_back(add(arguments.back(), Value::Origin::input, input.name));
    }
    for (const auto& [name, parameter] : module.parameters())
      add(parameter.data(), Value::Origin::parameter, name);
    for (const auto& [name, buffer] : module.buffers()) add(buffer, Value::Origin::buffer, name);

    const EvaluationMode mode(module);
    Tape tape(Recording::everything);
    const std::vector<OnnxTensor> results = forward(arguments);
    const TapeView view(tape);
    read(view);
    if (!options.allow_reads) require_none_read(view);
    for (const OnnxTensor& result : results) {
      if (!result.tensor.defined())
        throw ArgumentError(fmt::format("save_onnx: the result '{}' is an undefined tensor", result.name));
      graph_.outputs.push_back(value_of(result.tensor));
      graph_.output_names.push_back(result.name);
    }
  }
  Graph take() && { return std::move(graph_); }

 private:
  using Place = std::tuple<const std::byte*, Dtype, std::vector<std::int64_t>>;

  static Place place_of(const Tensor& t) {
    return {TensorAccess::data(t), t.dtype(), {t.shape().dims().begin(), t.shape().dims().end()}};
  }

  std::size_t add(const Tensor& t, Value::Origin origin, std::string name = {}) {
    const std::size_t id = graph_.values.size();
    graph_.values.push_back({origin, std::move(name), t.detach(), dims_of(t.shape())});
    // Tensors without elements may share their place.
    if (t.size() > 0) places_.try_emplace(place_of(t), id);
    return id;
  }

  std::size_t value_of(const Tensor& t) {
    const auto known = places_.find(place_of(t));
    return known != places_.end() ? known->second : add(t, Value::Origin::constant);
  }

  void read(const TapeView& tape) {
    std::vector<std::size_t> values;
    for (const TapeView::Node node : tape) {
      const Tensor value = node.value();
      if (node.is_leaf()) {
        values.push_back(value_of(value));
        continue;
      }
      if (const auto known = places_.find(place_of(value)); known != places_.end()) {
        values.push_back(known->second);  // it has changed nothing
        continue;
      }
      Operation op{.table = &node.table(), .scope = std::string(node.scope())};
      for (std::size_t i = 0; i < node.inputs(); ++i) {
        const TapeView::Input input = node.input(i);
        // On a tape of everything each input that is given has a node.
        op.inputs.push_back(input.given() ? std::optional(values[*input.node()]) : std::nullopt);
      }
      AttributeCollector collector(op.attributes);
      node.describe(collector);
      op.output = add(value, Value::Origin::op);
      values.push_back(op.output);
      graph_.operations.push_back(std::move(op));
    }
  }

  /// Whether each value was computed of an input.
  std::vector<bool> of_inputs() const {
    std::vector<bool> result(graph_.values.size());
    for (const std::size_t v : graph_.inputs) result[v] = true;
    for (const Operation& op : graph_.operations)
      result[op.output] =
          std::ranges::any_of(op.inputs, [&](const auto& input) { return input && result[*input]; });
    return result;
  }

  /// A network that looks at what it computes may go another way for other inputs, which the model would not know.
  void require_none_read(const TapeView& tape) const {
    const std::vector<bool> of_inputs = this->of_inputs();
    for (const TapeView::Read& read : tape.reads()) {
      const auto known = places_.find(place_of(read.tensor));
      if (known == places_.end() || !of_inputs[known->second]) continue;
      throw ArgumentError(fmt::format(
          "save_onnx: {} takes elements of a tensor {} that depends on the input ({}()): what it computes or decides "
          "by them would be that of the example for any input. Compute it by operations, as where(condition, a, b), or "
          "set allow_reads = true where nothing depends on them",
          read.scope.empty() ? "the network" : fmt::format("'{}'", read.scope),
          to_string(read.tensor.shape()), read.function));
    }
  }

  Graph graph_;
  std::map<Place, std::size_t> places_;
};

/// Leaves out operations that no output depends on.
void remove_unused(Graph& g) {
  std::vector<bool> used(g.values.size());
  for (const std::size_t v : g.outputs) used[v] = true;
  std::vector<Operation> used_operations;
  for (auto op = g.operations.rbegin(); op != g.operations.rend(); ++op) {
    if (!used[op->output]) continue;
    for (const auto& input : op->inputs)
      if (input) used[*input] = true;
    used_operations.push_back(std::move(*op));
  }
  g.operations.assign(std::make_move_iterator(used_operations.rbegin()),
                      std::make_move_iterator(used_operations.rend()));
}

/// Computes what depends on constants and buffers alone.
void compute_constants(Graph& g) {
  const auto is_constant = [&](const std::optional<std::size_t>& input) {
    if (!input) return true;
    const Value& v = g.values[*input];
    return (v.origin == Value::Origin::constant || v.origin == Value::Origin::buffer) && !any_free(v.dims);
  };
  std::erase_if(g.operations, [&](const Operation& op) {
    Value& result = g.values[op.output];
    const bool free_attribute = std::ranges::any_of(op.attributes, [](const OpAttribute& a) {
      const auto* const dim = std::get_if<Dim>(&a.value);
      const auto* const dims = std::get_if<Dims>(&a.value);
      return (dim && dim->is_free()) || (dims && any_free(*dims));
    });
    if (free_attribute || any_free(result.dims) || !std::ranges::all_of(op.inputs, is_constant)) return false;
    result.origin = Value::Origin::constant;
    result.name = op.scope.empty() ? op.table->name : op.scope + "." + op.table->name;
    return true;
  });
}

/// Puts back what the runs change in the module: buffers before each, generators behind the last, as what is drawn at
/// random is known by its being another in each run.
struct LeftAsItWas {
  ForwardState state;
  explicit LeftAsItWas(ModuleBase& module) : state(module) {}
  ~LeftAsItWas() { state.restore(); }
  LeftAsItWas(const LeftAsItWas&) = delete;
  LeftAsItWas& operator=(const LeftAsItWas&) = delete;
};

}  // namespace

Graph trace(ModuleBase& module, const OnnxForward& forward, const std::vector<OnnxTensor>& inputs,
            const OnnxOptions& options) {
  const LeftAsItWas before(module);
  const auto run = [&](const OnnxForward& f, const std::vector<OnnxTensor>& on) {
    before.state.restore_buffers();
    return TracedRun(module, f, on, options).take();
  };
  // A network need not take other elements than the example's.
  const auto run_varied = [&](const std::vector<OnnxTensor>& on) {
    bool refused = false;
    const auto on_others = [&](std::span<const Tensor> others) {
      try {
        return forward(others);
      } catch (const Error&) {
        refused = true;
        throw;
      }
    };
    try {
      return run(on_others, varied(on));
    } catch (const Error&) {
      if (!refused) throw;
    }
    return run(forward, on);
  };
  const std::vector<FreeSize> sizes = free_sizes(inputs, options);
  const std::vector<Growth> growths = growths_of_runs(sizes.size());
  std::vector<Graph> runs;
  for (const Growth& growth : growths) {
    const std::vector<OnnxTensor> on = grown(inputs, sizes, growth);
    const bool is_last = runs.size() + 1 == growths.size();
    remove_unused(runs.emplace_back(is_last && !options.allow_reads ? run_varied(on) : run(forward, on)));
    if (runs.size() == 1) require_counterparts(runs[0]);
  }
  Graph graph = common_graph(runs, sizes);
  compute_constants(graph);
  return graph;
}

}  // namespace tapegrad::nn::onnx
