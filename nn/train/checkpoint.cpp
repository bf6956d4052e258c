#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/train/checkpoint.h>

#include <fmt/format.h>
#include <zlib.h>

namespace tapegrad::nn {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "tapegrad checkpoint";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kOfTrainer = "trainer.";
constexpr std::string_view kOfProgram = "program.";
constexpr const char* kChecksum = "checksum";

/// CRC-32 of all that a file holds but the checksum itself.
std::string checksum_of(const State& tensors, const Metadata& metadata) {
  uLong crc = 0;
  const auto add = [&](const void* data, std::size_t bytes) {
    crc = crc32_z(crc, static_cast<const Bytef*>(data), bytes);
  };
  // With the byte 0 behind it, so that two texts are not one.
  const auto add_text = [&](const std::string& text) { add(text.c_str(), text.size() + 1); };
  for (const auto& [key, value] : metadata) {
    if (key == kChecksum) continue;
    add_text(key);
    add_text(value);
  }
  for (const auto& named : tensors) {
    const Tensor& t = named.second;
    add_text(fmt::format("{} {}{}", named.first, name_of(t.dtype()), to_string(t.shape())));
    visit_dtype(t.dtype(), [&]<class T> {
      const std::span<const T> values = t.values<T>();
      if (!values.empty()) add(values.data(), values.size_bytes());
    });
  }
  return fmt::format("{:08x}", crc);
}

/// A file whose content is as it was saved, of whatever version.
struct Intact {
  Checkpoint checkpoint;
  std::string version;
};

Intact read_intact(const std::string& path) {
  SavedState saved = load_state_file(path);
  const auto text = [&](const char* key) {
    const auto found = saved.metadata.find(key);
    return found == saved.metadata.end() ? std::string() : found->second;
  };
  if (text("format") != kFormat)
    throw FileError(fmt::format(
        "'{}' is no checkpoint of a training; a file of named tensors is read by load_state_file", path));
  const std::string version = text("version");
  if (const std::string sum = checksum_of(saved.tensors, saved.metadata); text(kChecksum) != sum)
    throw FileError(fmt::format("'{}' is damaged: the checksum of its content is {}, and it says '{}'", path,
                                sum, text(kChecksum)));
  Checkpoint checkpoint{.path = path, .tensors = std::move(saved.tensors)};
  for (auto& [key, value] : saved.metadata) {
    if (key.starts_with(kOfTrainer))
      checkpoint.trainer_settings.emplace(key.substr(kOfTrainer.size()), std::move(value));
    else if (key.starts_with(kOfProgram))
      checkpoint.settings.emplace(key.substr(kOfProgram.size()), std::move(value));
  }
  return {std::move(checkpoint), version};
}

Checkpoint of_this_version(Intact intact) {
  if (intact.version == kVersion) return std::move(intact.checkpoint);
  throw FileError(fmt::format(
      "'{}' is a checkpoint of version {}; this tapegrad reads version {}. Take the tapegrad that "
      "has saved it, or a newer one",
      intact.checkpoint.path, intact.version, kVersion));
}

}  // namespace

void save_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  Metadata metadata{{"format", std::string(kFormat)}, {"version", std::string(kVersion)}};
  for (const auto& [name, value] : checkpoint.trainer_settings)
    metadata.emplace(std::string(kOfTrainer) + name, value);
  for (const auto& [name, value] : checkpoint.settings)
    metadata.emplace(std::string(kOfProgram) + name, value);
  const std::string sum = checksum_of(checkpoint.tensors, metadata);
  metadata.emplace(kChecksum, sum);
  save_state(path, checkpoint.tensors, metadata);
}

Checkpoint load_checkpoint(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return of_this_version(read_intact(path));
  std::vector<std::string> unreadable;
  for (const std::string& file : checkpoints_in(path)) {
    std::optional<Intact> intact;
    try {
      intact = read_intact(file);
    } catch (const FileError& e) {
      unreadable.emplace_back(e.what());
      continue;
    }
    Checkpoint checkpoint = of_this_version(std::move(*intact));
    checkpoint.unreadable = std::move(unreadable);
    return checkpoint;
  }
  if (unreadable.empty())
    throw FileError(
        fmt::format("the folder '{}' has no checkpoint (no file checkpoint-NUMBER.safetensors)", path));
  throw FileError(
      fmt::format("no checkpoint in the folder '{}' can be read: {}", path, fmt::join(unreadable, "; ")));
}

}  // namespace tapegrad::nn
