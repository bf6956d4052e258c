#include <algorithm>

#include <tapegrad/gradcheck/check/hints.h>
#include <tapegrad/gradcheck/report/table.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

constexpr std::size_t kPlace = 44;
// Of an op that fails, so many samples and of each so many comparisons; all with -v.
constexpr std::size_t kSamplesShown = 3, kFindingsShown = 3;

/// The sample whose worst comparison is the worst of all; null where nothing was compared.
const Subject::Sample* worst_of(const Subject& s) {
  const Subject::Sample* worst = nullptr;
  for (const Subject::Sample& sample : s.samples) {
    const Finding& f = sample.report.worst();
    if (f.input.empty()) continue;
    if (!worst || f.verdict > worst->report.worst().verdict ||
        (f.verdict == worst->report.worst().verdict && f.verdict >= Verdict::pass &&
         f.relative_error() > worst->report.worst().relative_error()))
      worst = &sample;
  }
  return worst;
}

std::string title(const CommandOptions& options, const Subject::Sample& sample) {
  return number_text(options, sample) + (sample.label.empty() ? "" : " ") + sample.label;
}

}  // namespace

std::size_t widest_of(const std::vector<std::string>& names) {
  std::size_t width = 6;
  for (const std::string& name : names) width = std::max(width, name.size());
  return width;
}

Table::Table(const CommandOptions& options, const std::vector<std::string>& names)
    : options_(options), name_(widest_of(names)) {}

std::string Table::header() const {
  return fmt::format("{:<{}}  {:>5}  {:>7}  {:<{}}  {:>14}  {:>14}  {:>9}  verdict\n", "op", name_, "order",
                     "samples", "worst at", kPlace, "analytic", "numeric", "rel.error");
}

std::string Table::numbers(const Finding& f, const std::string& sample) const {
  std::string place = sample;
  if (!f.input.empty())
    place += fmt::format(": {}{}{}", f.order > 1 ? fmt::format("order {}, ", f.order) : "", f.input, f.index);
  // The full place of a failure follows below the row.
  if (place.size() > kPlace) place = place.substr(0, kPlace - 3) + "...";
  if (f.input.empty() || !f.message.empty())
    return fmt::format("{:<{}}  {:>14}  {:>14}  {:>9}", place, kPlace, "", "", "");
  return fmt::format("{:<{}}  {:>14.6e}  {:>14.6e}  {:>9.1e}", place, kPlace, f.analytic, f.numeric,
                     f.relative_error());
}

std::string Table::rows(const Subject& s) const {
  const Subject::Sample* worst = worst_of(s);
  std::string text = fmt::format(
      "{:<{}}  {:>5}  {:>7}  {}  {}\n", s.name, name_,
      s.standing == Subject::Standing::not_differentiable ? "-" : std::to_string(s.order), s.samples.size(),
      worst ? numbers(worst->report.worst(), title(options_, *worst)) : numbers({}, ""), name_of(s.standing));
  std::size_t shown = 0, hidden = 0;
  for (const Subject::Sample& sample : s.samples) {
    if (options_.verbose && options_.repro.empty())
      text += fmt::format("{:<{}}  {:>5}  {:>7}  {}  {}\n", "", name_, "", "",
                          numbers(sample.report.worst(), title(options_, sample)),
                          name_of(sample.report.verdict()));
    // What is inconclusive as was to be expected is news under -v alone.
    const bool bad = sample.report.count(Verdict::fail) > 0 || sample.unexpectedly_inconclusive() ||
                     (options_.strict && sample.report.count(Verdict::inconclusive) > 0);
    if (!options_.verbose && !bad) continue;
    if (options_.repro.empty() && sample.report.listed().empty()) continue;
    if (options_.verbose || ++shown <= kSamplesShown)
      text += details(s, sample);
    else
      ++hidden;
  }
  if (hidden > 0) text += fmt::format("  and {} more samples; -v shows all\n", hidden);
  if (!s.waived.empty()) text += fmt::format("  waived {}\n", s.waived);
  for (const std::string& line : s.unproven) text += fmt::format("  {}\n", line);
  return text;
}

std::string Table::details(const Subject& s, const Subject::Sample& sample) const {
  std::string text = fmt::format("  {}{}\n", s.name, title(options_, sample));
  if (!options_.repro.empty())
    for (const InputTally& t : sample.report.tallies())
      text += fmt::format("    order {}, {}: {} agree, {} zero, {} at kinks, {} inconclusive, {} wrong\n",
                          t.order, t.name, t.pass, t.zero, t.kink, t.inconclusive, t.fail);
  const std::vector<Finding> list = sample.report.listed();
  const std::size_t most = options_.verbose ? list.size() : std::min(list.size(), kFindingsShown);
  for (std::size_t i = 0; i < most; ++i) text += fmt::format("    {}\n", to_string(list[i]));
  const std::size_t wrong = sample.report.count(Verdict::fail),
                    undecided = sample.report.count(Verdict::inconclusive);
  if (wrong + undecided > most)
    text += fmt::format("    in all {} wrong and {} inconclusive\n", wrong, undecided);
  for (const std::string& hint : hints(sample.report)) text += fmt::format("    hint: {}\n", hint);
  if (options_.repro.empty()) text += fmt::format("    repeat: {}\n", repro_command(options_, s, sample));
  return text;
}

namespace {
/// What fast mode does not see, where it leaves something out.
std::string left_out_text(const Totals& t) {
  if (t.size_alone == 0) return {};
  return fmt::format(
      "fast mode: of {} large samples only what their size decides was checked: one direction, f32 against "
      "f64, the number of threads; all else at smaller samples of the same ops\n",
      t.size_alone);
}
}  // namespace

std::string Table::summary(const Results& r) const {
  const Totals t = totals_of(r.subjects);
  const std::string leaves_out = left_out_text(t);
  if (!options_.repro.empty())
    return fmt::format("{}; {} derivatives of one sample in {:.1f} s\n{}",
                       name_of(r.subjects[0].samples[0].report.verdict()), t.derivatives, r.seconds,
                       leaves_out);
  std::string text = fmt::format("{} ops and modules", r.subjects.size());
  if (options_.shard.count > 1)
    text += fmt::format(" (shard {}/{} of {})", options_.shard.index, options_.shard.count, r.selected);
  text += fmt::format(": {} pass, {} are not differentiable, {} do not pass", t.pass, t.not_differentiable,
                      t.fail + t.unproven + t.inconclusive);
  if (t.waived > 0) text += fmt::format(", {} are waived", t.waived);
  if (t.undecided > 0) text += fmt::format(", {} samples are inconclusive and marked for it", t.undecided);
  text += fmt::format("; {} derivatives at {} samples in {:.1f} s\n", t.derivatives, t.samples, r.seconds);
  text += leaves_out;
  if (r.stopped) text += "stopped at the first that does not pass\n";
  return text;
}

}  // namespace tapegrad::gradcheck::detail
