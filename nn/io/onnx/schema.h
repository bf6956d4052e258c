#pragma once

#include <tapegrad/graph/export.h>

/// The numbers of the fields of ONNX's messages (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Not part of
/// the library's interface.
namespace tapegrad::nn::onnx::field {

namespace model {
enum : unsigned { ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata = 14 };
}
namespace opset {
enum : unsigned { domain = 1, version = 2 };
}
namespace entry {
enum : unsigned { key = 1, value = 2 };
}
namespace graph {
enum : unsigned { node = 1, name = 2, initializer = 5, input = 11, output = 12, sparse_initializer = 15 };
}
namespace node {
enum : unsigned { input = 1, output = 2, name = 3, type = 4, attribute = 5, domain = 7 };
}
namespace attribute {
enum : unsigned { name = 1, f = 2, i = 3, s = 4, t = 5, floats = 7, ints = 8, type = 20, reference = 21 };
/// Values of `type`.
enum class Type { f = 1, i = 2, s = 3, t = 4, floats = 6, ints = 7 };
}  // namespace attribute
namespace tensor {
enum : unsigned {
  dims = 1,
  type = 2,
  segment = 3,
  floats = 4,
  int32s = 5,
  int64s = 7,
  name = 8,
  raw_data = 9,
  doubles = 10,
  uint64s = 11,
  external_data = 13,
  data_location = 14
};
}
namespace value_info {
enum : unsigned { name = 1, type = 2 };
}
namespace type {
enum : unsigned { tensor = 1 };
}
namespace tensor_type {
enum : unsigned { element = 1, shape = 2 };
}
namespace shape {
enum : unsigned { dim = 1 };
}
namespace dim {
enum : unsigned { value = 1, param = 2 };
}

}  // namespace tapegrad::nn::onnx::field
