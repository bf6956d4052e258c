#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/coverage.h>
#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/command.h>
#include <tapegrad/gradcheck/command/in_order.h>
#include <tapegrad/gradcheck/command/selection.h>
#include <tapegrad/gradcheck/command/watch.h>
#include <tapegrad/gradcheck/mutation/self_test.h>
#include <tapegrad/gradcheck/report/mutation_table.h>
#include <tapegrad/gradcheck/report/results.h>
#include <tapegrad/gradcheck/report/table.h>
#include <tapegrad/nn/io/file.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

namespace {

using namespace detail;

void require_valid(const CommandOptions& o) {
  validate(o.check);
  if (o.threads < 1 || o.threads > 256)
    throw ArgumentError(fmt::format("--threads {}; it can be 1 to 256", o.threads));
  if (!(o.time_limit >= 0))
    throw ArgumentError(fmt::format("--time-limit {}; it must be above 0, or 0 for any time", o.time_limit));
  if (o.samples < 1) throw ArgumentError(fmt::format("--samples {}; it must be at least 1", o.samples));
  if (o.shard.index < 1 || o.shard.index > o.shard.count)
    throw ArgumentError(fmt::format("--shard {}/{}: there is no such part", o.shard.index, o.shard.count));
  if (o.self_test && o.format == Format::junit)
    throw ArgumentError("--format junit: --self-test has a table and json");
  if (o.output.empty()) return;
  // Found out now rather than after all the work.
  try {
    const nn::AtomicFile file(o.output);
  } catch (const FileError& e) {
    throw ArgumentError(fmt::format("--output: {}", e.what()));
  }
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw FileError("the standard output cannot be written");
}

/// Where results go: the standard output has either the table, as it grows, or another format; a file has the
/// format.
class Output {
 public:
  explicit Output(const CommandOptions& o)
      : file_(o.output), table_shown_(o.format == Format::table || !o.output.empty()) {}

  /// Lines of the table.
  void add(const std::string& lines) {
    table_ += lines;
    if (table_shown_) print(lines);
  }
  const std::string& table() const { return table_; }
  void end(const std::string& formatted) const {
    if (!file_.empty()) {
      nn::AtomicFile file(file_);
      file.write(formatted);
      file.commit();
    }
    if (!table_shown_) print(formatted);
  }

