// Files of checkpoints: what they hold, and what is refused.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/train/checkpoint.h>
#include <tapegrad/nn/train/checkpoint_folder.h>

#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "trainer_support.h"

namespace checkpoint_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(checkpoint)

namespace {

nn::Checkpoint small(double value = 2) {
  return {.tensors = {{"net.w", Tensor::full({3}, value)},
                      {"epoch", Tensor::scalar(7, i64)},
                      {"history.epoch", Tensor::zeros({0}, i64)},
                      {"best_value", Tensor::scalar(0.1, f64)}},
          .settings = {{"lr", "0.1"}, {"note", "\"\xc3\xa4\"\n"}},
          .trainer_settings = {{"batch", "10"}}};
}

void require_equal(const nn::Checkpoint& a, const nn::Checkpoint& b) {
  check_equal(a.tensors, b.tensors);
  BOOST_TEST((a.settings == b.settings));
  BOOST_TEST((a.trainer_settings == b.trainer_settings));
}

struct Fixture {
  const test::TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";

  std::string refusal(const std::string& from) const {
    try {
      nn::load_checkpoint(from);
    } catch (const FileError& e) {
      BOOST_TEST_MESSAGE(e.what());
      BOOST_TEST(std::string_view(e.what()).find(from) != std::string_view::npos, e.what());
      return e.what();
    }
    return "accepted";
  }
};

void damage(const std::string& path) {
  std::string bytes = read_file(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  write_file(path, bytes);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_is_saved_comes_back, Fixture) {
  for (const char* name : {"run.safetensors", "run.npz", "run"}) {
    nn::save_checkpoint(folder / name, small());
    const nn::Checkpoint loaded = nn::load_checkpoint(folder / name);
    require_equal(loaded, small());
    BOOST_TEST(loaded.path == folder / name);
    BOOST_TEST(loaded.unreadable.empty());
    const nn::Metadata metadata = nn::load_state_file(folder / name).metadata;
    BOOST_TEST(metadata.at("format") == "tapegrad checkpoint");
    BOOST_TEST(metadata.at("version") == "1");
    BOOST_TEST(metadata.at("program.lr") == "0.1");
    BOOST_TEST(metadata.at("trainer.batch") == "10");
  }
}

BOOST_FIXTURE_TEST_CASE(a_file_that_ends_anywhere_is_refused, Fixture) {
  for (const char* name : {"run.safetensors", "run.npz"}) {
    nn::save_checkpoint(folder / name, small());
    const std::string bytes = read_file(folder / name);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      write_file(folder / name, bytes.substr(0, size));
      BOOST_TEST(refusal(folder / name) != "accepted", size);
    }
    write_file(folder / name, bytes + '\0');
    BOOST_TEST(refusal(folder / name) != "accepted");
  }
}

// Whatever bit is another one: an error, or the content that was saved (spaces pad the header).
BOOST_FIXTURE_TEST_CASE(a_flipped_bit_is_found, Fixture) {
  for (const char* name : {"run.safetensors", "run.npz"}) {
    nn::save_checkpoint(folder / name, small());
    const std::string bytes = read_file(folder / name);
    std::size_t accepted = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = bytes;
        flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
        write_file(folder / name, flipped);
        try {
          require_equal(nn::load_checkpoint(folder / name), small());
          ++accepted;
        } catch (const FileError& e) {
          BOOST_TEST(std::string_view(e.what()).find(folder / name) != std::string_view::npos, e.what());
        }
      }
    BOOST_TEST_MESSAGE(name << ": " << accepted << " of " << 8 * bytes.size() << " bits do not matter");
    BOOST_TEST(accepted < 2 * bytes.size());  // a zip file has fields that nobody reads
  }
}

