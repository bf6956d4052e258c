#include <algorithm>
#include <cstring>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/free_sizes.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

using tapegrad::detail::TensorAccess;

namespace {

bool same_elements(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.size() == 0 || std::memcmp(TensorAccess::data(a), TensorAccess::data(b),
                                       static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0);
}

/// The runs side by side.
class Comparison {
 public:
  Comparison(std::span<const Graph> runs, const std::vector<FreeSize>& sizes)
      : runs_(runs), sizes_(sizes), growths_(growths_of_runs(sizes.size())), graph_(runs[0]) {}

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
    for (const std::size_t v : graph_.inputs) used[v] = true;  // a model says what it takes, read or not
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

  // ---- what a run says that is another ----

  /// The sizes that are larger in it.
  std::vector<FreeSize> larger_in(std::size_t run) const {
    std::vector<FreeSize> larger;
    for (std::size_t k = 0; k < sizes_.size(); ++k)
      if (growths_[run][k] > 0) larger.push_back(sizes_[k]);
    return larger;
  }
  std::string a_larger(std::size_t run) const {
    const auto larger = larger_in(run);
    return larger.empty() ? "a run on other numbers" : "a run with a larger size of " + names_of(larger);
  }
  std::string advice_for(std::size_t run) const {
    const auto larger = larger_in(run);
    return larger.empty() ? "write it so that it is the same in each run, by operations alone"
                          : advice(larger);
  }

  void require_same_structure() const {
    for (std::size_t r = 1; r < runs_.size(); ++r) {
      const Graph& run = runs_[r];
      const std::size_t count = std::min(run.operations.size(), graph_.operations.size());
      for (std::size_t o = 0; o < count; ++o) {
        const Operation& a = graph_.operations[o];
        const Operation& b = run.operations[o];
        if (a.table != b.table || a.inputs != b.inputs || a.output != b.output)
          throw ArgumentError(fmt::format(
              "save_onnx: {} takes another way, from {} on, where it computes {}; the model has no "
              "branches: {}",
              a_larger(r), label(a), label(b), advice_for(r)));
      }
      if (run.operations.size() != graph_.operations.size() || run.values.size() != graph_.values.size() ||
          run.outputs != graph_.outputs)
        throw ArgumentError(
            fmt::format("save_onnx: the example takes {} operations, {} takes {}; the model has no loops: {}",
                        graph_.operations.size(), a_larger(r), run.operations.size(), advice_for(r)));
    }
  }

  // ---- sizes ----

  struct Merged {
    Dim dim;
    std::size_t run = 0;  ///< the first that it does not hold for; 0: it holds
  };

  /// The sum of products of different free sizes that has these values in the runs.
  template <class SizeOf>
  Merged merged(SizeOf size_of_run) const {
    std::size_t changed = 1;
    while (changed < runs_.size() && size_of_run(changed) == size_of_run(0)) ++changed;
    if (changed == runs_.size()) return {Dim{size_of_run(0)}};
    // By the differences of the values over the sets of sizes.
    const std::size_t sets = std::size_t{1} << sizes_.size();
    std::vector<Number> differences(sets);
    for (std::size_t set = 0; set < sets; ++set) differences[set] = static_cast<Number>(size_of_run(set));
    for (std::size_t k = 0; k < sizes_.size(); ++k)
      for (std::size_t set = 0; set < sets; ++set)
        if (set >> k & 1) differences[set] -= differences[set ^ std::size_t{1} << k];
    for (std::size_t r = sets; r < runs_.size(); ++r)
      if (at(differences, growths_[r]) != static_cast<Number>(size_of_run(r))) return {{}, r};
    // The same in the sizes themselves, where growth = size - that of the example.
    for (std::size_t k = 0; k < sizes_.size(); ++k)
      for (std::size_t set = 0; set < sets; ++set)
        if (set >> k & 1)
          differences[set ^ std::size_t{1} << k] -= differences[set] * static_cast<Number>(sizes_[k].example);
    Dim dim;
    for (std::size_t set = 0; set < sets; ++set) {
      const auto factor = static_cast<std::int64_t>(differences[set]);
      if (set == 0)
        dim.constant = factor;
      else if (factor != 0)
        dim.products.push_back({static_cast<std::uint32_t>(set), factor});
    }
    return {std::move(dim)};
  }

  using Number = std::uint64_t;  ///< modulo 2^64, as an attribute may be any number
  static Number at(const std::vector<Number>& differences, const Growth& growth) {
    Number sum = 0;
    for (std::size_t set = 0; set < differences.size(); ++set) {
      Number product = differences[set];
      for (std::size_t k = 0; k < growth.size(); ++k)
        if (set >> k & 1) product *= static_cast<Number>(growth[k]);
      sum += product;
    }
    return sum;
  }

