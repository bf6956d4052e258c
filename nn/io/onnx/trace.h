#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/module.h>

/// What a network computes, as a graph of the library's operations. Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// A number that may grow with the batch: constant + per_batch * batch.
struct Dim {
  std::int64_t constant = 0;
  std::int64_t per_batch = 0;

  bool is_free() const { return per_batch != 0; }
  friend bool operator==(Dim, Dim) = default;
  friend Dim operator+(Dim a, Dim b) { return {a.constant + b.constant, a.per_batch + b.per_batch}; }
  friend Dim operator*(Dim a, std::int64_t n) { return {a.constant * n, a.per_batch * n}; }
};
using Dims = std::vector<Dim>;

bool any_free(const Dims& dims);
/// "[2 batch, 3]"
std::string to_string(const Dims& dims);

/// An attribute of an operation, as its struct describes it.
struct OpAttribute {
  std::string name;
  std::variant<bool, double, Dtype, Dim, Dims> value;
};

/// A tensor of the graph.
struct Value {
  enum class Origin : std::uint8_t { input, parameter, buffer, constant, op };
  Origin origin = Origin::constant;
  std::string name{};  ///< of inputs, parameters and buffers
  /// At the example. A constant that grows with the batch has size 1 there, and is repeated along these axes.
  Tensor value{};
  Dims dims{};
};

struct Operation {
  const tapegrad::detail::OpTable* table = nullptr;
  std::string scope;                                 ///< the module, as "net.fc2"
  std::vector<std::optional<std::size_t>> inputs{};  ///< values; none: an optional input that was not given
  std::vector<OpAttribute> attributes{};
  std::size_t output = 0;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Operation> operations;  ///< in the order of computing
  std::vector<std::size_t> inputs;
  std::vector<std::size_t> outputs;
  std::vector<std::string> output_names;
  /// The first input with a batch, and its axis.
  std::size_t batch_input = 0;
  std::int64_t batch_axis = 0;
};

/// "conv2d 'net.conv1'"
std::string label(const Operation& op);

/// Runs the network in evaluation mode, and, where the batch is free, with two other batches as well, to find out what
/// grows with it. Operations that the outputs do not depend on are left out, and those on constants alone are computed.
/// Throws ArgumentError where the network cannot be a graph for every batch, and what the network throws.
Graph trace(ModuleBase& module, const OnnxForward& forward, const std::vector<OnnxTensor>& inputs,
            const OnnxOptions& options);

}  // namespace tapegrad::nn::onnx
