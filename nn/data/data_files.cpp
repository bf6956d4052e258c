#include <filesystem>
#include <system_error>

#include <tapegrad/nn/data/data_files.h>

namespace tapegrad::nn::files {

void require_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (fs::is_directory(status)) return;
  if (status.type() == fs::file_type::not_found)
    throw FileError(fmt::format("folder '{}' does not exist", folder));
  if (error) throw FileError(fmt::format("folder '{}' cannot be read: {}", folder, error.message()));
  throw FileError(fmt::format("'{}' is a file, expected the folder that holds the data", folder));
}

}  // namespace tapegrad::nn::files
