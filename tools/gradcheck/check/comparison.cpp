#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/comparison.h>

namespace tapegrad::gradcheck::detail {

namespace {

// Uncertainties are estimates, and may fall short by this factor; those of gradients are found from a few
// samples.
constexpr double kUncertainty = 4, kGradientRounding = 16;
// Each window's steps are 32 times smaller than the last one's.
constexpr int kSmaller = -5;

/// What one window shows, per unit of the element or of the direction.
struct Sight {
  int scale = 0;
  double analytic = 0, numeric = 0, uncertainty = 0;
  double step = 0;
  bool moved = false;   ///< the results changed at all
  double rounding = 0;  ///< of the function's value

  double error() const { return std::abs(analytic - numeric); }
  double size() const { return std::max(std::abs(analytic), std::abs(numeric)); }
};

/// The verdict is found in two stages. A window whose value agrees with the analytic one, and is certain
/// enough, certifies it: that two such numbers agree by chance need not be feared. Where none does, the
/// rounding of the function and of the gradient are measured, and all windows are weighed against each other:
/// those of the smallest steps that still show something decide.
class Judge {
 public:
  Judge(Line& line, const Row& row, const Claim& claim) : line_(line), row_(row), claim_(claim) {}

  Comparison run() {
    if (const std::optional<Comparison> found = certify()) return *found;
    return weigh();
  }

 private:
  // ---- windows ----

  double unit_of(int scale) const {
    const Doubles& moved = line_.moved(scale);
    return moved.size() == 1 ? moved[0] : std::ldexp(1, scale);
  }
  /// The analytic change for the moves of a scale.
  double change_of(int scale) const {
    const Doubles& moved = line_.moved(scale);
    double a = 0;
    for (std::size_t k = 0; k < moved.size(); ++k) a += claim_.slopes[k] * moved[k];
    return a;
  }
  Sight sight_of(int scale, const Estimate& e) const {
    const double unit = unit_of(scale);
    return {.scale = scale,
            .analytic = change_of(scale) / unit,
            .numeric = e.finite ? e.value / unit : std::numeric_limits<double>::quiet_NaN(),
            .uncertainty = std::abs((e.uncertainty + e.hidden) / unit),
            .step = std::abs(unit),
            .moved = e.moved,
            .rounding = e.rounding};
  }
  static Comparison result(Verdict v, const Sight& s) {
    return {v, s.analytic, s.numeric, s.uncertainty, s.step, false};
  }

  // ---- what agrees ----

  enum class Search { agrees, vanishes, too_fine, too_coarse };

  /// Looks for agreement in one window; else says whether steps are too fine, as rounding hides the answer,
  /// or too coarse for the function.
  Search look(int scale) {
    const Estimate e = line_.estimate(row_, scale);
    seen_ = sight_of(scale, e);
    if (!e.finite || !(e.smooth || e.kinked)) return Search::too_coarse;
    // Where round-off is as large as the jump of a kink would be, either may be true.
    if (e.kinked) return e.smooth ? Search::too_fine : Search::too_coarse;
    if (!std::isfinite(seen_.analytic)) return Search::too_coarse;
    const double a = change_of(scale), size = std::max(std::abs(a), std::abs(e.value));
    if (size == 0) return Search::vanishes;
    const double error = std::max(std::abs(a - e.value), e.uncertainty);
    if (error <= claim_.strict * size) return Search::agrees;
    if (error <= claim_.rtol * size && !loose_) loose_ = seen_;
    const bool hidden =
        size <= kUncertainty * (e.uncertainty + e.hidden) && e.uncertainty <= kInnerRounding * e.noise;
    const bool rounded = e.uncertainty <= 16 * e.noise || e.noise + e.hidden > claim_.strict * size;
    return hidden ||
                   (std::abs(a - e.value) <= claim_.rtol * size + kUncertainty * (e.uncertainty + e.hidden) &&
                    rounded)
               ? Search::too_fine
               : Search::too_coarse;
  }

