#pragma once

#include <map>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/command.h>

#include <CLI/CLI.hpp>

namespace tapegrad::gradcheck {

namespace detail {

/// How an option stands in the help: its value, and what that is where none is given. What CLI11 would write
/// there repeats the values and the options that do not go together at each of them.
inline CLI::Option* shown(CLI::Option* option, const std::string& value) {
  const std::string usual = option->get_default_str();
  return option->option_text(usual.empty() ? value : value + "=" + usual);
}

/// Which ops and modules.
inline void add_selection(CLI::App& app, CommandOptions& o) {
  shown(app.add_option("--op", o.ops, "Check the ops that match this glob; may be given several times")
            ->allow_extra_args(false),
        "GLOB");
  shown(app.add_option("--module", o.modules, "The same for modules; without either, all are checked")
            ->allow_extra_args(false),
        "GLOB");
  shown(app.add_option_function<std::string>(
            "--shard", [&o](const std::string& text) { o.shard = parse_shard(text); },
            "Check the i-th of n parts of what is selected"),
        "i/n");
}

/// How their derivatives are compared.
inline void add_check_options(CLI::App& app, Options& o) {
  shown(app.add_option_function<std::string>(
               "--mode",
               [&o](const std::string& name) {
                 o.mode = name == "fast"         ? Mode::fast
                          : name == "exhaustive" ? Mode::exhaustive
                                                 : Mode::automatic;
               },
               "Of a large Jacobian, auto: random elements and directions; exhaustive: all elements; fast: "
               "random directions alone, and of large samples what their size decides")
            ->check(CLI::IsMember({"auto", "exhaustive", "fast"}))
            ->default_str("auto"),
        "MODE");
  shown(app.add_option("--order", o.order, "Highest order of derivative, from 1 to 3")
            ->check(CLI::Range(1, 3))
            ->capture_default_str(),
        "N");
  shown(app.add_option_function<std::string>(
               "--dtype",
               [&o](const std::string& names) {
                 o.f64 = names.find("f64") != names.npos;
                 o.f32 = names.find("f32") != names.npos;
               },
               "What is checked, one or both: f64 against finite differences, f32 against f64")
            ->check(CLI::IsMember({"f64", "f32", "f64,f32", "f32,f64"}))
            ->default_str("f64,f32"),
        "DTYPES");
  shown(app.add_option("--seed", o.seed, "Of the elements and weights that are drawn")
            ->check(CLI::NonNegativeNumber)
            ->capture_default_str(),
        "N");
  shown(app.add_option("--rtol", o.rtol, "Largest relative error that passes")->capture_default_str(), "X");
  shown(app.add_option(
               "--excuse-atol", o.excuse_atol,
               "A difference of no more than this is inconclusive in place of wrong; nothing passes by it")
            ->check(CLI::NonNegativeNumber)
            ->capture_default_str(),
        "X");
  shown(app.add_option("--nondet-tol", o.nondet_tol,
                       "How far a gradient that is computed again may lie apart; 0: no bit may differ")
            ->check(CLI::NonNegativeNumber)
            ->capture_default_str(),
        "X");
  shown(app.add_option("--probes", o.directions,
                       "Random directions where a Jacobian is too large to be checked whole, up to 1000")
            ->check(CLI::Range(1, 1000))
            ->capture_default_str(),
        "N");
}

/// How much work that is, and among how many threads.
inline void add_work(CLI::App& app, CommandOptions& o) {
  shown(app.add_option("--samples", o.samples,
                       "Draw every sample this often, with the seed and those that follow it")
            ->check(CLI::Range(1, 1000000))
            ->capture_default_str(),
        "N");
  shown(app.add_option("--threads", o.threads, "Ops and modules that are checked at a time, up to 256")
            ->check(CLI::Range(1, 256))
            ->capture_default_str(),
        "N");
  shown(app.add_option(
               "--time-limit", o.time_limit,
               "A sample that takes longer is a failure; those that follow it of the same op are not checked")
            ->check(CLI::PositiveNumber),
        "SECONDS");
  app.add_flag("--fail-fast", o.fail_fast, "Stop after the first op or module that does not pass");
}

/// What is shown, and what counts as passed.
inline void add_results(CLI::App& app, CommandOptions& o) {
  static const std::map<std::string, Format> kFormats{
      {"table", Format::table}, {"json", Format::json}, {"junit", Format::junit}};
  shown(
      app.add_option_function<std::string>(
             "--format", [&o](const std::string& name) { o.format = kFormats.at(name); },
             "Of the results: table, junit, or json, which the schemas beside the checker's headers describe")
          ->check(CLI::IsMember(kFormats))
          ->default_str("table"),
      "FORMAT");
  shown(app.add_option_function<std::string>(
            "--output", [&o](const std::string& path) { o.output = path == "-" ? "" : path; },
            "Write the results to this file, and print the table all the same; - is the standard output, as "
            "without"),
        "FILE");
  app.add_flag("--strict", o.strict, "Nothing may be inconclusive, not even at samples marked for it");
  app.add_flag("-v,--verbose", o.verbose, "Show every sample");
}

/// What is done in place of a check of the selection.
inline void add_other_work(CLI::App& app, CommandOptions& o) {
  const std::string none = " ";  // an empty text would be CLI11's own
  shown(app.add_flag("--list", o.list, "List what can be checked, and check nothing"), none);
  shown(app.add_option("--repro", o.repro, "Repeat one sample, as a failure names it: \"matmul#7:seed=42\""),
        "SAMPLE");
  shown(app.add_flag("--self-test", o.self_test,
                     "Alter the rules of the ops, one mutation at a time: each must be found"),
        none);
  shown(app.add_flag("--coverage", o.coverage, "See whether every rule of every op is run, in every variant"),
        none);
}

/// Which options do not go together: told once, at the end of the help.
inline std::string exclude_all(CLI::App& app) {
  struct Excluded {
    const char* option;
    std::vector<const char*> others;
  };
  const std::vector<Excluded> all{{"--list", {"--samples", "--format", "--output", "--time-limit"}},
                                  {"--repro", {"--list", "--op", "--module", "--samples", "--shard"}},
                                  {"--self-test", {"--list", "--repro", "--module", "--order", "--samples"}},
                                  {"--coverage",
                                   {"--list", "--repro", "--self-test", "--op", "--module", "--samples",
                                    "--format", "--output", "--time-limit"}}};
  std::string text = "Not together:\n";
  for (const Excluded& e : all) {
    text += "  " + std::string(e.option) + " with";
    for (const char* other : e.others) {
      CLI::Option* option = app.get_option(e.option);
      option->excludes(app.get_option(other));
      text += (other == e.others.front() ? " " : ", ") + std::string(other);
    }
    text += "\n";
  }
  return text;
}

}  // namespace detail

/// The command's options for a program that parses with CLI11; who includes this needs CLI11, the library
/// itself does not.
inline void add_options(CLI::App& app, CommandOptions& o) {
  detail::add_selection(app, o);
  detail::add_check_options(app, o.check);
  detail::add_work(app, o);
  detail::add_results(app, o);
  detail::add_other_work(app, o);
  const std::string excluded = detail::exclude_all(app);
  app.footer(
      excluded +
      "\nExit codes:\n"
      "  0  all pass: every input at every order has shown a derivative other than zero that agrees,\n"
      "     and nothing is inconclusive but at samples marked for it\n"
      "  1  a derivative is wrong, or none other than zero was seen, or a sample ran over its time\n"
      "  2  wrong usage, or nothing matches\n"
      "  3  nothing is wrong, but inconclusive: at a sample not marked for it; under --strict at any\n"
      "  4  --self-test: a mutation was not found, or could not be tested, or an entry in the list of those\n"
      "     that make no difference is wrong\n"
      "  5  --coverage: something is not covered\n"
      "  6  the command could not do its work");
}

}  // namespace tapegrad::gradcheck
