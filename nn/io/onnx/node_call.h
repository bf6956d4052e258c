#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/onnx/model.h>

/// Nodes of a model that was read, computed by the library's operations. Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// A node with its inputs. Booleans are i64 tensors of 0 and 1. Errors name the node.
class NodeCall {
 public:
  NodeCall(const Node& node, std::span<const Tensor> inputs) : node_(node), inputs_(inputs) {}

  const Node& node() const { return node_; }
  /// Whether an optional input is given.
  bool has(std::size_t i) const { return i < inputs_.size() && inputs_[i].defined(); }
  const Tensor& in(std::size_t i) const;
  std::size_t count() const { return inputs_.size(); }
  /// An input of whole numbers, such as a shape.
  std::vector<std::int64_t> integers_in(std::size_t i) const;
  double number_in(std::size_t i, double otherwise) const;

  // Attributes, and what they are where they are not given.
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double number(std::string_view name, double otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::vector<std::int64_t> integers(std::string_view name, std::vector<std::int64_t> otherwise = {}) const;
  const Tensor* tensor(std::string_view name) const;
  /// The axes of an operator that has them as an attribute or, from a later version on, as input i.
  std::vector<std::int64_t> axes(std::size_t i) const;

  [[noreturn]] void fail(std::string_view why) const;

 private:
  template <class T>
  const T* attribute(std::string_view name) const;

  const Node& node_;
  std::span<const Tensor> inputs_;
};

/// What an operator of ONNX is here.
struct OperatorRow {
  std::string_view type;
  std::size_t least_inputs;
  std::size_t most_inputs;
  std::function<std::vector<Tensor>(const NodeCall&)> run;
  /// Those that are understood; a node with others is refused.
  std::vector<std::string_view> attributes{};
  /// Throws for attributes of values that are not understood.
  std::function<void(const NodeCall&)> check{};
};

/// What a row runs for an operator of one output.
std::function<std::vector<Tensor>(const NodeCall&)> one_output(Tensor (*f)(const NodeCall&));

/// All operators that are read, by families.
std::vector<OperatorRow> elementwise_operators();
std::vector<OperatorRow> tensor_operators();
std::vector<OperatorRow> layer_operators();
std::vector<OperatorRow> window_operators();

/// The row of a node. Throws FileError for an operator that is not known, for inputs and attributes that it does not
/// have.
const OperatorRow& row_of(const Node& node);

}  // namespace tapegrad::nn::onnx
