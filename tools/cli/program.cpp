#include "program.h"

#include <cstdio>
#include <exception>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::cli {

int usage_error(const CLI::App& app, std::string message) {
  for (char& c : message)
    if (c == '\n') c = ' ';
  fmt::print(stderr, "{0}: {1}; see {0} --help\n", app.get_name(), message);
  return 2;
}

int run_program(CLI::App& app, int argc, char** argv, const int& exit_code) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help or --version
  } catch (const CLI::ParseError& e) {
    return usage_error(app, e.what());
  } catch (const ArgumentError& e) {
    return usage_error(app, e.what());
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), e.what());
    return 1;
  }
  return exit_code;
}

}  // namespace tapegrad::cli
