#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/cifar10.h>
#include <tapegrad/nn/data/csv.h>
#include <tapegrad/nn/data/idx.h>
#include <tapegrad/nn/data/mnist.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/serialize.h>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

/// What the suites of files share: a folder of their own, and all functions of the library that read or write.
namespace tapegrad::test {

namespace fs = std::filesystem;

struct FileFixture {
  test::TemporaryFolder folder;
  const std::string path = folder / "model.npz";

  void save(const std::string& to, std::string_view text) const {
    nn::AtomicFile file(to);
    file.write(text);
    file.commit();
  }
  std::string refusal(const std::string& to) const {
    try {
      save(to, "x");
    } catch (const FileError& e) {
      BOOST_TEST(std::string_view(e.what()).find(to) != std::string_view::npos, e.what());
      return e.what();
    }
    return "accepted";
  }
  void check_refused(const std::string& to, std::string_view part) const {
    const std::string why = refusal(to);
    BOOST_TEST(why.find(part) != std::string::npos, why << " does not mention " << part);
  }
};

inline struct stat status_of(const std::string& path) {
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  return status;
}
inline mode_t mode_of(const std::string& path) { return status_of(path).st_mode & 07777; }
inline void set_mode(const std::string& path, mode_t mode) {
  BOOST_REQUIRE(::chmod(path.c_str(), mode) == 0);
}

/// All that is written to a pipe that is open for reading.
inline std::string read_pipe(int end) {
  std::string text;
  char block[4096];
  for (ssize_t n = 0; (n = ::read(end, block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(n));
  return text;
}

inline const nn::State kState{{"a", Tensor::full({3}, 2)}};

/// Every function of the library that writes a file.
inline const std::vector<std::pair<const char*, void (*)(const std::string&)>> kWriters = {
    {"safetensors", [](const std::string& to) { nn::save_state(to, kState); }},
    {"npz", [](const std::string& to) { nn::save_state(to, kState); }},
    {"pt", [](const std::string& to) { nn::save_state(to, kState); }},
    {"npy", [](const std::string& to) { nn::save_npy(to, kState[0].second); }}};

/// And that reads one.
inline const std::vector<std::pair<const char*, void (*)(const std::string&)>> kReaders = {
    {"state", [](const std::string& from) { nn::load_state_file(from); }},
    {"npy", [](const std::string& from) { nn::load_npy(from); }},
    {"idx", [](const std::string& from) { nn::read_idx(from); }},
    {"cifar10", [](const std::string& from) { nn::read_cifar10(from); }},
    {"csv", [](const std::string& from) { nn::read_csv(from); }}};

}  // namespace tapegrad::test
