#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <tapegrad/nn/io/serialize.h>

/// What the fuzz targets share. A target is a function LLVMFuzzerTestOneInput that gives any bytes to what parses them:
/// run.sh has libFuzzer call it with bytes that it makes up, replay.cpp with those of the files in corpus/. A target
/// ends the process where something other than a documented error comes out, or where what it loaded does not come
/// back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tapegrad::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

/// A file in memory that holds these bytes, with a path that the library can open.
class InputBytes {
 public:
  explicit InputBytes(std::string_view bytes);
  ~InputBytes();
  InputBytes(const InputBytes&) = delete;
  InputBytes& operator=(const InputBytes&) = delete;
  const std::string& path() const { return path_; }

 private:
  int file_;
  std::string path_;
};

/// A path to write to, in memory where the system allows it; with this end to its name.
std::string output_path(const char* end);

/// Aborts unless both are the same bit for bit.
void require_same(const Tensor& a, const Tensor& b);
void require_same(const nn::SavedState& a, const nn::SavedState& b);

/// Loads named tensors from the bytes, saves what was loaded in all formats, and compares. True where they were loaded.
bool try_state(std::string_view bytes);

}  // namespace tapegrad::fuzz
