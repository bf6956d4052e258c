#pragma once

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

#include <stdlib.h>

namespace tapegrad::test {

/// For BOOST_CHECK_EXCEPTION: true where the message mentions all parts.
template <class... Parts>
auto mentions(Parts... parts) {
  return [=](const std::exception& e) {
    const std::string_view what = e.what();
    const bool all = ((what.find(parts) != std::string_view::npos) && ...);
    BOOST_TEST_MESSAGE(what);
    return all;
  };
}

/// A folder that goes, with all in it, when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() : TemporaryFolder(std::filesystem::temp_directory_path()) {}
  explicit TemporaryFolder(const std::filesystem::path& parent) {
    std::string name = (parent / "tapegrad-XXXXXX").string();
    // Not BOOST_REQUIRE, which is for one thread: ranks make folders of their own.
    if (!::mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  /// Number of entries.
  std::ptrdiff_t size() const {
    return std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path path_;
};

/// f(changed) for the content of a file with each byte changed, in one bit and another.
template <class F>
void for_each_change(const std::string& whole, const F& f) {
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int bit : {1, 8, 64, 128}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      f(changed);
    }
}

inline void write_file(const std::string& path, std::string_view bytes) {
  // A file system may flush a file that is truncated and written again, which takes milliseconds.
  std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  BOOST_REQUIRE(file.flush());
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  BOOST_REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tapegrad::test
