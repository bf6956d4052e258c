#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <tapegrad/gradcheck/check/comparison.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// What one window of steps says about the analytic value.
enum class Evidence {
  agrees,   ///< the values agree within the tolerance, and the numerical value is that certain
  differs,  ///< the values differ by more than the tolerance and the uncertainty
  zero,     ///< both values vanish within round-off
  kinked,
  rough,  ///< the function is not smooth at this step, or not finite: a smaller one may tell
  noisy,  ///< round-off hides the answer: a larger step may tell
};

Evidence evidence_of(double a, const Estimate& e, double rtol) {
  if (!e.finite) return Evidence::rough;
  // Where round-off is as large as the jump of a kink would be, either may be true.
  if (e.smooth && e.kinked) return Evidence::noisy;
  if (!e.smooth) return e.kinked ? Evidence::kinked : Evidence::rough;
  if (!std::isfinite(a)) return Evidence::differs;
  const double size = std::max(std::abs(a), std::abs(e.value));
  const double error = std::abs(a - e.value);
  const double tolerance = rtol * size;
  if (size == 0) return Evidence::zero;
  if (error <= tolerance && e.uncertainty <= tolerance) return Evidence::agrees;
  if (size <= 4 * (e.uncertainty + e.hidden) && e.uncertainty <= kInnerRounding * e.noise)
    return Evidence::zero;
  if (error > tolerance + 4 * (e.uncertainty + e.hidden)) return Evidence::differs;
  return e.uncertainty <= 16 * e.noise || e.noise + e.hidden > tolerance ? Evidence::noisy : Evidence::rough;
}

class WindowSearch {
 public:
  WindowSearch(Line& line, const Row& row, std::span<const double> slopes, double rtol)
      : line_(line), row_(row), slopes_(slopes), rtol_(rtol) {}

  // Each window's steps are 32 times smaller than the last one's.
  static constexpr int kSmaller = -5;

  Comparison run() {
    Comparison j = search();
    // Rounding inside the function may leave no difference at all where there is a derivative.
    if (j.verdict == Verdict::fail && j.numeric == 0 && line_.moves_in_leaps(row_, slope_at(0)))
      j.verdict = Verdict::inconclusive;
    return j;
  }

 private:
  /// The analytic change for the moves of a scale.
  double slope_at(int scale) const {
    const std::vector<double>& moved = line_.moved(scale);
    double a = 0;
    for (std::size_t k = 0; k < moved.size(); ++k) a += slopes_[k] * moved[k];
    return a;
  }

  Comparison search() {
    int differing = 0, kinks = 0;
    for (int scale = 0; scale >= kSmallestScale; scale += kSmaller) {
      const Evidence v = look(scale);
      if (v == Evidence::agrees) return result(Verdict::pass);
      // The steps of two windows that differ may still be too large for the function. A third window decides.
      if (differing >= 2) return result(Verdict::fail);
      if (v == Evidence::zero && size_ == 0 && line_.proportional_scale() == 0) return result(Verdict::zero);
      if (v == Evidence::zero || v == Evidence::noisy) {
        if (kinks >= 3) return kink();
        if (scale < 0)
          for (const int between : {scale + 2, scale + 3}) {
            const Evidence w = look(between);
            if (w == Evidence::agrees) return result(Verdict::pass);
            if (w == Evidence::differs && differing && confirmed()) return result(Verdict::fail);
          }
        return look_wider(v);
      }
      differing = v != Evidence::differs ? 0 : differing && confirmed() ? differing + 1 : 1;
      if (differing == 1) differs_ = seen_;
      kinks = v == Evidence::kinked ? kinks + 1 : 0;
      if (kinks == 1) kink_ = line_.estimate(row_, kink_scale_ = scale);
    }
    return kinks >= 3 ? kink() : look_wider(Evidence::rough);
  }

  Evidence look(int scale) {
    const Estimate e = line_.estimate(row_, scale);
    const std::vector<double>& moved = line_.moved(scale);
    const double a = slope_at(scale);
    Evidence v = evidence_of(a, e, rtol_);
    if ((v == Evidence::differs || v == Evidence::kinked) && line_.steps_over_kink(scale))
      v = Evidence::rough;
    // The report gives derivatives per unit of the element, or of the direction.
    const double unit = moved.size() == 1 ? moved[0] : std::ldexp(1, scale);
    const double step = moved.size() == 1 ? std::abs(moved[0]) : unit;
    seen_ = {Verdict::inconclusive, a / unit, e.value / unit, std::abs((e.uncertainty + e.hidden) / unit),
             step};
    if (!e.finite) seen_.numeric = std::numeric_limits<double>::quiet_NaN();
    if (e.smooth && (!best_ || seen_.uncertainty < best_->uncertainty)) best_ = seen_;
    size_ = std::max(std::abs(a), std::abs(e.value));
    return v;
  }

  /// Whether this window and the first one that differed agree with each other better than with the analytic
  /// value. Scatter by round-off inside the function does not.
  bool confirmed() const {
    return differs_ &&
           std::abs(seen_.numeric - differs_->numeric) <= 0.5 * std::abs(seen_.analytic - seen_.numeric);
  }

  Comparison result(Verdict v) const {
    Comparison j = v == Verdict::fail && differs_        ? *differs_
                   : v == Verdict::inconclusive && best_ ? *best_
                                                         : seen_;
    j.verdict = v;
    return j;
  }

  Comparison look_wider(Evidence before) {
    int differing = 0;
    // Near 0 a step in proportion to the element may show what a step of ordinary size hides.
    if (const int scale = line_.proportional_scale(); scale < 0)
      for (const int closer : {scale, scale - 3}) {
        const Evidence v = look(closer);
        if (v == Evidence::agrees) return result(Verdict::pass);
        if (v != Evidence::differs) break;
        if (++differing == 2 && confirmed()) return result(Verdict::fail);
        differs_ = seen_;
      }
    differing = 0;
    for (const int scale : Line::kWider) {
      const Evidence v = look(scale);
      if (v == Evidence::agrees) return result(Verdict::pass);
      if (v != Evidence::differs) {
        if (v != Evidence::noisy && v != Evidence::zero) break;
        continue;
      }
      if (++differing > 1 && confirmed()) return result(Verdict::fail);
      differs_ = seen_;
    }
    return result(before == Evidence::zero ? Verdict::zero : Verdict::inconclusive);
  }

  Comparison kink() {
    const std::vector<double>& moved = line_.moved(kink_scale_);
    const double a = slope_at(kink_scale_);
    const auto [lo, hi] = std::minmax(kink_.left, kink_.right);
    const double slack = 1e-4 * (hi - lo);
    const double unit = moved.size() == 1 ? moved[0] : std::ldexp(1, kink_scale_);
    const bool between = lo - slack <= a && a <= hi + slack;
    const double nearest = std::clamp(a, lo, hi);
    return {between ? Verdict::kink : Verdict::fail, a / unit, (between ? kink_.value : nearest) / unit,
            std::abs((hi - lo) / unit), std::abs(unit)};
  }

  Line& line_;
  const Row& row_;
  std::span<const double> slopes_;
  double rtol_;
  Comparison seen_;
  double size_ = 0;
  std::optional<Comparison> differs_;  ///< the first window that did
  std::optional<Comparison> best_;     ///< the most certain window
  Estimate kink_;
  int kink_scale_ = 0;
};

}  // namespace

Comparison compare_derivative(Line& line, const Row& row, std::span<const double> slopes, double rtol) {
  return WindowSearch(line, row, slopes, rtol).run();
}

}  // namespace tapegrad::gradcheck::detail
