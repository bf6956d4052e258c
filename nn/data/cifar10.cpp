#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/cifar10.h>
#include <tapegrad/nn/data/data_files.h>
#include <tapegrad/nn/io/file.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kClasses = 10;
constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;

InputFile open(const std::string& path) {
  InputFile file(path);
  if (file.size() == 0 || file.size() % kRecord != 0)
    file.fail(fmt::format(
        "holds {} bytes, expected records of {} bytes (a label and 3 x 32 x 32 pixels), as CIFAR-10's "
        "binary version has them: it is truncated or of another kind",
        file.size(), kRecord));
  return file;
}

/// The records of all files, one after the other.
Cifar10Records read(std::span<InputFile> files) {
  std::size_t count = 0;
  for (const InputFile& file : files) count += file.size() / kRecord;
  const auto n = static_cast<std::int64_t>(count);
  Cifar10Records all{{{n, 3, 32, 32}, {}}, {{n}, {}}};
  all.images.bytes.reserve(count * kPixels);  // of what is there: nothing in the files says how much it is
  all.labels.bytes.reserve(count);
  std::array<std::uint8_t, kRecord> record;
  for (InputFile& file : files)
    for (std::size_t i = 0; i < file.size() / kRecord; ++i) {
      file.read(record.data(), record.size());
      if (record[0] >= kClasses)
        file.fail(fmt::format("has the label {} in record {} (byte {}), expected 0 ... {}", record[0], i,
                              i * kRecord, kClasses - 1));
      all.labels.bytes.push_back(record[0]);
      all.images.bytes.insert(all.images.bytes.end(), record.begin() + 1, record.end());
    }
  return all;
}

Dataset load_part(const std::string& folder, std::span<const char* const> names,
                  const ImageOptions& options) {
  std::vector<InputFile> files;
  for (const char* name : names) {
    const fs::path path = fs::path(folder) / name;
    std::error_code ignored;
    if (!fs::exists(path, ignored))
      throw FileError(
          fmt::format("folder '{}' does not hold '{}'; expected data_batch_1.bin ... data_batch_5.bin "
                      "and test_batch.bin, CIFAR-10's binary version",
                      folder, name));
    files.push_back(open(path.string()));
  }
  Cifar10Records records = read(files);
  return Dataset(std::move(records.images), records.labels, options);
}

Cifar10 load(const std::string& folder, const Cifar10Options& options) {
  files::require_folder(folder);
  const ImageOptions images{.normalize = options.normalize,
                            .flatten = options.flatten,
                            .one_hot = options.one_hot,
                            .classes = kClasses};
  constexpr const char* kTraining[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                       "data_batch_4.bin", "data_batch_5.bin"};
  constexpr const char* kTest[] = {"test_batch.bin"};
  Dataset test = load_part(folder, kTest, images);  // the smaller part first: what is missing is soon told
  return {load_part(folder, kTraining, images), std::move(test)};
}

}  // namespace

Cifar10Records read_cifar10(const std::string& path) {
  return files::reading("read_cifar10", path, [&] {
    InputFile file = open(path);
    return read({&file, 1});
  });
}

Cifar10 load_cifar10(const std::string& folder, const Cifar10Options& options) {
  return files::reading("load_cifar10", folder, [&] { return load(folder, options); });
}

}  // namespace tapegrad::nn
