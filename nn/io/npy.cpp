#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/npy_format.h>

#include <fmt/format.h>

namespace tapegrad::nn {

SavedState npy::load(const std::string& path) {
  InputFile file(path);
  files::FileSource source(file);
  try {
    npy::Array array = npy::read(source);
    SavedState saved;
    saved.tensors.emplace_back("tensor", std::move(array.tensor));
    files::note_conversion(saved, "tensor", array.element);
    return saved;
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' is damaged or no .npy file of numbers: {}", path, e.what()));
  }
}

void save_npy(const std::string& path, const Tensor& tensor, const SaveOptions& options) {
  if (!tensor.defined()) throw ArgumentError(fmt::format("save_npy: '{}': the tensor is undefined", path));
  if (options.floats == SavedFloats::bf16) npy::refuse_bf16("save_npy");
  const files::Element element = files::saved_element(tensor.dtype(), options);
  files::require_representable("save_npy", "the tensor", tensor, element);
  AtomicFile file(path);
  std::string converted;
  file.write(npy::header_of(tensor.shape(), element));
  file.write(files::elements_of(tensor, element, converted));
  file.commit();
}

Tensor load_npy(const std::string& path) { return npy::load(path).tensors[0].second; }

}  // namespace tapegrad::nn
