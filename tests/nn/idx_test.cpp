#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/idx.h>

#include "folders.h"
#include "idx_support.h"

namespace idx_test {

using namespace tapegrad;
using nn::IdxArray;
using nn::load_mnist;
using nn::read_idx;
using test::gzip;
using test::header_of;
using test::images;
using test::labels;
using test::mentions;
using test::TemporaryFolder;
using test::write_file;

namespace {

struct Fixture : test::MnistFolder {
  void check_idx_refused(const std::string& bytes, const std::string& part) {
    const std::string path = folder / "file";
    write_file(path, bytes);
    BOOST_CHECK_EXCEPTION(read_idx(path), FileError, mentions(path, part));
  }
  void check_mnist_refused(const std::string& name, const std::string& bytes, const std::string& part) {
    write_mnist();
    write_file(folder / name, bytes);
    BOOST_CHECK_EXCEPTION(load_mnist(folder.path().string()), FileError, mentions(name, part));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(idx, Fixture)

BOOST_AUTO_TEST_CASE(idx_files_are_read_plain_and_compressed_whatever_their_name) {
  const std::string file = images(30);
  for (const std::string& bytes : {file, gzip(file)}) {
    for (const char* name : {"a", "a.gz"}) {
      write_file(folder / name, bytes);
      const IdxArray array = read_idx(folder / name);
      BOOST_TEST((array.shape == Shape{30, 2, 3}));
      BOOST_TEST((std::string(array.bytes.begin(), array.bytes.end()) == file.substr(16)));
    }
  }
}

BOOST_AUTO_TEST_CASE(idx_files_of_any_rank_count_and_size_are_read) {
  const std::vector<std::vector<std::uint32_t>> shapes{
      {0},       {1},          {5},         {3, 4},
      {1, 2, 3}, {2, 1, 3, 2}, {0, 28, 28}, {3, 1000, 1000}};  // larger than any buffer on the way
  for (const std::vector<std::uint32_t>& dims : shapes) {
    std::size_t size = 1;
    for (const std::uint32_t d : dims) size *= d;
    std::string file = header_of(dims);
    for (std::size_t i = 0; i < size; ++i) file += static_cast<char>(i * 7 % 251);
    write_file(folder / "plain", file);
    write_file(folder / "compressed", gzip(file));
    const IdxArray array = read_idx(folder / "plain");
    BOOST_TEST(array.shape.rank() == dims.size());
    BOOST_TEST((std::string(array.bytes.begin(), array.bytes.end()) == file.substr(4 + 4 * dims.size())));
    BOOST_TEST((read_idx(folder / "compressed").bytes == array.bytes));
  }
}

BOOST_AUTO_TEST_CASE(gzip_files_of_several_members_are_read) {
  const std::string file = images(30);
  write_file(folder / "a", gzip(file.substr(0, 50)) + gzip("") + gzip(file.substr(50)));
  const IdxArray array = read_idx(folder / "a");
  BOOST_TEST((std::string(array.bytes.begin(), array.bytes.end()) == file.substr(16)));
}

BOOST_AUTO_TEST_CASE(files_that_are_no_idx_files_are_refused) {
  check_idx_refused("", "0 bytes");
  check_idx_refused("ab", "2 bytes");
  check_idx_refused("PK\3\4 something", "50 4b 03 04");
  check_idx_refused(header_of({3}, 13) + "123", "type 0d");
  check_idx_refused(header_of({}), "0 axes");
  check_idx_refused(header_of({1, 1, 1, 1, 1}) + "1", "5 axes");
  BOOST_CHECK_EXCEPTION(read_idx(folder / "none"), FileError, mentions("none", "No such file"));
  BOOST_CHECK_EXCEPTION(read_idx(folder.path().string()), FileError, mentions("folder"));
}

BOOST_AUTO_TEST_CASE(truncated_idx_files_are_refused_at_every_length) {
  const std::string file = images(3);
  for (std::size_t size = 0; size < file.size(); ++size) {
    check_idx_refused(file.substr(0, size), size < 4 ? "is no IDX file"
                                            : size < 16
                                                ? "ends within its header"
                                                : "is truncated: its header announces [3, 2, 3] = 18 bytes");
    check_idx_refused(gzip(file.substr(0, size)), "");
  }
  check_idx_refused(file.substr(0, 20), "it holds 4");
}

BOOST_AUTO_TEST_CASE(files_longer_than_announced_are_refused) {
  check_idx_refused(images(3) + "x", "holds more than the [3, 2, 3] = 18 bytes");
  check_idx_refused(gzip(images(3) + "x"), "holds more");
  check_idx_refused(gzip(images(3)) + "x", "other data behind its gzip stream");
  check_idx_refused(gzip(images(3)) + std::string(8, '\0'), "other data behind");
  check_idx_refused(gzip(images(3)) + "\x1f", "ends early");
  check_idx_refused(gzip(images(3)) + gzip("x"), "holds more");
}

BOOST_AUTO_TEST_CASE(files_that_are_made_to_fill_memory_are_refused) {
  const std::string zeros(320'000'000, '\0');
  check_idx_refused(
      gzip(header_of({100'000, 40, 80}) + zeros),
      "announces 320000000 bytes of data: its elements would take more memory than 256 MiB and 100 times the bytes");
  write_file(folder / "a", header_of({100'000, 40, 80}) + zeros);
  BOOST_TEST(nn::read_idx(folder / "a").bytes.size() == zeros.size());
}

BOOST_AUTO_TEST_CASE(damaged_gzip_files_are_refused) {
  const std::string whole = gzip(images(30));
  for (std::size_t size = 2; size < whole.size(); ++size)
    check_idx_refused(whole.substr(0, size), "ends early");
  std::string changed = whole;
  changed[whole.size() - 8] = static_cast<char>(changed[whole.size() - 8] ^ 1);  // the checksum
  check_idx_refused(changed, "corrupt gzip stream: incorrect data check");
  changed = whole;
  changed[2] = 9;  // an unknown method
  check_idx_refused(changed, "corrupt gzip stream");
  for (std::size_t at = 10; at < whole.size(); ++at) {
    changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 16);
    check_idx_refused(changed, "");
  }
}

BOOST_AUTO_TEST_CASE(sizes_that_no_file_holds_take_no_memory) {
  constexpr std::uint32_t kMost = 0xffffffff;
  check_idx_refused(header_of({kMost, kMost, kMost}) + "1", "announces [4294967295, 4294967295, 4294967295]");
  check_idx_refused(header_of({kMost, 16, 16}) + "1", "it holds 1");  // a terabyte
  check_idx_refused(gzip(header_of({kMost, 16, 16}) + "1"),
                    "announces 1099511627520 bytes of data: its elements would take more");
  check_idx_refused(header_of({kMost}), "it holds 0");
}

BOOST_AUTO_TEST_CASE(the_four_files_are_found_in_every_spelling) {
  for (const char* separator : {"-", "."}) {
    for (const bool compressed : {false, true}) {
      const TemporaryFolder other;
      const auto write = [&](const std::string& name, const std::string& rank, const std::string& bytes) {
        write_file(other / (name + separator + "idx" + rank + "-ubyte" + (compressed ? ".gz" : "")),
                   compressed ? gzip(bytes) : bytes);
      };
      write("train-images", "3", images(30));
      write("train-labels", "1", labels(30));
      write("t10k-images", "3", images(7, 100));
      write("t10k-labels", "1", labels(7));
      const nn::Mnist mnist = load_mnist(other.path().string());
      BOOST_TEST(mnist.train.size() == 30);
      BOOST_TEST(mnist.test.size() == 7);
      BOOST_TEST(mnist.test.batch(0, 1).x.to_vector<float>()[0] == 100.0F / 255);
    }
  }
}

BOOST_AUTO_TEST_CASE(missing_folders_and_files_are_named) {
  BOOST_CHECK_EXCEPTION(load_mnist(folder / "none"), FileError, mentions("none", "does not exist"));
  write_mnist();
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  BOOST_CHECK_EXCEPTION(
      load_mnist(folder.path().string()), FileError,
      mentions(folder.path().string(), "t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", ".gz"));
  write_file(folder / "plain", "");
  BOOST_CHECK_THROW(load_mnist(folder / "plain"), FileError);
}

BOOST_AUTO_TEST_CASE(mnist_files_that_do_not_fit_each_other_are_refused) {
  check_mnist_refused("train-labels-idx1-ubyte", labels(29), "29 labels");
  check_mnist_refused("train-labels-idx1-ubyte", images(30), "expected labels [n]");
  check_mnist_refused("train-images-idx3-ubyte", labels(30), "expected images [n, rows, columns]");
  check_mnist_refused("t10k-labels-idx1-ubyte", labels(7).substr(0, 14) + "\x0a",
                      "label 10 of item 6 is outside 0 ... 9");
  check_mnist_refused("t10k-labels-idx1-ubyte", labels(7).substr(0, 9), "truncated");
  write_mnist();
  write_file(folder / "t10k-images-idx3-ubyte", header_of({7, 3, 3}) + std::string(63, 'a'));
  BOOST_CHECK_EXCEPTION(load_mnist(folder.path().string()), FileError, mentions("[6]", "[9]"));
}

BOOST_AUTO_TEST_CASE(the_embedded_subset_of_mnist_is_read) {
  const nn::Mnist mnist = load_mnist(test::in_source("tools/data/mnist"));
  BOOST_TEST(mnist.train.size() == 6000);
  BOOST_TEST(mnist.test.size() == 1000);
  BOOST_TEST((mnist.train.input_shape() == Shape{784}));
  // The first labels of the two parts, and the first training image's share of ink, are well known.
  BOOST_TEST(mnist.train.batch(0, 10).t.to_vector<std::int64_t>() ==
             (std::vector<std::int64_t>{5, 0, 4, 1, 9, 2, 1, 3, 1, 4}));
  BOOST_TEST(mnist.test.batch(0, 10).t.to_vector<std::int64_t>() ==
             (std::vector<std::int64_t>{7, 2, 1, 0, 4, 1, 4, 9, 5, 9}));
  double ink = 0;
  for (const float v : mnist.train.batch(0, 1).x.to_vector<float>()) ink += static_cast<double>(v);
  BOOST_TEST(ink * 255 == 27525, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace idx_test