 private:
  std::string file_;
  bool table_shown_;
  std::string table_;
};

/// What --list prints.
std::string listing(const std::vector<Job>& jobs) {
  std::string text;
  const std::size_t width = widest_of(names_of(jobs));
  for (const Job& job : jobs)
    text += fmt::format("{:<{}}  {:>3} samples  {}\n", job.name(), width, job.samples(),
                        job.module               ? "module"
                        : job.op->max_order == 0 ? "not differentiable"
                        : job.op->max_order == 1 ? "differentiable once"
                                                 : "differentiable");
  return text;
}

/// What is to be checked, and how.
struct Plan {
  std::vector<Job> jobs;
  std::size_t selected = 0;
  Options options;
  SampleChoice choice;
  std::vector<EquivalentMutation> equivalents;
};

Plan plan_of(const Catalog& catalog, const CommandOptions& o) {
  Plan plan{
      .jobs = {}, .options = o.check, .choice = {.draws = o.samples}, .equivalents = catalog.equivalents()};
  if (o.repro.empty()) {
    plan.jobs = selected(catalog, o);
    if (o.self_test) std::erase_if(plan.jobs, [](const Job& job) { return !job.op; });
    plan.selected = plan.jobs.size();
    plan.jobs = part_of(plan.jobs, o.shard);
    return plan;
  }
  const SampleName sample = parse_sample(o.repro, o.check.seed);
  plan.jobs = {named(catalog, sample.name)};
  plan.selected = 1;
  plan.options.seed = sample.seed;
  plan.choice.only = sample.number;
  return plan;
}

Results run(const Plan& plan, const CommandOptions& o, bool& left_behind) {
  Results results{.options = o, .subjects = {}, .selected = plan.selected};
  const auto start = std::chrono::steady_clock::now();
  Output output(o);
  const Table table(o, names_of(plan.jobs));
  Watch watch(o.program, o.time_limit);
  in_order<Subject>(
      plan.jobs.size(), o.threads,
      [&plan](std::size_t i) { return plan.jobs[i].check(plan.options, plan.choice); },
      [&](std::size_t i, const Progress& progress) -> std::optional<Subject> {
        const Job& job = plan.jobs[i];
        if (!watch.over(job.name(), progress.activity())) return {};
        return job.out_of_time(plan.options, progress, watch.limit());
      },
      [&](Subject subject) {
        if (results.subjects.empty())
          output.add(table.header());  // not above a complaint about the arguments
        output.add(table.rows(subject));
        for (const Subject::Sample& s : subject.samples)
          watch.ended(fmt::format("{}#{} {}", subject.name, s.number, s.label), s.processor_seconds);
        results.subjects.push_back(std::move(subject));
        return !o.fail_fast || passes(results.subjects.back(), o.strict);
      },
      left_behind);
  results.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  results.stopped = results.subjects.size() < plan.jobs.size();
  output.add(table.summary(results));
  fmt::print(stderr, "{}", watch.slowest());
  output.end(o.format == Format::json    ? json_text(results)
             : o.format == Format::junit ? junit_text(results)
                                         : output.table());
  return results;
}

ExitCode run_self_test(const Catalog& catalog, const Plan& plan, const CommandOptions& o, bool& left_behind) {
  const auto start = std::chrono::steady_clock::now();
  Output output(o);
  MutationResults results{.subjects = {}, .selected = plan.selected, .unmatched = {}};
  const MutationTable table(o, names_of(plan.jobs));
  Watch watch(o.program, o.time_limit);
  in_order<std::vector<MutationResult>>(
      plan.jobs.size(), o.threads,
      [&plan](std::size_t i) { return plan.jobs[i].self_test(plan.options, plan.equivalents); },
      [&](std::size_t i, const Progress& progress) -> std::optional<std::vector<MutationResult>> {
        const Job& job = plan.jobs[i];
        if (!watch.over(job.name(), progress.activity())) return {};
        return job.self_test_out_of_time(progress, watch.limit());
      },
      [&](std::vector<MutationResult> mutations) {
        for (const MutationResult& m : mutations)
          watch.ended(fmt::format("{}: {}", m.op, m.mutation), m.processor_seconds);
        results.subjects.push_back({plan.jobs[results.subjects.size()].name(), std::move(mutations)});
        output.add(table.rows(results.subjects.back()));
        return !o.fail_fast || results.subjects.back().all_found();
      },
      left_behind);
  results.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  results.stopped = results.subjects.size() < plan.jobs.size();
  results.find_unmatched(catalog);
  output.add(table.summary(results));
  fmt::print(stderr, "{}", watch.slowest());
  output.end(o.format == Format::json ? json_text(o, results) : output.table());
  return results.exit_code();
}

ExitCode run_coverage(const Catalog& catalog, const CommandOptions& o) {
  const auto start = std::chrono::steady_clock::now();
  const Coverage c = coverage_of(catalog, o.check, o.shard);
  for (const std::string& gap : c.gaps) print(fmt::format("GAP: {}\n", gap));
  if (!c.unshared.empty())
    print(fmt::format(
        "passes that no sample was large enough to share between two threads, or that one thread runs "
        "alone:\n  {}\n",
        fmt::join(c.unshared, "\n  ")));
  print(fmt::format(
      "{} ops and {} modules; {} of {} variants of their rules were run ({}), {} passes by two threads, "
      "{} by one alone; {} gaps, in {:.1f} s\n",
      c.ops, c.modules, c.covered, c.variants, fmt::join(c.instruction_sets, ", "), c.shared,
      c.unshared.size(), c.gaps.size(),
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
  return c.gaps.empty() ? ExitCode::pass : ExitCode::coverage_gap;
}

}  // namespace

ExitCode run_command(const Catalog& catalog, const CommandOptions& given) {
  CommandOptions options = given;
  options.verbose |= !options.repro.empty();
  require_valid(options);
  bool left_behind = false;
  std::optional<Plan> plan;  // lives as long as a thread that is left behind
  ExitCode code = ExitCode::internal_error;
  try {
    plan = plan_of(catalog, options);
    if (options.list) {
      print(listing(plan->jobs));
      return ExitCode::pass;
    }
    if (options.coverage) return run_coverage(catalog, options);
    code = options.self_test ? run_self_test(catalog, *plan, options, left_behind)
                             : exit_code_of(run(*plan, options, left_behind));
  } catch (const ArgumentError& e) {
    if (!left_behind) throw;
    fmt::print(stderr, "{}: {}\n", options.program, e.what());
    code = ExitCode::usage;
  } catch (...) {
    fmt::print(stderr, "{}: {}\n", options.program, exception_text());
  }
  if (left_behind) {
    // Not all streams: a thread that is left behind may wait in one for ever, and holds its lock.
    std::fflush(stdout);
    std::fflush(stderr);
    std::_Exit(static_cast<int>(code));
  }
  return code;
}

}  // namespace tapegrad::gradcheck
