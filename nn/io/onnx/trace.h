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

/// A size of the inputs that a model leaves open.
struct FreeSize {
  std::string name;
  std::int64_t example = 0;          ///< what it is in the example
  std::vector<std::int64_t> axes{};  ///< of each input; -1: it has none of that size
};

/// factor * the product of some free sizes.
struct SizeProduct {
  std::uint32_t sizes = 0;  ///< a bit for each
  std::int64_t factor = 1;
  friend bool operator==(const SizeProduct&, const SizeProduct&) = default;
};

/// A number that may grow with the free sizes: a constant and a sum of products, of which none is 0, by their sets.
struct Dim {
  std::int64_t constant = 0;
  std::vector<SizeProduct> products{};

  bool is_free() const { return !products.empty(); }
  friend bool operator==(const Dim&, const Dim&) = default;
};
Dim operator+(const Dim& a, const Dim& b);
Dim operator*(const Dim& a, std::int64_t n);
using Dims = std::vector<Dim>;

bool any_free(const Dims& dims);
/// "2*batch+1"
std::string to_string(const Dim& dim, const std::vector<FreeSize>& sizes);
/// "[2*batch, 3]"
std::string to_string(const Dims& dims, const std::vector<FreeSize>& sizes);
/// Those that a number grows with.
std::vector<FreeSize> sizes_in(const Dim& dim, const std::vector<FreeSize>& sizes);

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
  /// At the example. A constant that grows with free sizes has size 1 there, and is repeated along these axes.
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
  std::vector<FreeSize> free_sizes{};
};

/// "conv2d 'net.conv1'"
std::string label(const Operation& op);

/// Runs the network in evaluation mode, and, where sizes are free, with larger inputs as well, to find out what grows
/// with them. Operations that the outputs do not depend on are left out, and those on constants alone are computed.
/// Throws ArgumentError where the network cannot be a graph for all sizes, and what the network throws.
Graph trace(ModuleBase& module, const OnnxForward& forward, const std::vector<OnnxTensor>& inputs,
            const OnnxOptions& options);

}  // namespace tapegrad::nn::onnx
