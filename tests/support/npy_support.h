#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

/// Files of NumPy, made byte by byte.
namespace tapegrad::test {

/// `value` in `bytes` bytes, the lowest first.
inline std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
  return out;
}

/// The header of an array, as NumPy writes it.
inline std::string dictionary(std::string_view type, std::string_view shape,
                              std::string_view column_major = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", type, column_major, shape);
}

/// A .npy file with this header and these elements.
inline std::string array_file(std::string_view header, std::string_view data, int version = 1) {
  std::string file = "\x93NUMPY";
  file += little(static_cast<std::uint64_t>(version), 2);
  file += little(header.size(), version == 1 ? 2 : 4);
  file += header;
  return file += data;
}

}  // namespace tapegrad::test
