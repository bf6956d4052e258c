#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/matmul_engine.h>

#include <fmt/format.h>

#include "commands.h"
#include "program.h"

namespace {

constexpr const char* kBench = "bench";

/// Becomes the benchmark's program, which lies beside this one: what it is linked with, other libraries among
/// them, is not loaded for any other command.
int become_bench(char** argv) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string program = self.parent_path() / "tapegrad_bench";
  execv(program.c_str(), argv);
  fmt::print(stderr,
             "tapegrad: {}: {}; the benchmark is a program of its own, tapegrad_bench, and must lie beside "
             "the command\n",
             program, std::strerror(errno));
  return 1;
}

std::string version() {
  using tapegrad::detail::kOnlyIsa;
  return fmt::format("tapegrad {}{}\nmatrix products: {}", TAPEGRAD_VERSION,
                     kOnlyIsa ? fmt::format(", for {} alone", name_of(*kOnlyIsa)) : "",
                     tapegrad::matmul_engine_description());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view(kBench)) return become_bench(argv + 1);
  int exit_code = 0;
  CLI::App app(
      "Trains networks and predicts by them, checks gradients, draws graphs and measures speed with the "
      "tapegrad library.",
      "tapegrad");
  app.set_version_flag("--version", version, "Display the version, and what computes matrix products");
  app.require_subcommand(1);
  tapegrad::cli::add_train_command(app, exit_code);
  tapegrad::cli::add_predict_command(app, exit_code);
  tapegrad::cli::add_export_command(app, exit_code);
  tapegrad::cli::add_gradcheck_command(app, exit_code, argc > 0 ? argv[0] : "tapegrad");
  tapegrad::cli::add_graph_command(app, exit_code);
  app.add_subcommand(kBench, "Measure speed and memory beside a hand-written program and other libraries");
  // The parser would only say that a command is missing.
  const auto is_command = [&](CLI::App* c) { return c->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_command).empty())
    return tapegrad::cli::usage_error(
        app,
        fmt::format("there is no command '{}'; there are train, predict, export, gradcheck, graph and bench",
                    argv[1]));
  return tapegrad::cli::run_program(app, argc, argv, exit_code);
}
