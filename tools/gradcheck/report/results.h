#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/report/run_options.h>

/// What a run of the command has found, and how it is written.
namespace tapegrad::gradcheck::detail {

struct Results {
  CommandOptions options;
  std::vector<Subject> subjects;
  std::size_t selected = 0;  ///< how many subjects there would be without --shard and --fail-fast
  bool stopped = false;      ///< by --fail-fast, before all were checked
  double seconds = 0;
};

struct Totals {
  std::size_t pass = 0, not_differentiable = 0, waived = 0, unproven = 0, inconclusive = 0, fail = 0;
  std::size_t samples = 0, derivatives = 0;
  std::size_t size_alone = 0;  ///< samples of which fast mode checks only what their size decides
  std::size_t undecided = 0;   ///< samples that are inconclusive and marked for it
};
Totals totals_of(const std::vector<Subject>& subjects);

/// False for what fails, proves nothing or is inconclusive.
bool passes(const Subject& subject, bool strict);
ExitCode exit_code_of(const Results& results);

/// As on the command line.
std::string_view name_of(Mode mode);
std::string dtypes_text(const Options& options);

/// The command line that repeats a sample.
std::string repro_command(const CommandOptions& options, const Subject& subject,
                          const Subject::Sample& sample);
/// "#7", and its seed where each sample is drawn several times.
std::string number_text(const CommandOptions& options, const Subject::Sample& sample);

/// As report.schema.json describes it.
std::string json_text(const Results& results);
/// For viewers of continuous integration: an op or module is a test suite, a sample a test case.
std::string junit_text(const Results& results);

}  // namespace tapegrad::gradcheck::detail
