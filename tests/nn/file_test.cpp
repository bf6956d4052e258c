#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/idx.h>
#include <tapegrad/nn/data/mnist.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/serialize.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "process_support.h"
#include "support.h"

using namespace tapegrad;
using test::mentions;
using test::read_file;
using test::said_without_rights;
using test::write_file;

namespace fs = std::filesystem;

// The library's calls of fsync and write come here, so that a test can let them fail as a system may.
namespace {
int interrupted_syncs = 0;
int interrupted_writes = 0;
int writes_of_nothing = 0;
std::string watched;              ///< a file whose folder is to be synchronised
std::string content_when_synced;  ///< of it, when its folder was
}  // namespace

extern "C" int fsync(int file) {
  if (interrupted_syncs > 0) {
    --interrupted_syncs;
    errno = EINTR;
    return -1;
  }
  struct stat status {};
  if (!watched.empty() && ::fstat(file, &status) == 0 && S_ISDIR(status.st_mode))
    content_when_synced = read_file(watched);
  return static_cast<int>(::syscall(SYS_fsync, file));
}

extern "C" ssize_t write(int file, const void* data, std::size_t bytes) {
  if (interrupted_writes > 0) {
    --interrupted_writes;
    errno = EINTR;
    return -1;
  }
  if (writes_of_nothing > 0) {
    --writes_of_nothing;
    return 0;
  }
  return ::syscall(SYS_write, file, data, bytes);
}

