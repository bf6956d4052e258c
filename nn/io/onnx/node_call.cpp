#include <algorithm>
#include <array>

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

const OperatorRow& row_of(const Node& node) {
  static const std::vector<OperatorRow> kRows = [] {
    std::vector<OperatorRow> all;
    for (auto* family : {elementwise_operators, tensor_operators, layer_operators})
      for (OperatorRow& row : family()) all.push_back(std::move(row));
    return all;
  }();
  const NodeCall call(node, {});
  const auto row = std::ranges::find(kRows, std::string_view(node.type), &OperatorRow::type);
  if (row == kRows.end()) call.fail("is of an operator that is not known here");
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
