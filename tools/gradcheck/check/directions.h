#pragma once

#include <cstddef>
#include <vector>

#include <tapegrad/gradcheck/check/derivatives.h>

namespace tapegrad::gradcheck::detail {

/// Compares derivatives along random directions that move all elements of an input at once, or all inputs, of
/// random weighted sums of all results.
class Directions {
 public:
  Directions(Session& s, Jacobian& jacobian, Derivatives& to) : session_(s), jacobian_(jacobian), to_(to) {}

  /// Differentiates the weighted sums.
  void add_rows();
  void run();

 private:
  /// What each result is to be multiplied by in a weighted sum: more where it changes less than others, so
  /// that no wrong small one hides behind large ones.
  Doubles scales();
  /// Moves all elements of inputs [first, last).
  void check(std::size_t row, std::size_t first, std::size_t last);
  std::vector<Line::Move> moves(std::size_t row, std::size_t first, std::size_t last,
                                double (&step)(double, double));
  Comparison compare(Line& line, std::size_t row, std::size_t rule, std::size_t first, std::size_t last,
                     const Doubles& slopes);
  /// The verdict on a derivative at a kink along the moves; `tolerance` for kinks of several inputs, whose
  /// one-sided derivatives may partly cancel.
  Comparison at_kink(Comparison found, std::size_t row, const Doubles& slopes, std::vector<Line::Move> moves,
                     double tolerance);

  Session& session_;
  Jacobian& jacobian_;
  Derivatives& to_;
  std::size_t first_row_ = 0;
};

}  // namespace tapegrad::gradcheck::detail
