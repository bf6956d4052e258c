#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/npy_format.h>

#include <fmt/format.h>

namespace tapegrad::nn {

void save_npy(const std::string& path, const Tensor& tensor) {
  if (!tensor.defined()) throw ArgumentError(fmt::format("save_npy: '{}': the tensor is undefined", path));
  AtomicFile file(path);
  const files::Element element = files::element_of(tensor.dtype());
  std::string converted;
  file.write(npy::header_of(tensor.shape(), element));
  file.write(files::elements_of(tensor, element, converted));
  file.commit();
}

Tensor load_npy(const std::string& path) {
  InputFile file(path);
  files::FileSource source(file);
  try {
    return npy::read(source).tensor;
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' is damaged or no .npy file of numbers: {}", path, e.what()));
  }
}

}  // namespace tapegrad::nn
