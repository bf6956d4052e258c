#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/io/serialize.h>

#include <signal.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "process_support.h"
#include "support.h"

namespace killed_save_test {

using namespace tapegrad;

namespace {

constexpr std::int64_t kSize = 50'000;

nn::State state_of(double value) {
  return {{"a", Tensor::full({kSize}, value)}, {"b", Tensor::full({kSize}, -value, f64)}};
}

/// The value of which a file holds the state, whole.
double value_in(const std::string& path) {
  const nn::State state = nn::load_state_file(path).tensors;
  BOOST_REQUIRE(state.size() == 2U);
  const double value = state[0].second.values<float>()[0];
  for (const float v : state[0].second.values<float>()) BOOST_REQUIRE(v == static_cast<float>(value));
  for (const double v : state[1].second.values<double>()) BOOST_REQUIRE(v == -value);
  BOOST_REQUIRE(state[1].second.size() == kSize);
  return value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(killed_save)

BOOST_AUTO_TEST_CASE(a_process_killed_while_it_saves_leaves_the_old_file_or_the_new_one) {
  const test::TemporaryFolder folder;
  Generator rng(1);
  int changed = 0;
  int with_leftover = 0;
  for (const char* name : {"model.safetensors", "model.npz"}) {
    const std::string path = folder / name;
    const auto begin = std::chrono::steady_clock::now();
    nn::save_state(path, state_of(0));
    // As long as some files take to be written here, whatever else this machine does.
    const auto some_files =
        4 * std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    const auto longest = std::max<std::int64_t>(10'000, some_files.count());
    double before = 0;
    const std::ptrdiff_t files = folder.size();
    for (int round = 0; round < 60; ++round) {
      const pid_t child = test::start_process([&] {
        for (double value = before + 1;; ++value) nn::save_state(path, state_of(value));
      });
      std::this_thread::sleep_for(
          std::chrono::microseconds(static_cast<std::int64_t>(integers({1}, rng, 0, longest).item())));
      BOOST_REQUIRE(::kill(child, SIGKILL) == 0);
      BOOST_REQUIRE(::waitpid(child, nullptr, 0) == child);
      const double after = value_in(path);
      BOOST_TEST(after >= before);
      changed += after > before;
      before = after;
      // What earlier children left is gone.
      const std::ptrdiff_t left = folder.size() - files;
      BOOST_TEST((left == 0 || left == 1), left);
      with_leftover += left == 1;
    }
    nn::save_state(path, state_of(before));
    BOOST_TEST(folder.size() == files);
  }
  // Otherwise no child was killed where it matters.
  BOOST_TEST(changed > 0);
  BOOST_TEST(with_leftover > 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace killed_save_test
