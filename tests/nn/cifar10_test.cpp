#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data.h>

#include <sys/stat.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

namespace cifar10_test {

using namespace tapegrad;
using nn::load_cifar10;
using nn::read_cifar10;
using test::mentions;
using test::write_file;

namespace {

constexpr std::size_t kRecord = 3073;

std::uint8_t pixel(std::size_t item, std::size_t i) {
  return static_cast<std::uint8_t>((item * 91 + i * 7 + i / 1024 * 50) % 256);
}

/// Records of the items first ... first + count - 1; the label of each is its last digit.
std::string records(std::size_t first, std::size_t count) {
  std::string file;
  for (std::size_t item = first; item < first + count; ++item) {
    file += static_cast<char>(item % 10);
    for (std::size_t i = 0; i < kRecord - 1; ++i) file += static_cast<char>(pixel(item, i));
  }
  return file;
}

struct Fixture {
  test::TemporaryFolder folder;
  /// Two items in each of the five files of training data, items 100 ... 102 to be tested.
  void write_all() {
    for (std::size_t k = 0; k < 5; ++k)
      write_file(folder / ("data_batch_" + std::to_string(k + 1) + ".bin"), records(2 * k, 2));
    write_file(folder / "test_batch.bin", records(100, 3));
  }
  nn::Cifar10 load(const nn::Cifar10Options& options = {}) {
    return load_cifar10(folder.path().string(), options);
  }
  void check_refused(const std::string& bytes, const std::string& part) {
    write_all();
    write_file(folder / "data_batch_4.bin", bytes);
    BOOST_CHECK_EXCEPTION(load(), FileError, mentions("data_batch_4.bin", part));
    BOOST_CHECK_EXCEPTION(read_cifar10(folder / "data_batch_4.bin"), FileError,
                          mentions("data_batch_4.bin", part));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cifar10, Fixture)

BOOST_AUTO_TEST_CASE(all_images_and_labels_are_read_in_order) {
  write_all();
  const nn::Cifar10 cifar = load();
  BOOST_TEST_REQUIRE(cifar.train.size() == 10);
  BOOST_TEST_REQUIRE(cifar.test.size() == 3);
  BOOST_TEST((cifar.train.input_shape() == Shape{3, 32, 32}));
  BOOST_TEST((cifar.train.target_shape() == Shape{}));
  BOOST_TEST(cifar.train.classes() == 10);
  const auto check = [](const nn::Dataset& data, std::size_t first) {
    const nn::Batch all = data.batch(0, data.size());
    const std::vector<float> x = all.x.to_vector<float>();
    int wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      wrong += x[i] != static_cast<float>(pixel(first + i / 3072, i % 3072)) / 255.0F;
    BOOST_TEST(wrong == 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(data.size()); ++i)
      BOOST_TEST(all.t.to_vector<std::int64_t>()[i] == static_cast<std::int64_t>((first + i) % 10));
  };
  check(cifar.train, 0);
  check(cifar.test, 100);
}

BOOST_AUTO_TEST_CASE(options_choose_shapes_and_targets) {
  write_all();
  const nn::Cifar10 flat = load({.normalize = false, .flatten = true, .one_hot = true});
  BOOST_TEST((flat.train.input_shape() == Shape{3072}));
  const nn::Batch b = flat.train.batch(3, 4);
  BOOST_TEST(b.x.to_vector<float>()[2000] == static_cast<float>(pixel(3, 2000)));
  BOOST_TEST(b.t.to_vector<float>() == (std::vector<float>{0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(one_file_is_read_by_itself) {
  write_file(folder / "any.name", records(7, 4));
  const nn::Cifar10Records read = read_cifar10(folder / "any.name");
  BOOST_TEST((read.images.shape == Shape{4, 3, 32, 32}));
  BOOST_TEST((read.labels.shape == Shape{4}));
  BOOST_TEST((read.labels.bytes == std::vector<std::uint8_t>{7, 8, 9, 0}));
  BOOST_TEST_REQUIRE(read.images.bytes.size() == 4 * 3072U);
  BOOST_TEST(read.images.bytes[3072 + 5] == pixel(8, 5));
}

BOOST_AUTO_TEST_CASE(files_of_another_length_are_refused) {
  check_refused("", "holds 0 bytes, expected records of 3073 bytes");
  check_refused("x", "holds 1 bytes");
  check_refused(records(0, 1).substr(0, kRecord - 1), "holds 3072 bytes");
  check_refused(records(0, 2) + "x", "holds 6147 bytes");
}

BOOST_AUTO_TEST_CASE(labels_above_9_are_refused_wherever_they_stand) {
  for (const std::size_t at : {0U, 1U, 2U})
    for (const int label : {10, 255}) {
      std::string bytes = records(0, 3);
      bytes[at * kRecord] = static_cast<char>(label);
      check_refused(bytes, "the label " + std::to_string(label) + " in record " + std::to_string(at) +
                               " (byte " + std::to_string(at * kRecord) + "), expected 0 ... 9");
    }
}

BOOST_AUTO_TEST_CASE(missing_folders_and_files_are_named) {
  BOOST_CHECK_EXCEPTION(load_cifar10(folder / "none"), FileError, mentions("none", "does not exist"));
  for (const char* name : {"data_batch_1.bin", "data_batch_5.bin", "test_batch.bin"}) {
    write_all();
    std::filesystem::remove(folder / name);
    BOOST_CHECK_EXCEPTION(
        load(), FileError,
        mentions(folder.path().string(), std::string("does not hold '") + name, "binary version"));
  }
  BOOST_CHECK_EXCEPTION(read_cifar10(folder / "absent"), FileError, mentions("absent", "No such file"));
  BOOST_CHECK_THROW(load_cifar10(folder / "data_batch_1.bin"), FileError);
}

BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_refused_without_waiting) {
  write_all();
  const std::string path = folder / "data_batch_2.bin";
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  BOOST_CHECK_EXCEPTION(load(), FileError, mentions("data_batch_2.bin", "no regular file but a folder"));
  std::filesystem::remove(path);
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  BOOST_CHECK_EXCEPTION(load(), FileError, mentions("data_batch_2.bin", "no regular file but a pipe"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace cifar10_test