BOOST_FIXTURE_TEST_CASE(a_damaged_checkpoint_says_so, Fixture) {
  nn::save_checkpoint(path, small());
  damage(path);
  BOOST_TEST(refusal(path).find("is damaged: the checksum") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(what_is_no_checkpoint_is_told, Fixture) {
  nn::save_state(path, small().tensors);
  BOOST_TEST(refusal(path).find("is no checkpoint of a training") != std::string::npos);
  write_file(path, "text");
  BOOST_TEST(refusal(path) != "accepted");
  BOOST_TEST(refusal(folder / "missing").find("cannot be opened") != std::string::npos);
  // With the right checksum of nothing that a trainer has.
  nn::save_checkpoint(path, {});
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  nn::Trainer trainer(net, sgd);
  BOOST_CHECK_EXCEPTION(trainer.resume(path), ArgumentError, mentions("missing: epoch"));
}

namespace {

/// A checkpoint of another version, as one that comes later would write it.
void save_version(const std::string& path, const std::string& version) {
  nn::save_checkpoint(path, small());
  nn::SavedState saved = nn::load_state_file(path);
  saved.metadata["version"] = version;
  // The message says which checksum it should have.
  nn::save_state(path, saved.tensors, saved.metadata);
  try {
    nn::load_checkpoint(path);
  } catch (const FileError& e) {
    const std::string_view what = e.what();
    constexpr std::string_view kBefore = "the checksum of its content is ";
    saved.metadata["checksum"] = what.substr(what.find(kBefore) + kBefore.size(), 8);
  }
  nn::save_state(path, saved.tensors, saved.metadata);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_newer_version_is_refused_by_its_number, Fixture) {
  save_version(path, "9");
  BOOST_CHECK_EXCEPTION(nn::load_checkpoint(path), FileError,
                        mentions("is a checkpoint of version 9", "reads version 1"));
  // An older file beside it is not what was asked for.
  const std::string run = folder / "run";
  std::filesystem::create_directory(run);
  nn::save_checkpoint_in(run, small(), 9);
  save_version(nn::save_checkpoint_in(run, small(), 9), "9");
  BOOST_CHECK_EXCEPTION(nn::load_checkpoint(run), FileError,
                        mentions("checkpoint-000002.safetensors", "version 9"));
}

// ---- folders ----

BOOST_FIXTURE_TEST_CASE(the_newest_ones_stay, Fixture) {
  const std::string run = folder / "a/b/run/";
  BOOST_TEST(nn::checkpoints_in(run).empty());
  nn::require_checkpoint_folder(run);
  BOOST_TEST(nn::checkpoints_in(run).empty());
  write_file(run + "checkpoint-7.safetensors", "not a trainer's");
  write_file(run + "checkpoint-0000007.safetensors", "nor this");
  write_file(run + "checkpoint-000007.npz", "nor this");
  write_file(run + "best.safetensors", "nor this");
  for (int i = 1; i <= 5; ++i) nn::save_checkpoint_in(run, small(i), 3);
  BOOST_TEST(nn::checkpoints_in(run) == std::vector<std::string>({run + "checkpoint-000005.safetensors",
                                                                  run + "checkpoint-000004.safetensors",
                                                                  run + "checkpoint-000003.safetensors"}));
  require_equal(nn::load_checkpoint(run), small(5));
  nn::save_checkpoint_in(run, small(6), 1);
  BOOST_TEST(nn::checkpoints_in(run).size() == 1U);
  // Seven digits are more than six.
  std::filesystem::rename(run + "checkpoint-000006.safetensors", run + "checkpoint-999999.safetensors");
  nn::save_checkpoint_in(run, small(7), 2);
  BOOST_TEST(nn::checkpoints_in(run).front() == run + "checkpoint-1000000.safetensors");
  require_equal(nn::load_checkpoint(run), small(7));
  BOOST_TEST(read_file(run + "best.safetensors") == "nor this");
}

BOOST_FIXTURE_TEST_CASE(a_damaged_newest_one_is_skipped_and_named, Fixture) {
  const std::string run = folder.path().string();
  for (int i = 1; i <= 3; ++i) nn::save_checkpoint_in(run, small(i), 9);
  damage(nn::checkpoints_in(run)[0]);
  write_file(nn::checkpoints_in(run)[1], "");
  nn::Checkpoint loaded = nn::load_checkpoint(run);
  require_equal(loaded, small(1));
  BOOST_TEST(loaded.path == folder / "checkpoint-000001.safetensors");
  BOOST_REQUIRE(loaded.unreadable.size() == 2U);
  BOOST_TEST(loaded.unreadable[0].find("checkpoint-000003.safetensors' is damaged") != std::string::npos);
  BOOST_TEST(loaded.unreadable[1].find("checkpoint-000002.safetensors'") != std::string::npos);
  // What is saved next is newer than what is damaged.
  nn::save_checkpoint_in(run, small(4), 2);
  loaded = nn::load_checkpoint(run);
  require_equal(loaded, small(4));
  BOOST_TEST(loaded.unreadable.empty());
  BOOST_TEST(nn::checkpoints_in(run).size() == 2U);

  damage(nn::checkpoints_in(run)[0]);  // the other one is damaged already
  BOOST_CHECK_EXCEPTION(nn::load_checkpoint(run), FileError,
                        mentions("no checkpoint in the folder", "checkpoint-000004.safetensors'",
                                 "checkpoint-000003.safetensors'"));
}

BOOST_FIXTURE_TEST_CASE(a_folder_without_checkpoints_is_told, Fixture) {
  BOOST_TEST(refusal(folder.path().string()).find("has no checkpoint") != std::string::npos);
  write_file(path, "");
  BOOST_CHECK_EXCEPTION(nn::checkpoints_in(path), FileError, mentions(path.c_str(), "cannot be read"));
  BOOST_CHECK_EXCEPTION(nn::require_checkpoint_folder(path), FileError, mentions(path.c_str()));
  BOOST_CHECK_EXCEPTION(nn::require_checkpoint_folder(path + "/run"), FileError, mentions(path.c_str()));
  BOOST_CHECK_THROW(nn::require_checkpoint_folder(""), FileError);
}

BOOST_FIXTURE_TEST_CASE(what_cannot_be_saved_removes_nothing, Fixture) {
  const std::string run = folder.path().string();
  for (int i = 1; i <= 3; ++i) nn::save_checkpoint_in(run, small(i), 9);
  nn::Checkpoint bad = small();
  bad.tensors.emplace_back("undefined", Tensor());
  BOOST_CHECK_THROW(nn::save_checkpoint_in(run, bad, 1), Error);
  BOOST_TEST(nn::checkpoints_in(run).size() == 3U);
  BOOST_CHECK_EXCEPTION(nn::save_checkpoint("/dev/full", small()), FileError,
                        mentions("/dev/full", "No space left on device"));
}

// The next number would be 0, and the checkpoint the oldest.
BOOST_FIXTURE_TEST_CASE(behind_the_highest_number_there_is_none, Fixture) {
  const std::string run = folder.path().string();
  write_file(folder / "checkpoint-18446744073709551615.safetensors", "");
  BOOST_CHECK_EXCEPTION(nn::save_checkpoint_in(run, small(), 3), FileError,
                        mentions(run, "18446744073709551615"));
  BOOST_CHECK_EXCEPTION(nn::require_checkpoint_folder(run), FileError, mentions("remove it"));
  BOOST_TEST(nn::checkpoints_in(run).size() == 1U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checkpoint_test
