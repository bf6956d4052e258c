#include "fuzz.h"

/// Named tensors behind a header in JSON. Bytes that start as an archive are tried as that.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tapegrad::fuzz::try_state({reinterpret_cast<const char*>(data), size});
  return 0;
}
