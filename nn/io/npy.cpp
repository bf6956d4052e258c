#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/npy_format.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

void save_npy(const std::string& path, const Tensor& tensor) {
  if (!tensor.defined()) throw ArgumentError(fmt::format("save_npy: '{}': the tensor is undefined", path));
  AtomicFile file(path);
  file.write(npy::header_of(tensor));
  file.write(TensorAccess::data(tensor), static_cast<std::size_t>(tensor.size()) * size_of(tensor.dtype()));
  file.commit();
}

Tensor load_npy(const std::string& path) {
  InputFile file(path);
  files::FileSource source(file);
  try {
    return npy::read(source);
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' is damaged or no .npy file of numbers: {}", path, e.what()));
  }
}

}  // namespace tapegrad::nn
