#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/report/run_options.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/matmul_engine.h>

#include <fmt/format.h>

#include "become.h"
#include "commands.h"
#include "program.h"

namespace {

using namespace std::string_view_literals;

/// A command that is a program of its own.
struct Command {
  const char* name;
  const char* description;
  tapegrad::cli::SiblingProgram program;
  int exit_code;  ///< where that program is not there
};

// Nobody who only trains compiles the checker.
constexpr Command kGradcheck{
    "gradcheck",
    tapegrad::cli::kGradcheckDescription,
    {.file = "tapegrad_gradcheck", .target = "tapegrad_gradcheck_cli"},
    static_cast<int>(tapegrad::gradcheck::ExitCode::internal_error)};  // 1 would be a wrong derivative
// What the benchmark is linked with, other libraries among them, is not loaded for any other command.
constexpr Command kBench{"bench",
                         "Measure speed and memory beside a hand-written program and other libraries",
                         {.file = "tapegrad_bench", .target = "tapegrad_bench"},
                         1};

void add_command(CLI::App& app, const Command& c) { app.add_subcommand(c.name, c.description); }

/// The place of that command's name in the arguments, behind nothing but requests for help; 0 where another is asked
/// for.
int place_of(const Command& c, int argc, char** argv) {
  int i = 1;
  while (i < argc && (argv[i] == "-h"sv || argv[i] == "--help"sv)) ++i;
  return i < argc && argv[i] == std::string_view(c.name) ? i : 0;
}

/// Becomes the program of that command, whose name stands there: it is given both words that start it as one, and the
/// other arguments. Returns what to exit with where that program is not there.
int become_program(const Command& c, int place, char** argv) {
  std::string started_by = fmt::format("{} {}", argv[0], c.name);
  std::vector<char*> arguments{started_by.data()};
  arguments.insert(arguments.end(), argv + 1, argv + place);
  for (char** next = argv + place + 1; *next; ++next) arguments.push_back(*next);
  arguments.push_back(nullptr);
  try {
    become(c.program, arguments.data());
  } catch (const std::exception& e) {
    fmt::print(stderr, "tapegrad: {}\n", tapegrad::cli::printable(e.what()));
    return c.exit_code;
  }
}

std::string version() {
  using tapegrad::detail::kOnlyIsa;
  return fmt::format("tapegrad {}{}\nmatrix products: {}", TAPEGRAD_VERSION,
                     kOnlyIsa ? fmt::format(", for {} alone", name_of(*kOnlyIsa)) : "",
                     tapegrad::matmul_engine_description());
}

}  // namespace

int main(int argc, char** argv) {
  for (const Command& c : {kGradcheck, kBench})
    if (const int place = place_of(c, argc, argv)) return become_program(c, place, argv);
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
  add_command(app, kGradcheck);
  tapegrad::cli::add_graph_command(app, exit_code);
  add_command(app, kBench);
  // The parser would only say that a command is missing.
  const auto is_command = [&](CLI::App* c) { return c->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_command).empty())
    return tapegrad::cli::usage_error(
        app,
        fmt::format("there is no command '{}'; there are train, predict, export, gradcheck, graph and bench",
                    argv[1]));
  return tapegrad::cli::run_program(app, argc, argv, exit_code);
}
