#include <tapegrad/gradcheck/check/hints.h>
#include <tapegrad/gradcheck/report/json.h>
#include <tapegrad/gradcheck/report/results.h>

#include <fmt/format.h>

// Every field is described in report.schema.json; numbers that are not finite become null.
namespace tapegrad::gradcheck::detail {

namespace {

Json json_of(const Finding& f) {
  Json j{{"verdict", name_of(f.verdict)},
         {"order", f.order},
         {"what", f.what},
         {"input", f.input},
         {"index", f.index},
         {"analytic", f.analytic},
         {"numeric", f.numeric},
         {"step", f.step},
         {"uncertainty", f.uncertainty},
         {"message", f.message},
         {"relative_error", f.relative_error()}};
  // Of what is told in words there are no numbers.
  if (!f.message.empty())
    for (const char* number : {"analytic", "numeric", "step", "uncertainty", "relative_error"})
      j[number] = nullptr;
  return j;
}

Json json_of(const InputTally& t) {
  return {{"name", t.name}, {"order", t.order}, {"pass", t.pass},
          {"zero", t.zero}, {"kink", t.kink},   {"inconclusive", t.inconclusive},
          {"fail", t.fail}};
}

Json json_of(const CommandOptions& o, const Subject& subject, const Subject::Sample& sample) {
  Json inputs = Json::array(), findings = Json::array();
  for (const InputTally& t : sample.report.tallies()) inputs.push_back(json_of(t));
  for (const Finding& f : sample.report.listed()) findings.push_back(json_of(f));
  const Finding& worst = sample.report.worst();
  return {{"number", sample.number},
          {"seed", sample.seed},
          {"label", sample.label},
          {"verdict", name_of(sample.report.verdict())},
          {"uncertain_from",
           sample.uncertain_from == Subject::Sample{}.uncertain_from ? Json() : Json(sample.uncertain_from)},
          {"seconds", sample.seconds},
          {"size_alone", sample.size_alone},
          {"inputs", std::move(inputs)},
          {"worst", worst.input.empty() ? Json() : json_of(worst)},
          {"findings", std::move(findings)},
          {"hints", hints(sample.report)},
          {"repro", repro_command(o, subject, sample)}};
}

Json json_of(const CommandOptions& o, const Subject& s) {
  Json samples = Json::array();
  for (const Subject::Sample& sample : s.samples) samples.push_back(json_of(o, s, sample));
  return {{"name", s.name},
          {"kind", s.kind == Subject::Kind::module ? "module" : "op"},
          {"verdict", name_of(s.standing)},
          {"order", s.order},
          {"waived", s.waived.empty() ? Json() : Json(s.waived)},
          {"unproven", s.unproven},
          {"samples", std::move(samples)}};
}

}  // namespace

std::string json_text(const Results& r) {
  const CommandOptions& o = r.options;
  const Totals t = totals_of(r.subjects);
  Json subjects = Json::array();
  for (const Subject& s : r.subjects) subjects.push_back(json_of(o, s));
  const Json all{{"format", "tapegrad gradcheck"},
                 {"version", 1},
                 {"options",
                  {{"order", o.check.order},
                   {"mode", name_of(o.check.mode)},
                   {"dtype", dtypes_text(o.check)},
                   {"seed", o.check.seed},
                   {"rtol", o.check.rtol},
                   {"excuse_atol", o.check.excuse_atol},
                   {"nondet_tol", o.check.nondet_tol},
                   {"probes", o.check.directions},
                   {"samples", o.samples},
                   {"shard", fmt::format("{}/{}", o.shard.index, o.shard.count)},
                   {"time_limit", o.time_limit > 0 ? Json(o.time_limit) : Json()},
                   {"strict", o.strict}}},
                 {"summary",
                  {{"selected", r.selected},
                   {"checked", r.subjects.size()},
                   {"stopped", r.stopped},
                   {"pass", t.pass},
                   {"not_differentiable", t.not_differentiable},
                   {"waived", t.waived},
                   {"unproven", t.unproven},
                   {"inconclusive", t.inconclusive},
                   {"fail", t.fail},
                   {"samples", t.samples},
                   {"undecided_samples", t.undecided},
                   {"derivatives", t.derivatives},
                   {"seconds", r.seconds},
                   {"exit_code", static_cast<int>(exit_code_of(r))}}},
                 {"subjects", std::move(subjects)}};
  // Names and messages may come from a user's program, in whatever encoding.
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tapegrad::gradcheck::detail
