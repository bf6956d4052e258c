#pragma once

// What the code of the guide's pages is compiled with.

#include <functional>
#include <initializer_list>
#include <string_view>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>
#include <fmt/ranges.h>

namespace guide {

struct Page {
  std::string_view name;
  void (*run)();
};

/// From here on what is printed belongs to the block at this line.
void begin_block(int line);

/// Prints the message of what the block throws. One that throws nothing ends the program.
void must_throw(const std::function<void()>& block);

/// The program: runs the page of the name argv[1].
int run_page(int argc, char** argv, std::initializer_list<Page> pages);

}  // namespace guide
