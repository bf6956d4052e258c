#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <zlib.h>
#include <boost/test/unit_test.hpp>

#include "deflate_support.h"
#include "npy_support.h"

/// Zip files, made byte by byte.
namespace tapegrad::test {

/// A member of a zip file; each field may be made a lie.
struct Member {
  std::string name;
  std::string packed;
  std::uint64_t size = packed.size();
  std::uint32_t crc = 0;
  int method = 0;
  int flags = 0;
  std::uint64_t packed_size = packed.size();
};

inline std::uint32_t crc_of(const std::string& bytes) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

inline Member stored(std::string name, std::string content) {
  const std::uint32_t crc = crc_of(content);
  return {.name = std::move(name), .packed = std::move(content), .crc = crc};
}

inline Member deflated(std::string name, const std::string& content) {
  return {.name = std::move(name),
          .packed = deflate_all(content, 9, -MAX_WBITS),
          .size = content.size(),
          .crc = crc_of(content),
          .method = 8};
}

/// The zip file. With zip64, the sizes stand in 64-bit fields behind each name, as numpy.savez writes them.
inline std::string zip_of(const std::vector<Member>& members, bool zip64 = false,
                          const std::string& comment = "") {
  std::string file;
  std::string list;
  const std::uint64_t marker = 0xffffffff;
  for (const Member& m : members) {
    const std::uint64_t at = file.size();
    const std::string extra =
        zip64 ? little(1, 2) + little(16, 2) + little(m.size, 8) + little(m.packed_size, 8) : "";
    const std::string about =
        little(static_cast<std::uint64_t>(m.flags), 2) + little(static_cast<std::uint64_t>(m.method), 2) +
        little(1 << 21 | 1 << 16, 4) + little(m.crc, 4) + little(zip64 ? marker : m.packed_size, 4) +
        little(zip64 ? marker : m.size, 4) + little(m.name.size(), 2) + little(extra.size(), 2);
    file += "PK\3\4" + little(zip64 ? 45 : 20, 2) + about + m.name + extra + m.packed;
    list += "PK\1\2" + little(20, 2) + little(zip64 ? 45 : 20, 2) + about + little(0, 2) + little(0, 2) +
            little(0, 2) + little(0, 4) + little(at, 4) + m.name + extra;
  }
  const std::uint64_t start = file.size();
  const std::uint64_t count = members.size();
  return file + list + "PK\5\6" + little(0, 4) + little(count, 2) + little(count, 2) +
         little(list.size(), 4) + little(start, 4) + little(comment.size(), 2) + comment;
}

}  // namespace tapegrad::test