namespace {

struct Fixture {
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

struct stat status_of(const std::string& path) {
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  return status;
}
mode_t mode_of(const std::string& path) { return status_of(path).st_mode & 07777; }
void set_mode(const std::string& path, mode_t mode) { BOOST_REQUIRE(::chmod(path.c_str(), mode) == 0); }

/// All that is written to a pipe that is open for reading.
std::string read_pipe(int end) {
  std::string text;
  char block[4096];
  for (ssize_t n = 0; (n = ::read(end, block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(n));
  return text;
}

const nn::State kState{{"a", Tensor::full({3}, 2)}};

/// Every function of the library that writes a file.
const std::vector<std::pair<const char*, void (*)(const std::string&)>> kWriters = {
    {"safetensors", [](const std::string& to) { nn::save_state(to, kState); }},
    {"npz", [](const std::string& to) { nn::save_state(to, kState); }},
    {"npy", [](const std::string& to) { nn::save_npy(to, kState[0].second); }}};

/// And that reads one.
const std::vector<std::pair<const char*, void (*)(const std::string&)>> kReaders = {
    {"state", [](const std::string& from) { nn::load_state_file(from); }},
    {"npy", [](const std::string& from) { nn::load_npy(from); }},
    {"idx", [](const std::string& from) { nn::read_idx(from); }}};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(file, Fixture)

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

BOOST_AUTO_TEST_CASE(the_mode_survives) {
  const mode_t mask = ::umask(027);
  save(path, "new");
  BOOST_TEST(mode_of(path) == 0640U);
  for (const mode_t mode : {0600U, 0666U, 0604U, 0755U}) {
    set_mode(path, mode);
    save(path, "x");
    BOOST_TEST(mode_of(path) == mode);
  }
  ::umask(mask);
  // While it is written it is open to nobody else, whatever the mode will be.
  nn::AtomicFile file(path);
  for (const auto& entry : fs::directory_iterator(folder.path()))
    if (entry.path() != path) BOOST_TEST((mode_of(entry.path()) & 077 & ~mode_of(path)) == 0U);
}

BOOST_AUTO_TEST_CASE(the_owner_survives) {
  if (::getuid() != 0) return;  // nobody else may give files away
  save(path, "old");
  BOOST_REQUIRE(::chown(path.c_str(), 1234, 2345) == 0);
  set_mode(path, 06750);
  save(path, "new");
  BOOST_TEST(status_of(path).st_uid == 1234U);
  BOOST_TEST(status_of(path).st_gid == 2345U);
  BOOST_TEST(mode_of(path) == 06750U);
  BOOST_TEST(read_file(path) == "new");
  // Who may write a file and not give it away writes over its content.
  set_mode(path, 0666);
  set_mode(folder.path(), 0777);
  BOOST_TEST(said_without_rights([&] { save(path, "of another"); }) == "");
  BOOST_TEST(status_of(path).st_uid == 1234U);
  BOOST_TEST(mode_of(path) == 0666U);
  BOOST_TEST(read_file(path) == "of another");
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(hard_links_stay_together) {
  for (const char* content : {"shorter", "longer than what was there before"}) {
    write_file(path, "the older content");
    fs::remove(folder / "other");
    fs::create_hard_link(path, folder / "other");
    {
      nn::AtomicFile file(path);
      file.write(content);
      BOOST_TEST(read_file(path) == "the older content");
    }
    BOOST_TEST(read_file(path) == "the older content");
    save(path, content);
    BOOST_TEST(read_file(path) == content);
    BOOST_TEST(read_file(folder / "other") == content);
    BOOST_TEST(status_of(path).st_nlink == 2U);
    BOOST_TEST(folder.size() == 2);
  }
}

BOOST_AUTO_TEST_CASE(an_acl_survives) {
  write_file(path, "old");
  // Version 2; then tag, permissions and id of each entry.
  const std::uint32_t none = 0xffffffff;
  std::string acl("\2\0\0\0", 4);
  const auto entry = [&](int tag, int permissions, std::uint32_t id) {
    acl += {static_cast<char>(tag), '\0', static_cast<char>(permissions), '\0'};
    acl.append(reinterpret_cast<const char*>(&id), sizeof id);
  };
  entry(1, 6, none), entry(2, 4, 1234), entry(4, 0, none), entry(16, 4, none), entry(32, 0, none);
  const char* const name = "system.posix_acl_access";
  if (::setxattr(path.c_str(), name, acl.data(), acl.size(), 0) != 0) {
    BOOST_TEST(errno == ENOTSUP);  // by the file system
    return;
  }
  save(path, "new");
  std::string after(acl.size(), '\0');
  BOOST_TEST(::getxattr(path.c_str(), name, after.data(), after.size()) == static_cast<ssize_t>(acl.size()));
  BOOST_TEST((after == acl));
  BOOST_TEST(read_file(path) == "new");
}

BOOST_AUTO_TEST_CASE(protected_files_and_folders_are_refused) {
  write_file(path, "old");
  set_mode(folder.path(), 0777);
  set_mode(path, 0444);
  std::string said = said_without_rights([&] { save(path, "new"); });
  BOOST_TEST(said.find("exists and may not be written: Permission denied") != std::string::npos, said);
  // A folder that cannot be written, though the file can.
  set_mode(path, 0666);
  set_mode(folder.path(), 0555);
  said = said_without_rights([&] { save(path, "new"); });
  BOOST_TEST(said.find("no temporary file can be created in the folder '" + folder.path().string() +
                       "': Permission denied") != std::string::npos,
             said);
  set_mode(folder.path(), 0755);
  BOOST_TEST(read_file(path) == "old");
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_listed_is_no_hindrance) {
  set_mode(folder.path(), 0733);
  BOOST_TEST(said_without_rights([&] { save(path, "new"); }) == "");
  BOOST_TEST(read_file(path) == "new");
}

BOOST_AUTO_TEST_CASE(what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not) {
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder.path())) all.push_back(entry.path().filename());
    return all;
  };
  int ready[2];
  int go_on[2];
  BOOST_REQUIRE(::pipe(ready) == 0);
  BOOST_REQUIRE(::pipe(go_on) == 0);
  const auto writer = [&](bool dies) {
    return test::start_process([&, dies] {
      char c = 0;
      nn::AtomicFile file(path);
      file.write("of the child");
      if (::write(ready[1], "x", 1) != 1 || ::read(go_on[0], &c, 1) != 1) ::_exit(1);
      if (dies) ::_exit(0);
      file.commit();
    });
  };
  char c = 0;
  const pid_t dead = writer(true);
  BOOST_REQUIRE(::read(ready[0], &c, 1) == 1);
  BOOST_REQUIRE(::write(go_on[1], "x", 1) == 1);
  BOOST_REQUIRE(::waitpid(dead, nullptr, 0) == dead);
  BOOST_TEST(names().size() == 1U);

  const pid_t living = writer(false);
  BOOST_REQUIRE(::read(ready[0], &c, 1) == 1);
  BOOST_TEST(names().size() == 1U);  // that of the living one
  write_file(path + ".mine.tmp", "a user's");
  nn::AtomicFile also_living(path);
  save(path, "of the parent");
  BOOST_TEST(names().size() == 4U);
  BOOST_REQUIRE(::write(go_on[1], "x", 1) == 1);
  int status = -1;
  BOOST_REQUIRE(::waitpid(living, &status, 0) == living);
  BOOST_TEST(status == 0);
  BOOST_TEST(read_file(path) == "of the child");
  also_living.write("last");
  also_living.commit();
  BOOST_TEST(read_file(path) == "last");
  BOOST_TEST(names().size() == 2U);
  for (const int end : {ready[0], ready[1], go_on[0], go_on[1]}) ::close(end);
}

BOOST_AUTO_TEST_CASE(interruptions_are_no_errors) {
  for (const auto& [end, write] : kWriters) {
    interrupted_syncs = interrupted_writes = 3;
    write(folder / fmt::format("a.{}", end));
    BOOST_TEST(interrupted_syncs == 0);
    BOOST_TEST(interrupted_writes == 0);
    write(folder / fmt::format("b.{}", end));
    BOOST_TEST(
        (read_file(folder / fmt::format("a.{}", end)) == read_file(folder / fmt::format("b.{}", end))));
  }
}

BOOST_AUTO_TEST_CASE(a_write_that_takes_nothing_is_an_error) {
  writes_of_nothing = 1'000'000;
  const std::string said = refusal(path);
  const int left = std::exchange(writes_of_nothing, 0);
  BOOST_TEST(said.find("cannot be written") != std::string::npos, said);
  BOOST_TEST(left > 999'000);
  BOOST_TEST(folder.size() == 0);
}

BOOST_AUTO_TEST_CASE(the_folder_is_synchronised_with_the_new_content_in_place) {
  save(path, "old");
  watched = path;
  save(path, "new");
  watched.clear();
  BOOST_TEST(content_when_synced == "new");
}

BOOST_AUTO_TEST_CASE(names_may_be_as_long_as_the_system_allows) {
  const std::string first = folder / std::string(255, 'a');
  const std::string second = folder / (std::string(254, 'a') + "b");
  nn::AtomicFile other(second);
  save(first, "first");
  other.write("second");
  other.commit();
  BOOST_TEST(read_file(first) == "first");
  BOOST_TEST(read_file(second) == "second");
  check_refused(folder / std::string(256, 'a'), "too long");
  BOOST_TEST(folder.size() == 2);
}

BOOST_AUTO_TEST_CASE(the_working_directory_may_change_before_the_commit) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  nn::AtomicFile file("relative");
  fs::current_path(before);
  file.write("x");
  file.commit();
  BOOST_TEST(read_file(folder / "relative") == "x");
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
