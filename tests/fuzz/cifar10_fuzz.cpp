#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/cifar10.h>

#include "fuzz.h"

using namespace tapegrad;

namespace {

void try_records(std::string_view bytes) {
  nn::Cifar10Records loaded;
  try {
    loaded = nn::read_cifar10(fuzz::InputBytes(bytes).path());
  } catch (const FileError&) {
    return;
  }
  const std::size_t count = loaded.labels.bytes.size();
  const auto n = static_cast<std::int64_t>(count);
  fuzz::require(loaded.images.shape == Shape{n, 3, 32, 32} && loaded.labels.shape == Shape{n},
                "shapes of n images");
  fuzz::require(loaded.images.bytes.size() == count * 3072, "as many pixels as the shape says");
  std::string again;
  for (std::size_t i = 0; i < count; ++i) {
    again += static_cast<char>(loaded.labels.bytes[i]);
    again.append(reinterpret_cast<const char*>(loaded.images.bytes.data()) + i * 3072, 3072);
  }
  fuzz::require(again == bytes, "the records come back");
}

/// The bytes again and again until they fill one to four records: libFuzzer's inputs are shorter than one.
std::string repeated(std::string_view bytes) {
  std::string records;
  if (bytes.empty()) return records;
  const std::size_t length = (1 + bytes.size() % 4) * 3073;
  while (records.size() < length) records += bytes;
  records.resize(length);
  return records;
}

}  // namespace

/// Files of CIFAR-10's binary version: as they are, and of a length that is right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try_records(bytes);
  try_records(repeated(bytes));
  return 0;
}
