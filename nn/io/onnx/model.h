#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/serialize.h>

/// What an ONNX file says, as plain values (https://onnx.ai/onnx/repo-docs/IR.html). Not part of the library's
/// interface.
namespace tapegrad::nn::onnx {

/// The types of elements that are known here, by the format's numbers for them.
enum class ElementType : std::int32_t {
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16
};
ElementType element_type_of(Dtype dtype);

/// What an attribute may be that no operator here has: a graph, a list of texts.
struct OtherAttribute {};

struct Attribute {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>, Tensor,
               OtherAttribute>
      value;
};

struct Node {
  std::string type;
  std::string name;
  std::vector<std::string> inputs;  ///< an empty name: an optional input that is not given
  std::vector<std::string> outputs;
  std::vector<Attribute> attributes;
};

/// A size, or the name of one that is free.
using Size = std::variant<std::int64_t, std::string>;

/// What goes into a graph, or comes out.
struct ValueInfo {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<Size> sizes;
};

struct Model {
  static constexpr std::int64_t kIrVersion = 8;
  static constexpr std::int64_t kOpset = 17;

  std::string name;         ///< of the graph
  std::vector<Node> nodes;  ///< each behind those whose outputs it takes
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  Metadata metadata;
  std::int64_t opset = kOpset;
};

/// What a file says, with all elements; those of types that tensors do not have are widened. Throws FileError for a
/// file that is no such model, or one of other operators than those of opsets 13 to 21, OutOfMemory where there is no
/// room.
Model read_model(const std::string& path);

/// Where the bytes of the initializers together exceed `external_data_above`, those of at least 1 kB each go to
/// PATH.data beside the model. Throws FileError where a file cannot be written, ArgumentError for what ONNX cannot
/// hold.
void write_model(const std::string& path, const Model& model, std::uint64_t external_data_above);

}  // namespace tapegrad::nn::onnx
