#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz.h"
#include "zip_repair.h"

namespace {

void put_number(std::string& bytes, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
}

/// An archive of PyTorch's with this pickle, and two storages of some bytes.
std::string archive_of(std::string_view pickle) {
  const std::array<std::pair<std::string_view, std::string>, 3> members{
      {{"m/data.pkl", std::string(pickle)},
       {"m/data/0", std::string(24, '\x3e')},
       {"m/data/1", {'\0', '\x38', '\1', '\0'}}}};
  std::string file;
  std::string list;
  for (const auto& [name, content] : members) {
    std::string about;  // from the flags to the length of the extra field
    put_number(about, 0, 8);
    put_number(about, crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()), 4);
    put_number(about, content.size(), 4);
    put_number(about, content.size(), 4);
    put_number(about, name.size(), 2);
    put_number(about, 0, 2);
    list += "PK\1\2";
    put_number(list, 20 << 16 | 20, 4);
    list += about;
    list.append(10, '\0');
    put_number(list, file.size(), 4);
    list += name;
    file += "PK\3\4";
    put_number(file, 20, 2);
    file += about;
    file += name;
    file += content;
  }
  const std::size_t at = file.size();
  file += list + "PK\5\6";
  put_number(file, 0, 4);
  put_number(file, members.size() << 16 | members.size(), 4);
  put_number(file, list.size(), 4);
  put_number(file, at, 4);
  put_number(file, 0, 2);
  return file;
}

}  // namespace

/// PyTorch's archives, as they are and with their checksums made right. What is no archive is a pickle within one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!bytes.starts_with("PK")) {
    tapegrad::fuzz::try_state(archive_of(bytes));
    return 0;
  }
  tapegrad::fuzz::try_state(bytes);
  if (const std::string whole = tapegrad::fuzz::repaired(bytes); whole != bytes)
    tapegrad::fuzz::try_state(whole);
  return 0;
}
