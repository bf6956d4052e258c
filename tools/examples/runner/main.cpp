#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include <unistd.h>

#include "runner.h"

// Runs an example as a program to try: from any folder, with --help and --data, and with one line where something is
// missing. What an example shows stays free of it: the linker puts this function in the place of main (its option
// --wrap=main).

extern "C" int __real_main(int argc, char** argv);
extern "C" int __wrap_main(int argc, char** argv);

namespace {

int help() {
  const auto& [name, about, data, source] = kExample;
  if (*about) std::printf("%s\n\n", about);
  if (!std::strstr(about, "usage:")) std::printf("usage: %s%s\n", name, *data ? " [--data PATH]" : "");
  if (*data) std::printf("--data PATH  instead of %s, as the first argument does\n", data);
  std::printf("It is tools/examples/%s.cpp, to be read and changed.\n", name);
  return 0;
}

int wrong_use(const char* what) {
  std::fprintf(stderr, "%s: %s; see %s --help\n", kExample.name, what, kExample.name);
  return 2;
}

}  // namespace

int __wrap_main(int argc, char** argv) {
  const std::string data = kExample.data;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string first = arguments.empty() ? "" : arguments[0];
  if (first == "--help" || first == "-h") return help();
  if (first == "--data") {
    if (data.empty()) return wrong_use("it reads no data");
    if (arguments.size() < 2) return wrong_use("--data is to be followed by a path");
    arguments.erase(arguments.begin());
  } else if (first.starts_with("--")) {
    return wrong_use(("it has no option " + first).c_str());
  } else if (first.empty() && !data.empty() && access(data.c_str(), R_OK) != 0) {
    arguments.push_back(std::string(kExample.source) + "/" + data);  // it runs in another folder
  }
  std::vector<char*> pointers{argv[0]};
  for (std::string& a : arguments) pointers.push_back(a.data());
  pointers.push_back(nullptr);
  try {
    return __real_main(static_cast<int>(pointers.size()) - 1, pointers.data());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", kExample.name, e.what());
    return 1;
  }
}
