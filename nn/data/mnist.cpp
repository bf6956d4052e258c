#include <filesystem>
#include <system_error>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data_files.h>
#include <tapegrad/nn/data/mnist.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

namespace fs = std::filesystem;

/// The first that exists of NAME-idxRANK-ubyte, NAME.idxRANK-ubyte and the same with .gz.
std::string find_file(const fs::path& folder, const std::string& name, std::size_t rank) {
  for (const char* end : {"", ".gz"}) {
    for (const char* separator : {"-", "."}) {
      const fs::path path = folder / fmt::format("{}{}idx{}-ubyte{}", name, separator, rank, end);
      std::error_code ignored;
      if (fs::exists(path, ignored)) return path.string();
    }
  }
  throw FileError(
      fmt::format("folder '{}' holds neither '{}-idx{}-ubyte' nor '{}.idx{}-ubyte', plain or with .gz",
                  folder.string(), name, rank, name, rank));
}

IdxArray read(const std::string& path, std::size_t rank, const char* what) {
  IdxArray array = read_idx(path);
  if (array.shape.rank() != rank)
    throw FileError(fmt::format("'{}' has the shape {}, expected {}", path, to_string(array.shape), what));
  return array;
}

Dataset load_part(const fs::path& folder, const std::string& part, const ImageOptions& options) {
  const std::string images_path = find_file(folder, part + "-images", 3);
  const std::string labels_path = find_file(folder, part + "-labels", 1);
  const IdxArray labels = read(labels_path, 1, "labels [n]");
  IdxArray images = read(images_path, 3, "images [n, rows, columns]");
  if (images.shape[0] != labels.shape[0])
    throw FileError(fmt::format("'{}' holds {} images, '{}' holds {} labels; they must be as many",
                                images_path, images.shape[0], labels_path, labels.shape[0]));
  try {
    return Dataset(std::move(images), labels, options);
  } catch (const ArgumentError& e) {
    throw FileError(fmt::format("'{}': {}", labels_path, e.what()));
  }
}

Mnist load(const std::string& folder, const ImageOptions& options) {
  files::require_folder(folder);
  Mnist mnist{load_part(folder, "train", options), load_part(folder, "t10k", options)};
  if (mnist.train.input_shape() != mnist.test.input_shape())
    throw FileError(fmt::format("folder '{}': the training images have the shape {}, the test images {}",
                                folder, to_string(mnist.train.input_shape()),
                                to_string(mnist.test.input_shape())));
  return mnist;
}

}  // namespace

Mnist load_mnist(const std::string& folder, const ImageOptions& options) {
  if (options.classes < 1)
    throw ArgumentError(fmt::format("load_mnist: {} classes; there must be at least one", options.classes));
  return files::reading("load_mnist", folder, [&] { return load(folder, options); });
}

}  // namespace tapegrad::nn
