#include <tapegrad/gradcheck/command/command_line.h>

#include "cli/commands.h"
#include "cli/program.h"

/// What `tapegrad gradcheck` runs: a program of its own, so that whoever only trains does not compile the checker.
int main(int argc, char** argv) {
  tapegrad::gradcheck::CommandOptions options;
  // `tapegrad` gives both words that were typed; the lines that repeat a failure begin with them.
  if (argc > 0) options.program = argv[0];
  int exit_code = 0;
  CLI::App app(tapegrad::cli::kGradcheckDescription, "tapegrad gradcheck");
  tapegrad::gradcheck::add_options(app, options);
  app.callback(
      [&] { exit_code = static_cast<int>(run_command(tapegrad::gradcheck::library_catalog(), options)); });
  return tapegrad::cli::run_program(app, argc, argv, exit_code);
}
