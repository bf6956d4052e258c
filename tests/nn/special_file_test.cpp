#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "file_support.h"
#include "process_support.h"

namespace special_file_test {

/// Links, pipes, devices and whatever else a name may stand for that is no regular file.

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_FIXTURE_TEST_SUITE(special_file, FileFixture)

BOOST_AUTO_TEST_CASE(symbolic_links_stay_and_the_file_behind_them_changes) {
  for (const auto& [end, write] : kWriters) {
    const test::TemporaryFolder at;
    const std::string whole = at / fmt::format("whole.{}", end);
    write(whole);
    fs::create_directories(at / "runs/deep");
    const std::string target = at / fmt::format("runs/deep/run7.{}", end);
    const std::vector<std::pair<std::string, std::string>> links = {
        {at / fmt::format("absolute.{}", end), target},
        {at / fmt::format("relative.{}", end), fmt::format("runs/deep/run7.{}", end)},
        {at / fmt::format("runs/up.{}", end), fmt::format("../relative.{}", end)},
        {at / fmt::format("chain.{}", end), fmt::format("runs/up.{}", end)}};
    for (const auto& [link, to] : links) fs::create_symlink(to, link);
    for (const bool dangling : {false, true})
      for (const auto& [link, to] : links) {
        fs::remove(target);
        if (!dangling) write_file(target, "old");
        write(link);
        BOOST_TEST(fs::read_symlink(link).native() == to);
        BOOST_TEST(fs::is_regular_file(fs::symlink_status(target)));
        BOOST_TEST((read_file(target) == read_file(whole)), link);
      }
    BOOST_TEST(std::distance(fs::directory_iterator(at / "runs/deep"), {}) == 1);
  }
}

BOOST_AUTO_TEST_CASE(links_that_lead_to_no_file_are_refused_and_stay) {
  fs::create_symlink("missing/model", folder / "nowhere");
  check_refused(folder / "nowhere", "No such file");
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  check_refused(folder / "a", "symbolic links");
  fs::create_directory(folder / "runs");
  fs::create_symlink("runs", folder / "latest");
  check_refused(folder / "latest", "is a folder");
  for (const char* name : {"nowhere", "a", "b", "latest"}) BOOST_TEST(fs::is_symlink(folder / name));
  BOOST_TEST(folder.size() == 5);
}

BOOST_AUTO_TEST_CASE(pipes_are_written_through) {
  for (const auto& [end, write] : kWriters) {
    const std::string whole = folder / fmt::format("whole.{}", end);
    write(whole);
    const std::string pipe = folder / fmt::format("pipe.{}", end);
    BOOST_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    fs::create_symlink(pipe, folder / fmt::format("link.{}", end));
    BOOST_CHECK_EXCEPTION(write(pipe), FileError, mentions(pipe, "nobody reads"));
    for (const std::string& name : {pipe, folder / fmt::format("link.{}", end)}) {
      const int reading = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
      BOOST_REQUIRE(reading >= 0);
      BOOST_REQUIRE(::fcntl(reading, F_SETFL, 0) == 0);
      { const nn::AtomicFile tried(name); }  // must not show the reader an end
      write(name);                           // which has room in the pipe
      const std::string got = read_pipe(reading);
      ::close(reading);
      BOOST_TEST((got == read_file(whole)), name);
      BOOST_TEST(fs::is_fifo(pipe));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_is_an_error_and_no_signal) {
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reading = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  nn::AtomicFile file(path);
  file.write("x");
  ::close(reading);
  BOOST_CHECK_EXCEPTION(file.write("y"), FileError, mentions(path, "Broken pipe"));
  sigset_t pending;
  ::sigpending(&pending);
  BOOST_TEST(!::sigismember(&pending, SIGPIPE));
}

BOOST_AUTO_TEST_CASE(devices_are_written_through) {
  for (const char* device : {"/dev/null", "/dev/zero"}) {
    save(device, "x");
    BOOST_TEST(fs::is_character_file(device));
    fs::create_symlink(device, folder / fs::path(device).filename().native());
    save(folder / fs::path(device).filename().native(), "x");
    BOOST_TEST(fs::is_character_file(device));
  }
  check_refused("/dev/full", "No space left");
  BOOST_TEST(fs::is_character_file("/dev/full"));
}

BOOST_AUTO_TEST_CASE(descriptors_of_this_process_are_written_where_they_are) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  save(fmt::format("/dev/fd/{}", ends[1]), "one");
  save(fmt::format("/proc/self/fd/{}", ends[1]), "two");
  check_refused(fmt::format("/dev/fd/{}", ends[0]), "reading only");
  ::close(ends[1]);
  BOOST_TEST(read_pipe(ends[0]) == "onetwo");
  ::close(ends[0]);

  // As the shell's > and >> leave them: what is there stays, and goes on behind.
  const int out = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  BOOST_REQUIRE(::syscall(SYS_write, out, "before ", 7) == 7);
  save(fmt::format("/dev/fd/{}", out), "saved");
  BOOST_REQUIRE(::syscall(SYS_write, out, " after", 6) == 6);
  ::close(out);
  BOOST_TEST(read_file(path) == "before saved after");

  int sockets[2];
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  save(fmt::format("/dev/fd/{}", sockets[0]), "sent");
  ::close(sockets[0]);
  BOOST_TEST(read_pipe(sockets[1]) == "sent");
  ::close(sockets[1]);
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused) {
  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  BOOST_REQUIRE(::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  check_refused(path, "is a socket");
  BOOST_TEST(fs::is_socket(path));
  for (const auto& [name, read] : kReaders)
    BOOST_CHECK_EXCEPTION(read(path), FileError, mentions("no regular file but a socket"));
  ::close(listening);
  check_refused(folder.path().string(), "is a folder");
  check_refused(folder / "", "is a folder");
  check_refused(folder / "none/", "is a folder");
  BOOST_CHECK_EXCEPTION(save(path + std::string(1, '\0') + "x", "x"), FileError, mentions("byte 0"));
  BOOST_CHECK_EXCEPTION(nn::InputFile(path + std::string(1, '\0')), FileError, mentions("byte 0"));
  BOOST_CHECK_EXCEPTION(nn::InputFile(""), FileError, mentions("empty"));
}

BOOST_AUTO_TEST_CASE(readers_refuse_what_is_no_regular_file_without_waiting) {
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  for (const auto& [name, read] : kReaders) {
    BOOST_CHECK_EXCEPTION(read(path), FileError, mentions(path, "no regular file but a pipe"));
    BOOST_CHECK_EXCEPTION(read(folder.path().string()), FileError, mentions("no regular file but a folder"));
    BOOST_CHECK_EXCEPTION(read("/dev/zero"), FileError, mentions("no regular file but a device"));
    BOOST_CHECK_EXCEPTION(read(folder / "none"), FileError, mentions("none", "No such file"));
  }
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"})
    BOOST_REQUIRE(::mkfifo((folder / name).c_str(), 0600) == 0);
  BOOST_CHECK_EXCEPTION(nn::load_mnist(folder.path().string()), FileError, mentions("but a pipe"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace special_file_test
