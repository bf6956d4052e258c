#include <memory>

#include <tapegrad/gradcheck/command_line.h>

#include "commands.h"

namespace tapegrad::cli {

void add_gradcheck_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "gradcheck", "Check the derivatives of every op and module against finite differences in double");
  auto options = std::make_shared<gradcheck::CommandOptions>();
  gradcheck::add_options(*command, *options);
  command->footer(
      "Exits with 0 if all pass, 1 if something does not, 2 on wrong usage or where nothing matches.");
  command->callback(
      [options, &exit_code] { exit_code = run_command(gradcheck::library_catalog(), *options); });
}

}  // namespace tapegrad::cli
