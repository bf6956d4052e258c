#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage_limit.h>
#include <tapegrad/nn/io/onnx.h>

#include "fuzz.h"

namespace {

using namespace tapegrad;

/// Computes it on inputs of several shapes: each gives results or an error, whatever its nodes say.
void try_run(nn::OnnxModel& model) {
  if (model.input_names().size() > 4) return;
  for (const Shape& shape : {Shape{}, Shape{2}, Shape{2, 3}, Shape{1, 2, 5}, Shape{1, 2, 4, 5}}) {
    const std::vector<Tensor> inputs(model.input_names().size(), Tensor::full(shape, 0.5));
    const detail::StorageLimit limit(std::size_t{16} << 20);
    try {
      const std::vector<Tensor> outputs = model.run(inputs);
      fuzz::require(outputs.size() == model.output_names().size(), "an output for each name");
    } catch (const Error&) {
    }
  }
}

}  // namespace

/// Models, and what has no opset as the graph of one that has.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string graph("\x42\x02\x10\x11\x3a", 5);  // version 17 of the operators, and a graph of so many bytes
  for (std::size_t n = size;; n >>= 7) {
    graph += static_cast<char>((n & 0x7F) | (n > 0x7F ? 0x80 : 0));
    if (n <= 0x7F) break;
  }
  graph += bytes;
  for (const std::string_view model : {bytes, std::string_view(graph)}) {
    const fuzz::InputBytes file(model);
    try {
      const std::unique_ptr<nn::OnnxModel> loaded = nn::load_onnx(file.path());
      const auto parameters = loaded->parameters();
      const auto copy = nn::clone(*loaded);
      fuzz::require(copy->parameters().size() == parameters.size(), "a clone has the parameters");
      for (std::size_t i = 0; i < parameters.size(); ++i)
        fuzz::require_same(parameters[i].second.data(), copy->parameters()[i].second.data());
      try_run(*loaded);
    } catch (const FileError&) {
    } catch (const ArgumentError&) {  // two parameters of one name
    }
  }
  return 0;
}
