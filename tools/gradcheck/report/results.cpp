#include <algorithm>

#include <tapegrad/gradcheck/report/results.h>
#include <tapegrad/gradcheck/report/shell_word.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

bool undecided(const Subject::Sample& sample) { return sample.report.count(Verdict::inconclusive) > 0; }

}  // namespace

std::string_view name_of(Mode mode) {
  return mode == Mode::exhaustive ? "exhaustive" : mode == Mode::fast ? "fast" : "auto";
}

std::string dtypes_text(const Options& o) { return o.f64 && o.f32 ? "f64,f32" : o.f64 ? "f64" : "f32"; }

Totals totals_of(const std::vector<Subject>& subjects) {
  using Standing = Subject::Standing;
  Totals t;
  for (const Subject& s : subjects) {
    switch (s.standing) {
      case Standing::pass:
        ++t.pass;
        break;
      case Standing::not_differentiable:
        ++t.not_differentiable;
        break;
      case Standing::waived:
        ++t.waived;
        break;
      case Standing::unproven:
        ++t.unproven;
        break;
      case Standing::inconclusive:
        ++t.inconclusive;
        break;
      case Standing::fail:
        ++t.fail;
        break;
    }
    t.samples += s.samples.size();
    for (const Subject::Sample& sample : s.samples) {
      for (const Verdict v :
           {Verdict::zero, Verdict::kink, Verdict::pass, Verdict::inconclusive, Verdict::fail})
        t.derivatives += sample.report.count(v);
      t.size_alone += sample.size_alone;
      t.undecided += undecided(sample) && !sample.unexpectedly_inconclusive();
    }
  }
  return t;
}

bool passes(const Subject& s, bool strict) {
  using Standing = Subject::Standing;
  return (s.standing == Standing::pass || s.standing == Standing::not_differentiable ||
          s.standing == Standing::waived) &&
         !(strict && std::ranges::any_of(s.samples, undecided));
}

ExitCode exit_code_of(const Results& r) {
  const Totals t = totals_of(r.subjects);
  if (t.fail + t.unproven > 0) return ExitCode::mismatch;
  if (t.inconclusive > 0 || (r.options.strict && t.undecided > 0)) return ExitCode::inconclusive;
  return ExitCode::pass;
}

std::string repro_command(const CommandOptions& o, const Subject& subject, const Subject::Sample& sample) {
  std::string line =
      fmt::format("{} --repro {}", o.program,
                  shell_word(fmt::format("{}#{}:seed={}", subject.name, sample.number, sample.seed)));
  const Options &check = o.check, usual;
  if (check.order != usual.order) line += fmt::format(" --order {}", check.order);
  if (check.mode != usual.mode) line += fmt::format(" --mode {}", name_of(check.mode));
  if (check.f64 != usual.f64 || check.f32 != usual.f32) line += " --dtype " + dtypes_text(check);
  if (check.rtol != usual.rtol) line += fmt::format(" --rtol {}", check.rtol);
  if (check.excuse_atol != usual.excuse_atol) line += fmt::format(" --excuse-atol {}", check.excuse_atol);
  if (check.nondet_tol != usual.nondet_tol) line += fmt::format(" --nondet-tol {}", check.nondet_tol);
  if (check.directions != usual.directions) line += fmt::format(" --probes {}", check.directions);
  if (o.time_limit > 0) line += fmt::format(" --time-limit {}", o.time_limit);
  return line;
}

std::string number_text(const CommandOptions& o, const Subject::Sample& sample) {
  return o.samples > 1 ? fmt::format("#{}:seed={}", sample.number, sample.seed)
                       : fmt::format("#{}", sample.number);
}

}  // namespace tapegrad::gradcheck::detail
