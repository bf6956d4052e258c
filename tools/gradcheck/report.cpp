#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <tapegrad/gradcheck/report.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

std::string_view name_of(Verdict v) noexcept {
  constexpr std::array<std::string_view, 5> kNames{"ZERO", "KINK", "PASS", "INCONCLUSIVE", "FAIL"};
  return kNames[static_cast<std::size_t>(v)];
}

double Finding::relative_error() const noexcept {
  if (analytic == numeric) return 0;
  const double error = std::abs(analytic - numeric) / std::max(std::abs(analytic), std::abs(numeric));
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
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

bool is_worse(Verdict v, double relative_error, const Finding& than) {
  if (than.input.empty()) return true;
  if (v != than.verdict) return v > than.verdict;
  return badness(v, relative_error) > badness(v, than.relative_error());
}

}  // namespace

std::size_t Report::count(Verdict v) const noexcept {
  std::size_t total = 0;
  for (InputTally t : tallies_) total += slot(t, v);
  return total;
}

Verdict Report::verdict() const noexcept {
  for (const Verdict v : {Verdict::fail, Verdict::inconclusive, Verdict::pass, Verdict::kink})
    if (count(v) > 0) return v;
  return Verdict::zero;
}

InputTally& Report::tally(std::string_view input, int order) {
  for (InputTally& t : tallies_)
    if (t.order == order && t.name == input) return t;
  tallies_.push_back({.name = std::string(input), .order = order});
  return tallies_.back();
}

void Report::count_in(InputTally& tally, Verdict verdict) noexcept { ++slot(tally, verdict); }

bool Report::keeps(Verdict verdict, double relative_error) const noexcept {
  return verdict >= Verdict::inconclusive || is_worse(verdict, relative_error, worst_);
}

void Report::add(Finding finding) {
  count_in(tally(finding.input, finding.order), finding.verdict);
  if (finding.verdict >= Verdict::inconclusive) {
    // Failures push out what was merely inconclusive.
    if (listed_.size() == kMaxListed && finding.verdict == Verdict::fail) {
      const auto weaker = std::ranges::find(listed_, Verdict::inconclusive, &Finding::verdict);
      if (weaker != listed_.end()) listed_.erase(weaker);
    }
    if (listed_.size() < kMaxListed) listed_.push_back(finding);
  }
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
  }
  for (const Finding& f : other.listed_)
    if (listed_.size() < kMaxListed) listed_.push_back(f);
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
  for (const Finding& f : listed_) all += "\n  " + to_string(f);
  const std::size_t found = count(Verdict::inconclusive) + count(Verdict::fail);
  if (found > listed_.size()) all += fmt::format("\n  and {} more", found - listed_.size());
  return all;
}

}  // namespace tapegrad::gradcheck
