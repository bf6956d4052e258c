#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/serialize.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

/// Files of named tensors, of any format.
namespace tapegrad::test {

inline std::string bytes_of(const Tensor& t) {
  return visit_dtype(t.dtype(), [&]<class T> {
    const std::span<const T> v = t.values<T>();
    return std::string(reinterpret_cast<const char*>(v.data()), v.size_bytes());
  });
}

/// Names, shapes, dtypes, and the elements bit for bit.
inline void check_equal(const nn::State& a, const nn::State& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i].first == b[i].first);
    BOOST_TEST((a[i].second.shape() == b[i].second.shape()));
    BOOST_TEST((a[i].second.dtype() == b[i].second.dtype()));
    BOOST_TEST((bytes_of(a[i].second) == bytes_of(b[i].second)));
  }
}

/// What was skipped, in order: names, and a part of each reason.
inline void check_skipped(const nn::SavedState& saved,
                          const std::vector<std::pair<std::string, std::string>>& expected) {
  BOOST_REQUIRE(saved.skipped.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(saved.skipped[i].name == expected[i].first);
    BOOST_TEST(saved.skipped[i].reason.find(expected[i].second) != std::string::npos,
               saved.skipped[i].reason);
  }
}

/// What was converted, in order, as in "'w' from f16 to f32".
inline void check_converted(const std::vector<nn::ConvertedTensor>& converted,
                            const std::vector<std::string>& expected) {
  BOOST_REQUIRE(converted.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(to_string(converted[i]) == expected[i]);
}

/// A file in a folder of its own.
struct StateFile {
  explicit StateFile(const char* name) : path(folder / name) {}

  TemporaryFolder folder;
  const std::string path;

  nn::SavedState load(std::string_view bytes) const {
    write_file(path, bytes);
    return nn::load_state_file(path);
  }
  /// Why a file of these bytes is refused, which has to name the file; or "accepted".
  std::string refusal(std::string_view bytes) const {
    try {
      load(bytes);
    } catch (const FileError& e) {
      BOOST_TEST_MESSAGE(e.what());
      BOOST_TEST(std::string_view(e.what()).find(path) != std::string_view::npos);
      return e.what();
    }
    return "accepted";
  }
  void check_refused(std::string_view bytes, std::string_view part) const {
    const std::string why = refusal(bytes);
    BOOST_TEST(why.find(part) != std::string::npos, why << " does not mention " << part);
  }
};

}  // namespace tapegrad::test
