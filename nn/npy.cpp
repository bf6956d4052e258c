#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/file.h>
#include <tapegrad/nn/npy.h>
#include <tapegrad/nn/npy_format.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

class FileSource : public npy::Source {
 public:
  explicit FileSource(const std::string& path) : file_(path) {}
  std::uint64_t size() const override { return file_.size(); }
  void read(void* out, std::size_t bytes) override { file_.read(out, bytes); }

 private:
  InputFile file_;
};

}  // namespace

void save_npy(const std::string& path, const Tensor& tensor) {
  if (!tensor.defined()) throw ArgumentError(fmt::format("save_npy: '{}': the tensor is undefined", path));
  AtomicFile file(path);
  file.write(npy::header_of(tensor));
  file.write(TensorAccess::data(tensor), static_cast<std::size_t>(tensor.size()) * size_of(tensor.dtype()));
  file.commit();
}

Tensor load_npy(const std::string& path) {
  FileSource source(path);
  try {
    return npy::read(source);
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' is damaged or no .npy file of numbers: {}", path, e.what()));
  }
}

}  // namespace tapegrad::nn
