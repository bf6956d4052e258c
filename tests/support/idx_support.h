#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <tapegrad/nn/data/mnist.h>

#include <boost/test/unit_test.hpp>

#include "deflate_support.h"
#include "support.h"

/// Small files in the format of MNIST.
namespace tapegrad::test {

inline std::string header_of(const std::vector<std::uint32_t>& dims, int type = 8) {
  std::string h{0, 0, static_cast<char>(type), static_cast<char>(dims.size())};
  for (const std::uint32_t d : dims)
    for (const int shift : {24, 16, 8, 0}) h += static_cast<char>(d >> shift & 255);
  return h;
}

inline std::string gzip(const std::string& plain) { return deflate_all(plain, 6, MAX_WBITS + 16); }

/// Images of 2 x 3 pixels whose values tell item and pixel apart, labels that count up.
inline std::string images(std::uint32_t count, int first = 0) {
  std::string file = header_of({count, 2, 3});
  for (std::uint32_t i = 0; i < count * 6; ++i)
    file += static_cast<char>((first + static_cast<int>(i)) & 255);
  return file;
}
inline std::string labels(std::uint32_t count, int classes = 10) {
  std::string file = header_of({count});
  for (std::uint32_t i = 0; i < count; ++i) file += static_cast<char>(static_cast<int>(i) % classes);
  return file;
}

/// A folder of small MNIST-format files.
struct MnistFolder {
  TemporaryFolder folder;

  void write_mnist() {
    write_file(folder / "train-images-idx3-ubyte", images(30));
    write_file(folder / "train-labels-idx1-ubyte", labels(30));
    write_file(folder / "t10k-images-idx3-ubyte", images(7, 100));
    write_file(folder / "t10k-labels-idx1-ubyte", labels(7));
  }
  nn::Mnist load(const nn::ImageOptions& options = {}) {
    write_mnist();
    return nn::load_mnist(folder.path().string(), options);
  }
};

}  // namespace tapegrad::test
