#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <zlib.h>

namespace tapegrad::fuzz {

inline std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << 8 * i;
  return value;
}

inline void put(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<char>(value >> 8 * i & 255);
}

/// What a deflate stream holds, up to a megabyte.
inline std::string inflated(std::string_view packed) {
  std::string out(1 << 20, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return {};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

/// The archive with the checksums and sizes that its entries have, so that what lies behind these is reached: a changed
/// byte would hardly ever get past them. What is no archive stays as it is.
inline std::string repaired(std::string zip) {
  for (std::size_t entry = zip.find("PK\1\2"); entry != std::string::npos;
       entry = zip.find("PK\1\2", entry + 4)) {
    if (zip.size() - entry < 46) break;
    const std::uint64_t at = number_at(zip, entry + 42, 4);
    if (at > zip.size() || zip.size() - at < 30) continue;
    const std::uint64_t begin = at + 30 + number_at(zip, at + 26, 2) + number_at(zip, at + 28, 2);
    const std::uint64_t packed_size = number_at(zip, entry + 20, 4);
    if (begin > zip.size() || packed_size > zip.size() - begin) continue;
    std::string data = zip.substr(begin, packed_size);
    if (number_at(zip, entry + 10, 2) == 8) data = inflated(data);
    const std::uint64_t crc = crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size());
    put(zip, entry + 16, crc, 4);
    put(zip, entry + 24, data.size(), 4);
  }
  return zip;
}

}  // namespace tapegrad::fuzz
