#include "fuzz.h"
#include "zip_repair.h"

/// NumPy's archives, as they are and with their checksums made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  tapegrad::fuzz::try_state(bytes);
  if (const std::string whole = tapegrad::fuzz::repaired(bytes); whole != bytes)
    tapegrad::fuzz::try_state(whole);
  return 0;
}
