#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

void NodeCall::fail(std::string_view why) const {
  throw FileError(fmt::format("the node '{}' ({}) {}", node_.name, node_.type, why));
}

const Tensor& NodeCall::in(std::size_t i) const {
  if (!has(i)) fail(fmt::format("has no input {}", i));
  return inputs_[i];
}

std::vector<std::int64_t> NodeCall::integers_in(std::size_t i) const {
  const Tensor& t = in(i);
  if (t.dtype() != i64 || t.rank() > 1) fail(fmt::format("takes a list of integers as input {}", i));
  return t.to_vector<std::int64_t>();
}

double NodeCall::number_in(std::size_t i, double otherwise) const {
  if (!has(i)) return otherwise;
  if (in(i).size() != 1) fail(fmt::format("takes one number as input {}", i));
  return in(i).item();
}

template <class T>
const T* NodeCall::attribute(std::string_view name) const {
  const auto found = std::ranges::find(node_.attributes, name, &Attribute::name);
  if (found == node_.attributes.end()) return nullptr;
  const T* const value = std::get_if<T>(&found->value);
  if (!value) fail(fmt::format("has an attribute '{}' of another kind", name));
  return value;
}

std::int64_t NodeCall::integer(std::string_view name, std::int64_t otherwise) const {
  const auto* const value = attribute<std::int64_t>(name);
  return value ? *value : otherwise;
}
double NodeCall::number(std::string_view name, double otherwise) const {
  const auto* const value = attribute<float>(name);
  return value ? double{*value} : otherwise;
}
std::string NodeCall::text(std::string_view name, std::string_view otherwise) const {
  const auto* const value = attribute<std::string>(name);
  return value ? *value : std::string(otherwise);
}
std::vector<std::int64_t> NodeCall::integers(std::string_view name,
                                             std::vector<std::int64_t> otherwise) const {
  const auto* const value = attribute<std::vector<std::int64_t>>(name);
  return value ? *value : std::move(otherwise);
}
const Tensor* NodeCall::tensor(std::string_view name) const { return attribute<Tensor>(name); }

std::vector<std::int64_t> NodeCall::axes(std::size_t i) const {
  return has(i) ? integers_in(i) : integers("axes");
}

std::function<std::vector<Tensor>(const NodeCall&)> one_output(Tensor (*f)(const NodeCall&)) {
  return [=](const NodeCall& c) { return std::vector{f(c)}; };
}

namespace {

/// Operators that would need graphs within graphs, or states that go through a loop: what to do instead.
struct NotRead {
  std::string_view type;
  std::string_view advice;
};
constexpr NotRead kNotRead[] = {
    {"If",
     "it is a branch, and models have none here; export the branch that is taken, or let onnxruntime or "
     "onnx-simplifier compute a condition that is constant and save the model again"},
    {"Loop",
     "it is a loop, and models have none here; export with a fixed number of steps, each as nodes of its "
     "own"},
    {"Scan",
     "it is a loop, and models have none here; export with a fixed number of steps, each as nodes of its "
     "own"},
    {"RNN",
     "it is a recurrent layer; export it unrolled (in Keras unroll=True), each step as nodes of its own"},
    {"GRU",
     "it is a recurrent layer; export it unrolled (in Keras unroll=True), each step as nodes of its own"},
    {"LSTM",
     "it is a recurrent layer; export it unrolled (in Keras unroll=True), each step as nodes of its own"},
};

[[noreturn]] void refuse_unknown(const NodeCall& call) {
  const auto known = std::ranges::find(kNotRead, std::string_view(call.node().type), &NotRead::type);
  if (known != std::end(kNotRead)) call.fail(fmt::format("cannot be read: {}", known->advice));
  call.fail("is of an operator that is not known here");
}

}  // namespace

const OperatorRow& row_of(const Node& node) {
  static const std::vector<OperatorRow> kRows = [] {
    std::vector<OperatorRow> all;
    for (auto* family : {elementwise_operators, tensor_operators, layer_operators, window_operators})
      for (OperatorRow& row : family()) all.push_back(std::move(row));
    return all;
  }();
  const NodeCall call(node, {});
  const auto row = std::ranges::find(kRows, std::string_view(node.type), &OperatorRow::type);
  if (row == kRows.end()) refuse_unknown(call);
  if (node.inputs.size() < row->least_inputs || node.inputs.size() > row->most_inputs)
    call.fail(fmt::format("has {} inputs", node.inputs.size()));
  for (std::size_t i = 0; i < row->least_inputs; ++i)
    if (node.inputs[i].empty()) call.fail(fmt::format("has no input {}", i));
  for (const Attribute& a : node.attributes)
    if (std::ranges::find(row->attributes, a.name) == row->attributes.end())
      call.fail(fmt::format("has the attribute '{}', which is not known here", a.name));
  if (row->check) row->check(call);
  return *row;
}

}  // namespace tapegrad::nn::onnx