  std::optional<Comparison> certify() {
    const auto agrees = [&](int scale) { return look(scale) == Search::agrees; };
    const int proportional = line_.proportional_scale();
    std::vector<int> coarse;
    for (int scale = 0; scale >= kSmallestScale; scale += kSmaller) {
      const Search s = look(scale);
      if (s == Search::agrees) return result(Verdict::pass, seen_);
      if (s == Search::vanishes && proportional == 0) {
        // Unless larger steps, too rough to say by how much, show that it changes.
        const Sight still = seen_;
        if (std::ranges::none_of(coarse, [&](int c) { return climbs(c); }))
          return result(Verdict::zero, still);
      }
      if (s == Search::too_coarse) {
        coarse.push_back(scale);
        continue;
      }
      if (scale < 0)
        for (const int between : {scale + 2, scale + 3})
          if (agrees(between)) return result(Verdict::pass, seen_);
      break;
    }
    // Near 0 a step in proportion to the element may show what a step of ordinary size hides.
    if (proportional < 0)
      for (const int closer : {proportional, proportional - 3})
        if (agrees(closer)) return result(Verdict::pass, seen_);
    for (const int wider : Line::kWider) {
      const Search s = look(wider);
      if (s == Search::agrees) return result(Verdict::pass, seen_);
      if (s == Search::too_coarse) break;
    }
    return {};
  }

  // ---- what does not ----

  Comparison weigh() {
    for (int scale = 0; scale >= kSmallestScale; scale += kSmaller) {
      if (!observe(scale)) break;
      if (const Sight* wrong = convicted()) return result(Verdict::fail, *wrong);
    }
    if (const int p = line_.proportional_scale(); p < 0)
      for (const int scale : {p, p - 3, p - 6}) {
        observe(scale);
        if (const Sight* wrong = convicted()) return result(Verdict::fail, *wrong);
      }
    if (loose_) return result(Verdict::pass, *loose_);
    if (kinks_ >= 3) return kink();
    look_wider();
    confirm_lone();
    if (const Sight* wrong = convicted()) return result(Verdict::fail, *wrong);
    if (sights_.empty()) return result(is_noise() ? Verdict::zero : Verdict::inconclusive, seen_);
    const Sight& best = *std::ranges::min_element(
        sights_, {}, [&](const Sight& s) { return std::pair(blind(s), s.uncertainty); });
    bool consistent = true;
    for (std::size_t i = 0; i < sights_.size(); ++i)
      consistent &= blind(sights_[i]) || !differs(sights_[i]) || superseded(i);
    const double doubt = best.uncertainty + rounding_;
    const bool negligible = consistent && (doubt * claim_.step <= claim_.rtol * claim_.largest ||
                                           is_rounding(best) || is_noise());
    const Sight decided = best;
    if (!negligible || best.size() * claim_.step > claim_.rtol * claim_.largest)
      if (const std::optional<Sight> s = certain_beside_rounding()) return result(Verdict::pass, *s);
    return result(negligible ? Verdict::zero : Verdict::inconclusive, decided);
  }

  /// A window that agrees and is certain enough, its rounding measured. What the usual ones show too roughly,
  /// another may happen to show.
  std::optional<Sight> certain_beside_rounding() {
    for (const int other : {-1, -2, -3, -4, 1, 2, 3, 6, 9}) observe(other);
    for (std::size_t i = sights_.size(); i-- > 0 && !differs(sights_[i]);) {  // no smaller steps differ
      const Sight& s = sights_[i];
      if (s.size() > 0 && std::max(s.error(), s.uncertainty) <= claim_.strict * s.size()) return s;
    }
    return {};
  }

  /// Whether both derivatives are no larger than what rounding makes of terms that cancel.
  bool is_rounding(const Sight& s) {
    return s.size() * claim_.step <= claim_.most_rounding &&
           s.size() <= kUncertainty * s.uncertainty + kGradientRounding * rounding();
  }

  /// The same where the row's number is rounding throughout, and its differences show nothing else.
  bool is_noise() {
    const Estimate e = line_.estimate(row_, 0);
    const double a = std::abs(change_of(0) / unit_of(0));
    if (!e.finite || climbs(0) || climbs(-3)) return false;
    if (a == 0 && e.size <= claim_.most_rounding) return true;
    if (!(e.size <= kGradientRounding * claim_.value_rounding())) return false;
    return a * claim_.step <= claim_.most_rounding && a <= kGradientRounding * rounding();
  }

  /// Whether a window and one of larger steps show much the same derivative on both sides, by changes that
  /// the rounding of this very number does not explain: however small or rough it is, its derivative is not
  /// zero then.
  bool climbs(int scale) {
    const double rounding = kGradientRounding * claim_.value_rounding();
    const auto alike = [](double a, double b) {
      return a * b > 0 && std::abs(a) < 2 * std::abs(b) && std::abs(b) < 2 * std::abs(a);
    };
    const Estimate e = line_.estimate(row_, scale), larger = line_.estimate(row_, scale + 3);
    const auto clear = [&](const Estimate& one) {
      return one.finite && alike(one.left, one.right) &&
             std::abs(one.value) > kUncertainty * (one.uncertainty + one.hidden) + rounding;
    };
    return clear(e) && clear(larger) && alike(e.value / unit_of(scale), larger.value / unit_of(scale + 3)) &&
           !line_.steps_over_kink(scale + 3);
  }

