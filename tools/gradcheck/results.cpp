#include <algorithm>

#include <tapegrad/gradcheck/results.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

bool undecided(const Subject::Sample& sample) { return sample.report.count(Verdict::inconclusive) > 0; }

std::string quoted(const std::string& text) {
  if (text.find_first_of("\"\\$`!") == text.npos) return '"' + text + '"';
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

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
      t.undecided += undecided(sample) && !sample.is_open();
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
                  quoted(fmt::format("{}#{}:seed={}", subject.name, sample.number, sample.seed)));
  const CommandOptions usual;
  if (o.order != usual.order) line += fmt::format(" --order {}", o.order);
  if (o.mode != usual.mode) line += o.mode == Mode::fast ? " --mode fast" : " --mode exhaustive";
  if (o.f64 != o.f32) line += o.f64 ? " --dtype f64" : " --dtype f32";
  if (o.excuse_atol != usual.excuse_atol) line += fmt::format(" --excuse-atol {}", o.excuse_atol);
  if (o.rtol != usual.rtol) line += fmt::format(" --rtol {}", o.rtol);
  if (o.probes != usual.probes) line += fmt::format(" --probes {}", o.probes);
  return line;
}

std::string number_text(const CommandOptions& o, const Subject::Sample& sample) {
  return o.samples > 1 ? fmt::format("#{}:seed={}", sample.number, sample.seed)
                       : fmt::format("#{}", sample.number);
}

}  // namespace tapegrad::gradcheck::detail
