#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <ostream>

#include <tapegrad/gradcheck/check/hints.h>
#include <tapegrad/gradcheck/report.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

std::string_view name_of(Verdict v) noexcept {
  constexpr std::array<std::string_view, 6> kNames{"ZERO",     "KINK",         "PASS",
                                                   "UNPROVEN", "INCONCLUSIVE", "FAIL"};
  return kNames[static_cast<std::size_t>(v)];
}

double Finding::relative_error() const noexcept {
  if (analytic == numeric) return 0;
  const double error = std::abs(analytic - numeric) / std::max(std::abs(analytic), std::abs(numeric));
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

bool Finding::is_derivative() const noexcept {
  return message.empty() && (what == kGradient || what == kGeneralGradient || what == kRecordedGradient);
}

namespace {

std::size_t& slot(InputTally& t, Verdict v) {
  switch (v) {
    case Verdict::zero:
      return t.zero;
    case Verdict::kink:
      return t.kink;
    case Verdict::pass:
      return t.pass;
    case Verdict::inconclusive:
      return t.inconclusive;
    default:
      return t.fail;
  }
}

// At a kink the two values need not be close, and two zeros have no relative error.
double badness(Verdict v, double relative_error) {
  return v == Verdict::kink || v == Verdict::zero ? 0 : relative_error;
}

bool is_unproven(const InputTally& t) { return t.needs_proof && t.pass == 0; }

/// Of findings that follow each other: one derivative, by another rule the same.
bool only_rules_differ(const Finding& a, const Finding& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return a.verdict == b.verdict && a.order == b.order && a.input == b.input && a.index == b.index &&
         a.what.starts_with(kGradient) && b.is_derivative() && a.what != b.what &&
         same(a.analytic, b.analytic) && same(a.numeric, b.numeric);
}

void append(std::vector<Finding>& to, const std::vector<Finding>& from, std::size_t most) {
  const std::size_t room = most - std::min(most, to.size());
  to.insert(to.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(std::min(room, from.size())));
}

bool is_worse(Verdict v, double relative_error, const Finding& than) {
  if (than.input.empty()) return true;
  if (v != than.verdict) return v > than.verdict;
  return badness(v, relative_error) > badness(v, than.relative_error());
}

}  // namespace

std::size_t Report::count(Verdict v) const noexcept {
  std::size_t total = 0;
  if (v == Verdict::unproven) return total;
  for (InputTally t : tallies_) total += slot(t, v);
  return total;
}

Verdict Report::verdict() const noexcept {
  for (const Verdict v : {Verdict::fail, Verdict::inconclusive})
    if (count(v) > 0) return v;
  if (count(Verdict::pass) > 0)
    return std::ranges::any_of(tallies_, is_unproven) ? Verdict::unproven : Verdict::pass;
  return count(Verdict::kink) > 0 ? Verdict::kink : Verdict::zero;
}

std::vector<std::string> Report::unproven() const {
  std::vector<std::string> names;
  for (const InputTally& t : tallies_)
    if (is_unproven(t)) names.push_back(t.name);
  return names;
}

std::vector<Finding> Report::listed() const {
  std::vector<Finding> list;
  const std::string two = fmt::format("{} and {}", kGradient, kGeneralGradient);
  for (const std::vector<Finding>* from : {&failures_, &inconclusive_})
    for (const Finding& f : *from)
      if (!list.empty() && only_rules_differ(list.back(), f))
        list.back().what =
            list.back().what == two ? std::string(kGradientByEveryRule) : list.back().what + " and " + f.what;
      else if (list.size() < kMaxListed)
        list.push_back(f);
      else
        break;
  return list;
}

InputTally& Report::tally(std::string_view input, int order) {
  for (InputTally& t : tallies_)
    if (t.order == order && t.name == input) return t;
  tallies_.push_back({.name = std::string(input), .order = order});
  return tallies_.back();
}

void Report::count_in(InputTally& tally, Verdict verdict) noexcept { ++slot(tally, verdict); }

bool Report::would_store(Verdict verdict, double relative_error) const noexcept {
  if (is_worse(verdict, relative_error, worst_)) return true;
  return verdict == Verdict::fail ? failures_.size() < kMaxFailures
                                  : verdict == Verdict::inconclusive && inconclusive_.size() < kMaxListed;
}

void Report::add(Finding finding) {
  count_in(tally(finding.input, finding.order), finding.verdict);
  if (finding.verdict == Verdict::fail && failures_.size() < kMaxFailures) failures_.push_back(finding);
  if (finding.verdict == Verdict::inconclusive && inconclusive_.size() < kMaxListed)
    inconclusive_.push_back(finding);
  if (is_worse(finding.verdict, finding.relative_error(), worst_)) worst_ = std::move(finding);
}

void Report::merge(const Report& other) {
  for (const InputTally& from : other.tallies_) {
    InputTally& to = tally(from.name, from.order);
    to.zero += from.zero;
    to.kink += from.kink;
    to.pass += from.pass;
    to.inconclusive += from.inconclusive;
    to.fail += from.fail;
    to.needs_proof |= from.needs_proof;
  }
  append(failures_, other.failures_, kMaxFailures);
  append(inconclusive_, other.inconclusive_, kMaxListed);
  if (!other.worst_.input.empty() && is_worse(other.worst_.verdict, other.worst_.relative_error(), worst_))
    worst_ = other.worst_;
}

std::string to_string(const Finding& f) {
  std::string line =
      fmt::format("{}: order {}, {}, {}{}", name_of(f.verdict), f.order, f.what, f.input, f.index);
  if (!f.message.empty()) return line + ": " + f.message;
  line += fmt::format(": analytic {:.12g}, numeric {:.12g}", f.analytic, f.numeric);
  if (f.step > 0) line += fmt::format(" +- {:.1e}, step {:.1e}", f.uncertainty, f.step);
  return line + fmt::format(", relative error {:.1e}", f.relative_error());
}

std::string Report::text() const {
  std::string all = fmt::format("{}: {} derivatives agree, {} zero, {} at kinks, {} inconclusive, {} wrong",
                                name_of(verdict()), count(Verdict::pass), count(Verdict::zero),
                                count(Verdict::kink), count(Verdict::inconclusive), count(Verdict::fail));
  const std::vector<Finding> list = listed();
  for (const Finding& f : list) all += "\n  " + to_string(f);
  if (list.size() == kMaxListed) all += "\n  ...";
  if (verdict() == Verdict::unproven)
    for (const std::string& name : unproven())
      all += fmt::format(
          "\n  UNPROVEN: {}: no derivative other than zero; check at other values, or name it in "
          "Options::without_gradient",
          name);
  for (const std::string& hint : hints(*this)) all += "\n  hint: " + hint;
  return all;
}

std::ostream& operator<<(std::ostream& out, const Report& report) { return out << report.text(); }

}  // namespace tapegrad::gradcheck
