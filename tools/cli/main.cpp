#include <cstdio>
#include <exception>
#include <string>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "commands.h"

namespace {

// One line, whatever the parser had to say.
int usage_error(std::string message) {
  for (char& c : message)
    if (c == '\n') c = ' ';
  fmt::print(stderr, "tapegrad: {}; see tapegrad --help\n", message);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  int exit_code = 0;
  CLI::App app(
      "Trains networks, checks gradients, draws graphs and measures speed with the tapegrad library.",
      "tapegrad");
  app.set_version_flag("--version", std::string("tapegrad ") + TAPEGRAD_VERSION);
  app.require_subcommand(1);
  tapegrad::cli::add_train_command(app, exit_code);
  tapegrad::cli::add_gradcheck_command(app, exit_code);
  tapegrad::cli::add_graph_command(app, exit_code);
  tapegrad::cli::add_bench_command(app, exit_code);
  // The parser would only say that a command is missing.
  const auto is_command = [&](CLI::App* c) { return c->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_command).empty())
    return usage_error(
        fmt::format("there is no command '{}'; there are train, gradcheck, graph and bench", argv[1]));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help or --version
  } catch (const CLI::ParseError& e) {
    return usage_error(e.what());
  } catch (const tapegrad::ArgumentError& e) {
    return usage_error(e.what());
  } catch (const std::exception& e) {
    fmt::print(stderr, "tapegrad: {}\n", e.what());
    return 1;
  }
  return exit_code;
}