  /// Looks at larger steps, as far as the function goes on as it does at the usual ones.
  void look_wider() {
    const auto clear = [&](int scale) {
      return std::ranges::any_of(sights_, [&](const Sight& s) { return s.scale == scale; });
    };
    int before = 0;
    for (const int scale : Line::kWider) {
      if (!clear(before)) break;
      observe(before = scale);
    }
    wide_ = true;
  }

  /// Keeps what a window shows. False where rounding hides all, as it will at smaller steps.
  bool observe(int scale) {
    const Estimate usual = line_.estimate(row_, scale);
    if (usual.finite && usual.kinked && !usual.smooth) {
      if (!line_.steps_over_kink(scale) && ++kinks_ == 1) kink_ = usual, kink_scale_ = scale;
      return true;
    }
    if (kinks_ >= 3) {
      // It is at the point, unless the function is smooth closer to it.
      const double jump = std::abs((kink_.right - kink_.left) / unit_of(kink_scale_));
      const double gap = std::abs((usual.right - usual.left) / unit_of(scale));
      const bool clear = usual.noise < 0.1 * jump * std::abs(unit_of(scale));
      if (!usual.finite || !usual.smooth || !clear || gap > 0.25 * jump) return false;
    }
    kinks_ = 0;
    const Estimate e = line_.estimate(row_, scale, Rounding::measured);
    // No rounding is that large: the function is too rough for these steps.
    if (!e.finite || !e.smooth || e.rounding > 0x1p-8 * std::max(e.size, line_.base().largest(row_))) {
      if (e.finite) rough_.push_back(sight_of(scale, e));
      return true;
    }
    if (e.kinked) return true;
    const Sight s = sight_of(scale, e);
    // Steps no smaller than the last ones, as the number format allows none, show nothing new.
    if (std::ranges::any_of(sights_, [&](const Sight& other) { return other.step == s.step; })) return false;
    sights_.insert(std::ranges::upper_bound(sights_, s.step, std::ranges::greater{}, &Sight::step), s);
    return !(s.uncertainty > 64 * s.size() && e.moved);
  }

  /// How far rounding takes the analytic derivative.
  double rounding() {
    if (rounding_known_) return rounding_;
    rounding_known_ = true;
    rounding_ = std::abs(claim_.rounding(line_.moved(0)) / unit_of(0));
    // What is more than that is no rounding, but a value of the rule for this very point.
    if (!(rounding_ * claim_.step <= claim_.most_rounding)) rounding_ = 0;
    return rounding_;
  }

  bool differs(const Sight& s) {
    if (!std::isfinite(s.analytic)) return true;
    // One window may happen to show less rounding than there is.
    double value = 0;
    for (const Sight& other : sights_)
      if (other.scale <= 0) value = std::max(value, other.rounding);
    const double allowed =
        claim_.strict * s.size() + kUncertainty * std::max(s.uncertainty, 2 * value / s.step);
    if (s.error() <= allowed) return false;
    // What no rounding explains need not be measured.
    if ((s.error() - allowed) * claim_.step > kGradientRounding * claim_.most_rounding) return true;
    return s.error() > allowed + kGradientRounding * rounding();
  }

  /// Whether two windows have no step in common, and are wrong independently.
  static bool apart(const Sight& small, const Sight& large) {
    return large.scale - small.scale >= static_cast<int>(large.scale > 0 ? Line::kWideSteps : Line::kSteps);
  }

  /// Whether two windows that differ from the analytic value agree with each other far better.
  static bool confirm(const Sight& a, const Sight& b) {
    const double apart = std::abs(a.numeric - b.numeric);
    // A wave that the steps are too large for shows each window something else.
    if (!(apart <= 0.1 * std::max(std::abs(a.numeric), std::abs(b.numeric)) +
                       kUncertainty * (a.uncertainty + b.uncertainty)))
      return false;
    return !std::isfinite(a.analytic) || apart <= 0.1 * std::min(a.error(), b.error());
  }

  /// Whether a window agrees with the analytic value far better than those that differ claim.
  static bool refutes(const Sight& s, double error) { return s.error() + s.uncertainty <= error / 8; }

