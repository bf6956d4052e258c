#include <memory>

#include <tapegrad/gradcheck/command/command_line.h>

#include "commands.h"

namespace tapegrad::cli {

void add_gradcheck_command(CLI::App& app, int& exit_code, const std::string& program) {
  CLI::App* command = app.add_subcommand(
      "gradcheck", "Check the derivatives of every op and module against finite differences in double");
  auto options = std::make_shared<gradcheck::CommandOptions>();
  options->program = program + " gradcheck";
  gradcheck::add_options(*command, *options);
  command->callback([options, &exit_code] {
    exit_code = static_cast<int>(run_command(gradcheck::library_catalog(), *options));
  });
}

}  // namespace tapegrad::cli
