#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>

#include <tapegrad/gradcheck/command.h>
#include <tapegrad/gradcheck/derivatives.h>
#include <tapegrad/gradcheck/in_order.h>
#include <tapegrad/gradcheck/proofs.h>
#include <tapegrad/gradcheck/results.h>
#include <tapegrad/gradcheck/selection.h>
#include <tapegrad/gradcheck/table.h>
#include <tapegrad/nn/file.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

namespace {

using namespace detail;

/// The threads are those that check several ops at a time, not those of one operation.
class OneThreadEach {
 public:
  explicit OneThreadEach(bool on) : before_(threads()) {
    if (on) set_threads(1);
  }
  ~OneThreadEach() { set_threads(before_); }
  OneThreadEach(const OneThreadEach&) = delete;
  OneThreadEach& operator=(const OneThreadEach&) = delete;

 private:
  int before_;
};

Options core_options(const CommandOptions& o) {
  Options options;
  options.order = o.order;
  options.mode = o.mode;
  options.excuse_atol = o.excuse_atol;
  options.f64 = o.f64;
  options.f32 = o.f32;
  options.seed = o.seed;
  options.rtol = o.rtol;
  options.directions = o.probes;
  return options;
}

void require_valid(const CommandOptions& o) {
  validate(core_options(o));
  if (o.threads < 1 || o.threads > 256)
    throw ArgumentError(fmt::format("--threads {}; it can be 1 to 256", o.threads));
  if (o.samples < 1) throw ArgumentError(fmt::format("--samples {}; it must be at least 1", o.samples));
  if (o.shard.index < 1 || o.shard.index > o.shard.count)
    throw ArgumentError(fmt::format("--shard {}/{}: there is no such part", o.shard.index, o.shard.count));
  if (o.output.empty()) return;
  // Found out now rather than after all the work.
  try {
    if (std::filesystem::is_directory(o.output)) throw FileError(fmt::format("'{}' is a folder", o.output));
    const nn::AtomicFile file(o.output);
  } catch (const FileError& e) {
    throw ArgumentError(fmt::format("--output: {}", e.what()));
  }
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw FileError("the standard output cannot be written");
}

/// What is to be checked, and how.
struct Plan {
  std::vector<Job> jobs;
  std::size_t selected = 0;
  Options options;
  SampleChoice choice;
};

Plan plan_of(const Catalog& catalog, const CommandOptions& o) {
  Plan plan{.jobs = {}, .options = core_options(o), .choice = {.draws = o.samples}};
  if (o.repro.empty()) {
    plan.jobs = selected(catalog, o);
    plan.selected = plan.jobs.size();
    plan.jobs = part_of(plan.jobs, o.shard);
    return plan;
  }
  const SampleName sample = parse_sample(o.repro, o.seed);
  plan.jobs = {named(catalog, sample.name)};
  plan.selected = 1;
  plan.options.seed = sample.seed;
  plan.choice.only = sample.number;
  if (const std::size_t count = plan.jobs[0].samples(); sample.number >= count)
    throw ArgumentError(fmt::format("--repro: {} has no sample #{}; its {} samples are numbered from #0",
                                    sample.name, sample.number, count));
  return plan;
}

Results run(const Plan& plan, const CommandOptions& o) {
  Results results{.options = o, .subjects = {}, .selected = plan.selected};
  const auto start = std::chrono::steady_clock::now();
  // The standard output has either the table or another format.
  const bool table_shown = o.format == Format::table || !o.output.empty();
  const Table table(o, plan.jobs);
  std::string text;  // of the table
  const auto add = [&](const std::string& lines) {
    text += lines;
    if (table_shown) print(lines);
  };
  add(table.header());
  {
    const OneThreadEach one(o.threads > 1);
    in_order(
        plan.jobs.size(), o.threads,
        [&](std::size_t i) { return plan.jobs[i].check(plan.options, plan.choice); },
        [&](Subject subject) {
          add(table.rows(subject));
          results.subjects.push_back(std::move(subject));
          return !o.fail_fast || passes(results.subjects.back(), o.strict);
        });
  }
  results.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  results.stopped = results.subjects.size() < plan.jobs.size();
  add(table.summary(results));

  const std::string formatted = o.format == Format::json    ? json_text(results)
                                : o.format == Format::junit ? junit_text(results)
                                                            : text;
  if (!o.output.empty()) {
    nn::AtomicFile file(o.output);
    file.write(formatted);
    file.commit();
  } else if (!table_shown) {
    print(formatted);
  }
  return results;
}

}  // namespace

ExitCode run_command(const Catalog& catalog, const CommandOptions& given) {
  CommandOptions options = given;
  options.verbose |= !options.repro.empty();
  require_valid(options);
  try {
    const Plan plan = plan_of(catalog, options);
    if (options.list) {
      print(listing(plan.jobs));
      return ExitCode::pass;
    }
    if (options.coverage) return run_coverage(catalog, options, plan.options);
    if (options.self_test) {
      const OneThreadEach one(options.threads > 1);
      return run_self_test(plan.jobs, options, plan.options);
    }
    return exit_code_of(run(plan, options));
  } catch (const ArgumentError&) {
    throw;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", options.program, e.what());
    return ExitCode::internal_error;
  }
}

}  // namespace tapegrad::gradcheck
