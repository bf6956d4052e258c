#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/system_call.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/train/checkpoint_folder.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace tapegrad::nn {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNameStart = "checkpoint-";
constexpr std::string_view kNameEnd = ".safetensors";

std::string name_of_number(std::uint64_t number) {
  return fmt::format("{}{:06}{}", kNameStart, number, kNameEnd);
}

/// Nothing where no trainer has made that name.
std::optional<std::uint64_t> number_of(std::string_view name) {
  if (!name.starts_with(kNameStart) || !name.ends_with(kNameEnd)) return {};
  const std::string_view digits =
      name.substr(kNameStart.size(), name.size() - kNameStart.size() - kNameEnd.size());
  const auto number = files::number_in<std::uint64_t>(digits);
  return number && name_of_number(*number) == name ? number : std::nullopt;
}

/// The numbers of the checkpoints in a folder, the highest first.
std::vector<std::uint64_t> numbers_in(const std::string& folder) {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    if (const auto number = number_of(entry->path().filename().native())) numbers.push_back(*number);
  if (error && error != std::errc::no_such_file_or_directory)
    throw FileError(
        fmt::format("the folder '{}' of checkpoints cannot be read: {}", folder, error.message()));
  std::ranges::sort(numbers, std::greater<>());
  return numbers;
}

/// Above all others, so that it is the newest whatever was saved before: also where training has gone back to an
/// older one, or a damaged one was skipped.
std::uint64_t next_of(const std::string& folder, const std::vector<std::uint64_t>& numbers) {
  if (numbers.empty()) return 1;
  if (numbers.front() == std::numeric_limits<std::uint64_t>::max())
    throw FileError(
        fmt::format("the folder '{}' has the checkpoint {}, behind which there are no numbers; remove it",
                    folder, name_of_number(numbers.front())));
  return numbers.front() + 1;
}

std::string path_in(const std::string& folder, std::uint64_t number) {
  return (fs::path(folder) / name_of_number(number)).string();
}

}  // namespace

std::vector<std::string> checkpoints_in(const std::string& folder) {
  std::vector<std::string> paths;
  for (const std::uint64_t number : numbers_in(folder)) paths.push_back(path_in(folder, number));
  return paths;
}

std::string save_checkpoint_in(const std::string& folder, const Checkpoint& checkpoint, std::int64_t limit) {
  const std::vector<std::uint64_t> numbers = numbers_in(folder);
  const std::string path = path_in(folder, next_of(folder, numbers));
  save_checkpoint(path, checkpoint);
  for (auto i = static_cast<std::size_t>(limit) - 1; i < numbers.size(); ++i)
    remove_checkpoint(path_in(folder, numbers[i]));
  return path;
}

void remove_checkpoint(const std::string& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error)
    throw FileError(
        fmt::format("'{}', a checkpoint that is not needed, cannot be removed: {}", path, error.message()));
}

void require_checkpoint_folder(const std::string& folder) {
  make_durable_folder(folder);
  const std::vector<std::uint64_t> numbers = numbers_in(folder);
  const AtomicFile can_be_written(path_in(folder, next_of(folder, numbers)));
}

void make_durable_folder(const std::string& folder) {
  files::require_file_name(folder);
  std::error_code error;
  fs::path path = fs::absolute(folder, error);
  if (!path.has_filename()) path = path.parent_path();  // "run/" is "run"
  if (fs::is_directory(path, error)) return;
  const fs::path above = path.parent_path();
  if (!above.empty() && above != path) make_durable_folder(above.string());
  fs::create_directory(path, error);
  if (error) throw FileError(fmt::format("the folder '{}' cannot be made: {}", folder, error.message()));
  if (!fs::is_directory(path, error))
    throw FileError(fmt::format("the folder '{}' cannot be made: it is no folder", folder));
  const files::Descriptor listed(
      files::retried([&] { return ::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  // A folder may be open to changes and closed to reading: then the file systems have to be synchronised.
  if (!listed)
    ::sync();
  else if (files::retried([&] { return ::fsync(listed.get()); }) != 0 && errno != EINVAL)
    throw FileError(fmt::format("the folder '{}' may be lost with the power: '{}' cannot be synchronised: {}",
                                folder, above.string(), files::errno_text()));
}

}  // namespace tapegrad::nn
