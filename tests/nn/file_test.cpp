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

#include "file_support.h"
#include "process_support.h"

namespace file_test {

using namespace tapegrad;
using namespace tapegrad::test;

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

BOOST_FIXTURE_TEST_SUITE(file, FileFixture)
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
                       "': Permission denied; a new file is made there") != std::string::npos,
             said);
  BOOST_TEST(said.find("must be writable too: make it so, or save in another folder") != std::string::npos,
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

}  // namespace file_test
