#include <cstdio>
#include <exception>
#include <string>

#include <tapegrad/gradcheck/command/command_line.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

int run_program(const Catalog& catalog, int argc, const char* const* argv) {
  const auto usage_error = [&](std::string message) {
    for (char& c : message)
      if (c == '\n') c = ' ';
    fmt::print(stderr, "{}: {}; see --help\n", argc > 0 ? argv[0] : "gradcheck", message);
    return 2;
  };
  CLI::App app("Checks derivatives against finite differences.");
  CommandOptions options;
  if (argc > 0) options.program = argv[0];
  add_options(app, options);
  try {
    app.parse(argc, argv);
    return static_cast<int>(run_command(catalog, options));
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return usage_error(e.what());
  } catch (const ArgumentError& e) {
    return usage_error(e.what());
  }
}

}  // namespace tapegrad::gradcheck