  void merge_value(std::size_t v) {
    Value& value = graph_.values[v];
    for (std::size_t r = 1; r < runs_.size(); ++r) {
      const Value& other = runs_[r].values[v];
      if (other.dims.size() != value.dims.size() || other.origin != value.origin)
        throw ArgumentError(fmt::format("save_onnx: a tensor of shape {} has another rank in {}, {}; {}",
                                        to_string(value.dims, sizes_), a_larger(r),
                                        to_string(other.dims, sizes_), advice_for(r)));
    }
    Dims dims;
    for (std::size_t i = 0; i < value.dims.size(); ++i) {
      Merged size = merged([&](std::size_t r) { return runs_[r].values[v].dims[i].constant; });
      if (size.run != 0) throw ArgumentError(not_linear(v, size.run));
      dims.push_back(std::move(size.dim));
    }
    value.dims = std::move(dims);
    if (value.origin == Value::Origin::constant) merge_constant(v);
  }

  std::string not_linear(std::size_t v, std::size_t run) const {
    const auto made_by = std::ranges::find(graph_.operations, v, &Operation::output);
    const auto larger = larger_in(run);
    return fmt::format("save_onnx: the size of a result{} {}; {}",
                       made_by == graph_.operations.end() ? "" : " of " + label(*made_by),
                       larger.empty() ? "is another one in " + a_larger(run)
                                      : "does not grow linearly with " + names_of(larger),
                       advice_for(run));
  }

  std::vector<FreeSize> free_sizes_of(const Dims& dims) const {
    for (const Dim& d : dims)
      if (d.is_free()) return sizes_in(d, sizes_);
    return {};
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
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      const Tensor& other = runs_[r].values[v].value;
      if (other.size() > 0 && same_elements(repeated(other).copy(), one) &&
          same_elements(broadcast_to(one, other.shape()), other))
        continue;
      if (same_elements(one, other)) continue;  // without elements
      const Operation* const reader = reader_of(v);
      const std::string from =
          fmt::format("save_onnx: a tensor {}{} is computed outside of operations, or drawn at random, and",
                      to_string(value.dims, sizes_), reader ? ", which " + label(*reader) + " takes," : "");
      constexpr const char* kOtherwise =
          "the model would hold the example's for good. Compute it with the library's operations, or";
      if (const auto along = free_sizes_of(value.dims); !along.empty())
        throw ArgumentError(fmt::format("{} is not the same along {}: {}: {}", from, names_of(along),
                                        kOtherwise, advice(along)));
      throw ArgumentError(
          fmt::format("{} is another one in {}: {}: {}", from, a_larger(r), kOtherwise, advice_for(r)));
    }
    value.value = one;
  }

  void merge_attribute(std::size_t o, std::size_t a) {
    OpAttribute& attribute = graph_.operations[o].attributes[a];
    const auto of_run = [&](std::size_t r) -> const OpAttribute& {
      return runs_[r].operations[o].attributes[a];
    };
    const auto fail = [&](std::size_t run) {
      throw ArgumentError(fmt::format(
          "save_onnx: the attribute '{}' of {} depends on {} in a way that a model cannot follow; {}",
          attribute.name, label(graph_.operations[o]),
          larger_in(run).empty() ? "the numbers or the run" : names_of(larger_in(run)), advice_for(run)));
    };
    if (auto* const dim = std::get_if<Dim>(&attribute.value)) {
      Merged size = merged([&](std::size_t r) { return std::get<Dim>(of_run(r).value).constant; });
      if (size.run != 0) fail(size.run);
      *dim = std::move(size.dim);
    } else if (auto* const dims = std::get_if<Dims>(&attribute.value)) {
      for (std::size_t r = 1; r < runs_.size(); ++r)
        if (std::get<Dims>(of_run(r).value).size() != dims->size()) fail(r);
      Dims all;
      for (std::size_t i = 0; i < dims->size(); ++i) {
        Merged size = merged([&](std::size_t r) { return std::get<Dims>(of_run(r).value)[i].constant; });
        if (size.run != 0) fail(size.run);
        all.push_back(std::move(size.dim));
      }
      *dims = std::move(all);
    } else {
      for (std::size_t r = 1; r < runs_.size(); ++r)
        if (of_run(r).value != attribute.value) fail(r);
    }
  }

  std::span<const Graph> runs_;
  const std::vector<FreeSize>& sizes_;
  std::vector<Growth> growths_;
  Graph graph_;
};

}  // namespace

Graph common_graph(std::span<const Graph> runs, const std::vector<FreeSize>& sizes) {
  Graph graph = Comparison(runs, sizes).graph();
  graph.free_sizes = sizes;
  return graph;
}

}  // namespace tapegrad::nn::onnx