  /// Whether nothing changes in a window although larger steps, up to the usual ones, clearly show a
  /// derivative: rounding inside the function hides it there, or it goes in steps. Either way the window
  /// proves nothing.
  bool blind(const Sight& still) {
    const auto shows_more = [&](const Sight& s) {
      return s.moved && s.scale <= 0 && s.step > still.step && climbs(s.scale);
    };
    return !still.moved &&
           (std::ranges::any_of(sights_, shows_more) || std::ranges::any_of(rough_, shows_more));
  }

  /// Whether smaller steps agree with the analytic value where those of window i differ.
  bool superseded(std::size_t i) {
    return std::any_of(sights_.begin() + static_cast<std::ptrdiff_t>(i) + 1, sights_.end(),
                       [&](const Sight& s) { return !blind(s) && refutes(s, sights_[i].error()); });
  }

  /// A single window that differs gets neighbours.
  void confirm_lone() {
    int scale = 0, count = 0;
    for (const Sight& s : sights_)
      if (differs(s)) scale = s.scale, ++count;
    if (count != 1) return;
    for (const int beside : {scale - 3, scale + 3}) observe(beside);
  }

  /// A window that shows the derivative to be wrong; null where none does.
  const Sight* convicted() {
    for (std::size_t i = sights_.size(); i-- > 1;) {  // from the smallest steps on
      std::size_t l = i;
      while (l > 0 && !apart(sights_[i], sights_[l])) --l;
      const Sight &small = sights_[i], &large = sights_[l];
      if (!apart(small, large)) continue;
      if (!differs(small) || !differs(large) || !confirm(small, large)) continue;
      // Where nothing changes, rounding inside the function may hide what larger steps show.
      const bool moved = small.moved || large.moved;
      if (!moved && (!wide_ || hidden_by_steps(large))) continue;
      if (line_.steps_over_kink(small.scale) || line_.steps_over_kink(large.scale)) continue;
      const Sight& best = small.uncertainty < large.uncertainty ? small : large;
      if (!std::isfinite(small.analytic)) return &best;
      const double error = std::min(small.error(), large.error());
      bool refuted = false;
      for (std::size_t k = 0; k < sights_.size(); ++k)
        if (k > i || (!moved && k < l)) refuted |= refutes(sights_[k], error);
      if (!refuted && !refuted_closer(small, error)) return &best;
    }
    return nullptr;
  }

  /// Whether the function goes in steps that those of this window are too small for: larger ones, however
  /// rough, show what the analytic value says.
  bool hidden_by_steps(const Sight& still) const {
    return std::ranges::any_of(rough_, [&](const Sight& s) {
      return s.moved && s.scale > still.scale && s.error() <= 1e-3 * s.size();
    });
  }

  /// Whether much smaller steps agree with the analytic value: the function then has a structure that those
  /// which differ are too large for.
  bool refuted_closer(const Sight& than, double error) {
    for (const int scale : {than.scale - 10, than.scale - 20}) {
      if (!refutes_at(scale, error, Rounding::of_results)) continue;
      if (refutes_at(scale, error, Rounding::measured)) return true;
    }
    return false;
  }
  bool refutes_at(int scale, double error, Rounding rounding) {
    const Estimate e = line_.estimate(row_, scale, rounding);
    return e.finite && e.smooth && !e.kinked && refutes(sight_of(scale, e), error);
  }

  Comparison kink() const {
    const double a = change_of(kink_scale_), unit = unit_of(kink_scale_);
    const auto [lo, hi] = std::minmax(kink_.left, kink_.right);
    const double slack = 1e-4 * (hi - lo);
    const bool between = lo - slack <= a && a <= hi + slack;
    const double nearest = std::clamp(a, lo, hi);
    return {between ? Verdict::kink : Verdict::fail,
            a / unit,
            (between ? kink_.value : nearest) / unit,
            std::abs((hi - lo) / unit),
            std::abs(unit),
            true};
  }

  Line& line_;
  const Row& row_;
  const Claim& claim_;
  Sight seen_;
  std::optional<Sight> loose_;  ///< agrees within rtol, and is not certain enough for more
  std::vector<Sight> sights_;
  std::vector<Sight> rough_;  ///< of windows where the function is not smooth
  double rounding_ = 0;
  bool rounding_known_ = false;
  bool wide_ = false;  ///< steps larger than usual have been looked at
  Estimate kink_;
  int kinks_ = 0, kink_scale_ = 0;
};

}  // namespace

Comparison compare_derivative(Line& line, const Row& row, const Claim& claim) {
  return Judge(line, row, claim).run();
}

}  // namespace tapegrad::gradcheck::detail
