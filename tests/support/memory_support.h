#pragma once

#include <fstream>
#include <functional>
#include <string>

#include <tapegrad/graph/errors.h>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include "allocation_support.h"
#include "process_support.h"

namespace tapegrad::test {

#if TAPEGRAD_COUNT_ALLOCATIONS  // the sanitizers take memory of their own
/// A line of /proc/self/status, in bytes.
inline double status_of_memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return 1024 * std::stod(line.substr(name.size() + 1));
  return 0;
}

/// By how many bytes a process grows at most while it works. Errors of the library do not count.
inline double peak_of(const std::function<void()>& work) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  // What is free already would be used without growing. In the child it would be too late: its peak begins with what it
  // has from its parent.
  ::malloc_trim(0);
  const pid_t child = start_process([&] {
    const double before = status_of_memory("VmRSS:");
    try {
      work();
    } catch (const Error&) {
    }
    const double grown = status_of_memory("VmHWM:") - before;
    if (::write(ends[1], &grown, sizeof grown) != sizeof grown) ::_exit(1);
  });
  ::close(ends[1]);
  double grown = -1;
  BOOST_REQUIRE(::read(ends[0], &grown, sizeof grown) == sizeof grown);
  ::close(ends[0]);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  return grown;
}
#endif

}  // namespace tapegrad::test
