// What the readers of data sets have in common: folders that are none, and memory that runs out.

#include <cstdint>
#include <filesystem>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data.h>

#include "allocation_support.h"
#include "folders.h"
#include "idx_support.h"

namespace data_files_test {

using namespace tapegrad;
using test::mentions;
using test::write_file;

namespace {

struct Fixture : test::MnistFolder {
  void write_cifar10() {
    const std::string records(2 * 3073, '\0');
    for (const char* name :
         {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"})
      write_file(folder / (std::string(name) + ".bin"), records);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(data_files, Fixture)

BOOST_AUTO_TEST_CASE(what_is_no_folder_is_refused) {
  const auto refused = [](const std::string& path, auto&&... words) {
    BOOST_CHECK_EXCEPTION(nn::load_mnist(path), FileError, mentions(path, words...));
    BOOST_CHECK_EXCEPTION(nn::load_cifar10(path), FileError, mentions(path, words...));
  };
  refused(folder / "none", "does not exist");
  write_file(folder / "file", "some text");
  refused(folder / "file", "is a file", "expected the folder");
  std::filesystem::create_symlink("loop", folder / "loop");
  refused(folder / "loop", "cannot be read", "symbolic links");
}

#if TAPEGRAD_COUNT_ALLOCATIONS

BOOST_AUTO_TEST_CASE(where_memory_runs_out_an_error_of_the_library_says_so) {
  write_mnist();
  write_cifar10();
  write_file(folder / "idx", test::images(30));
  write_file(folder / "idx.gz", test::gzip(test::images(30)));
  const auto fail_each = [&](const char* function, const auto& read) {
    read();  // what is made once in a process is made
    int failures = 0;
    for (std::uint64_t number = 1;; ++number) {
      bool reached = false;
      std::string message;
      std::int64_t lost = -test::live_allocations();
      {
        const test::FailingAllocations memory(number, test::Failing::once);
        try {
          read();
        } catch (const OutOfMemory& e) {  // any other exception ends the test
          message = e.what();
        }
        reached = memory.reached();
      }
      lost += test::live_allocations() - (message.capacity() > std::string().capacity());
      if (!reached) break;
      ++failures;
      BOOST_TEST_CONTEXT(function << ", call " << number << ": " << message) {
        BOOST_TEST(message.find("there is no memory") != message.npos);
        BOOST_TEST(message.find(function) != message.npos);
        BOOST_TEST(lost == 0);
      }
    }
    BOOST_TEST(failures >= 2, function);
  };
  const std::string plain = folder / "idx", packed = folder / "idx.gz", records = folder / "test_batch.bin";
  const std::string all = folder.path().string();
  fail_each("read_idx", [&] { (void)nn::read_idx(plain); });
  fail_each("read_idx", [&] { (void)nn::read_idx(packed); });
  fail_each("read_cifar10", [&] { (void)nn::read_cifar10(records); });
  fail_each("load_cifar10", [&] { (void)nn::load_cifar10(all); });
  fail_each("", [&] { (void)nn::load_mnist(all); });  // read_idx or load_mnist
}

#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace data_files_test
