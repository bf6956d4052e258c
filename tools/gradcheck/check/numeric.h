#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/check/problem.h>

/// Numerical derivatives along one direction: differences at shrinking steps, extrapolated to step 0.
namespace tapegrad::gradcheck::detail {

/// A number made of the results, to be differentiated: one element of them, or all of them weighted.
struct Row {
  std::ptrdiff_t element = -1;
  Doubles weights{};  ///< where element is -1
};

/// Which rounding an estimate allows for.
enum class Rounding : std::uint8_t {
  of_results,  ///< that of the results themselves, which costs nothing to know
  measured,    ///< also what is measured of the rounding inside the function
};

/// While the rounding inside a function is not measured, it may exceed that of its result by this factor
/// before it is taken for something else.
inline constexpr double kInnerRounding = 4096;

/// The smallest steps tried, as a power of two times the natural one.
inline constexpr int kSmallestScale = -40;

/// What the differences of one window of steps say about one row, in units of the direction's first step.
struct Estimate {
  bool finite = false;
  /// The second difference falls with the step as that of a smooth function does. Where it does not, a kink
  /// or a pole lies within the window, or the function turns too fast for it.
  bool smooth = false;
  /// The one-sided derivatives differ, by the same amount at each step.
  bool kinked = false;
  /// Something changed at the smallest of the steps.
  bool moved = false;
  double value = 0;
  double uncertainty = 0;
  double noise = 0;   ///< the part of the uncertainty that is round-off
  double hidden = 0;  ///< what results that did not change at all may hide
  double left = 0, right = 0;
  double rounding = 0;  ///< of one value of the row, where it was measured
  double size = 0;      ///< of the largest part of the row within the window
};

/// The results at the point, and how coarsely a double or float can show that they change.
struct Base {
  explicit Base(std::span<const Tensor> results);
  /// The row's number.
  double value(const Row& row) const;
  /// The largest of all results, as they weigh in the row.
  double largest(const Row& row) const;
  Doubles values;
  Doubles epsilon;  ///< of each result's dtype
};

/// The function along a line through the point: x + t * direction, in windows of a few steps, each half the
/// one before, evaluated when asked for. Moves are made exactly representable, so that the step divided by is
/// the step taken.
class Line {
 public:
  struct Move {
    std::size_t input;
    std::size_t element;
    double by;  ///< first step at scale 0, times its weight in a random direction
  };

  /// `at` are the values of the problem's inputs, `base` the results there. Elements of `at` are moved and
  /// put back.
  Line(const Problem& problem, std::vector<Tensor>& at, const Base& base, std::vector<Move> moves);

  /// `scale`: the first step is 2^scale times the natural one. Estimates for the row that was asked for last
  /// are kept, as several rules are compared with them.
  Estimate estimate(const Row& row, int scale, Rounding rounding = Rounding::of_results);
  /// The moves made at a scale, as they were rounded.
  const Doubles& moved(int scale) { return window(scale).by; }
  /// How much each result changes over a part of the first step, and at most by rounding.
  struct Change {
    double size = 0, rounding = 0;
  };
  std::vector<Change> changes();
  const Base& base() const { return base_; }
  /// The results where t times the moves are made.
  Doubles results(double t);
  /// True for each result that stays the same for small and for large steps.
  std::vector<bool> unchanged();
  /// True where the window of this scale reaches over a kink beside the point: a decision goes another way at
  /// its ends, although it does not for the smallest steps.
  bool steps_over_kink(int scale);
  /// Scale at which one element moves in proportion to itself; 0 where it does so already, and for several
  /// elements.
  int proportional_scale() const;
  /// Steps of a window. A window of large steps has more of them, to remove the function's curvature.
  static constexpr std::size_t kSteps = 3, kWideSteps = 6;
  /// The larger windows that are tried.
  static constexpr std::array<int, 4> kWider{3, 6, 9, 12};
  struct Differences;

 private:
  /// The results at points of the line; only those that differ from the results at the middle somewhere, as a
  /// step of one element of many changes few.
  using Places = std::vector<std::size_t, tapegrad::detail::PoolAllocator<std::size_t>>;
  struct Differing {
    Places which;             ///< ascending
    std::vector<Doubles> at;  ///< [point][place in `which`]
  };
  struct Window {
    Doubles by;
    Differing results;
    std::size_t steps() const { return results.at.size() / 2; }
    const Doubles& plus(std::size_t step) const { return results.at[2 * step]; }
    const Doubles& minus(std::size_t step) const { return results.at[2 * step + 1]; }
  };
  /// Differences of high order between the results at equal steps well inside a window. A smooth function's
  /// vanish there, and what is left is rounding.
  struct Roughness {
    Places which;
    Doubles change;  ///< from one end to the other
    std::vector<Doubles> fifth, sixth;
  };
  struct Remembered {
    int scale;
    Rounding rounding;
    Estimate estimate;
  };
  const Window& window(int scale);
  const Roughness& roughness(int scale);
  /// The moves of a scale, made exact.
  Doubles moves_at(int scale) const;
  Estimate estimated(const Row& row, int scale, Rounding rounding);
  Differences differences(const Row& row, const Window& w) const;
  /// The rounding of one value of the row, measured in the window of this scale. Results that do not change
  /// there are left out.
  double measured_rounding(const Row& row, int scale);
  bool decides_otherwise(int scale);
  /// f() with the elements moved by t * by.
  template <class F>
  void at_step(const Doubles& by, double t, F&& f);
  /// take(first, some) for the results from `first` on, tensor by tensor, with t times `by` added to the
  /// elements; NaN where that is out of the domain.
  template <class F>
  void with_results(const Doubles& by, double t, F&& take);
  Differing differing(const Doubles& by, std::span<const double> points);

  const Problem& problem_;
  std::vector<Tensor>& at_;
  const Base& base_;
  std::vector<Move> moves_;
  Doubles from_;
  std::map<int, Window> windows_;
  std::map<int, Roughness> roughness_;
  const Row* remembered_row_ = nullptr;
  std::vector<Remembered> remembered_;                 ///< estimates for that row
  std::optional<std::vector<std::uint8_t>> branches_;  ///< at the point
};

/// The first step of an element, before scaling: a small part of its magnitude, or of one.
double natural_step(double x, double max_step);
/// The same where it is no more than a small part of the element: a step that an element near the end of a
/// function's domain can take as well.
double possible_step(double x, double max_step);

}  // namespace tapegrad::gradcheck::detail
