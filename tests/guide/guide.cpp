#include "guide.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace guide {

namespace {
int current_line = 0;
}

void begin_block(int line) {
  current_line = line;
  fmt::print("\x01{}\n", line);
}

void must_throw(const std::function<void()>& block) {
  try {
    block();
  } catch (const std::exception& e) {
    fmt::print("{}\n", e.what());
    return;
  }
  std::fflush(stdout);
  fmt::print(stderr, "line {}: the block was to throw, and did not\n", current_line);
  std::exit(1);
}

int run_page(int argc, char** argv, std::initializer_list<Page> pages) {
  for (const Page& page : pages) {
    if (argc != 2 || page.name != argv[1]) continue;
    try {
      page.run();
    } catch (const std::exception& e) {
      std::fflush(stdout);
      fmt::print(stderr, "line {}: {}\n", current_line, e.what());
      return 1;
    }
    return 0;
  }
  fmt::print(stderr, "usage: {} PAGE\n", argv[0]);
  return 2;
}

}  // namespace guide
