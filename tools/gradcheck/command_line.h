#pragma once

#include <tapegrad/gradcheck/command.h>

#include <CLI/CLI.hpp>

namespace tapegrad::gradcheck {

/// The command's options for a program that parses with CLI11; who includes this needs CLI11, the library
/// itself does not.
inline void add_options(CLI::App& app, CommandOptions& o) {
  app.add_option("--op", o.patterns, "Check only what matches this glob; may be given several times")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--order", o.order, "Highest order of derivative")
      ->check(CLI::Range(1, 2))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Of the elements and weights that are drawn")->capture_default_str();
  app.add_option("--rtol", o.rtol, "Largest relative error that passes")->capture_default_str();
  app.add_flag("--list", o.list, "List what can be checked, and check nothing");
  app.add_flag("-v,--verbose", o.verbose, "Show every sample");
}

}  // namespace tapegrad::gradcheck
