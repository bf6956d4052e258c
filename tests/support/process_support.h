#pragma once

#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include <sys/wait.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

/// Code that runs in a process of its own.
namespace tapegrad::test {

/// A child that runs `work` and nothing else, and ends. It must not report to Boost.Test.
inline pid_t start_process(const std::function<void()>& work) {
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child > 0) return child;
  try {
    work();
    ::_exit(0);
  } catch (...) {
    ::_exit(1);
  }
}

/// What `work` throws in a process of its own: the message, or "" for nothing.
inline std::string said_by(const std::function<void()>& work) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const pid_t child = start_process([&] {
    std::string said;
    try {
      work();
    } catch (const std::exception& e) {
      said = e.what();
    }
    if (::write(ends[1], said.data(), said.size()) < 0) std::abort();
  });
  ::close(ends[1]);
  std::string said;
  char c = 0;
  while (::read(ends[0], &c, 1) > 0) said += c;
  ::close(ends[0]);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  BOOST_REQUIRE(WEXITSTATUS(status) == 0);
  return said;
}

/// The same in a process without root's rights.
inline std::string said_without_rights(const std::function<void()>& work) {
  return said_by([&] {
    constexpr uid_t kNobody = 65534;
    if (::getuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) std::abort();
    work();
  });
}

}  // namespace tapegrad::test
