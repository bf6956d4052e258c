#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/tensor.h>

/// Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// The name and the elements of a TensorProto. Those that stand in another file are read from the folder of the
/// model. Throws FileError.
std::pair<std::string, Tensor> read_tensor(std::string_view bytes, const std::string& model_path);

}  // namespace tapegrad::nn::onnx
