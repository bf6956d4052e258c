#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/elements.h>

/// Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// The files beside a model that hold elements.
class ExternalFiles {
 public:
  explicit ExternalFiles(const std::string& model_path);

  /// So many bytes of elements from there on. Throws FileError for a location outside of the model's folder, for
  /// elements beyond the file's end, and where tensors share a file's elements so often that a small model would take
  /// any amount of memory.
  Tensor read(const std::string& location, std::uint64_t offset, std::uint64_t bytes, const Shape& shape,
              files::Element element);

 private:
  std::filesystem::path folder_;
  std::map<std::filesystem::path, std::uint64_t> read_;  ///< bytes, of each file
};

/// The elements that the format has this number for; nothing for texts, complex numbers and those of 8 bits and fewer
/// that are no integers.
std::optional<files::Element> element_of_number(std::int64_t number);

/// The first of these values (i64) that integers of this type do not have, and the least and the largest that they do;
/// nothing where all are values of it, and for other types than those of integers.
std::optional<std::string> outside_of(files::Element element, const Tensor& integers);

/// The elements of a tensor of T, for a check that decides nothing but an error: not noted as a read (TapeView::reads).
template <class T>
std::span<const T> elements_of(const Tensor& t) {
  return {tapegrad::detail::TensorAccess::data_as<const T>(t), static_cast<std::size_t>(t.size())};
}

/// The name and the elements of a TensorProto. Throws FileError.
std::pair<std::string, Tensor> read_tensor(std::string_view bytes, ExternalFiles& external);

}  // namespace tapegrad::nn::onnx
