#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/numeric.h>
#include <tapegrad/gradcheck/check/problem.h>

namespace tapegrad::gradcheck::detail {

/// Which of several tensors an element belongs to, counted through all of them, and where in that tensor it
/// is.
struct Position {
  std::size_t tensor;
  std::size_t element;
};
Position position_of(std::size_t element, std::span<const Tensor> tensors);

/// The gradients of some rows of a problem's results, by each of the rules, and how certain they are.
class Jacobian {
 public:
  Jacobian(const Problem& problem, std::span<const Rule> rules);

  /// Differentiates these rows besides those there are.
  void add(std::vector<Row> rows);

  const Problem& problem() const { return problem_; }
  std::span<const Rule> rules() const { return rules_; }
  /// Positions of the inputs that are differentiated.
  const std::vector<std::size_t>& grad_inputs() const { return grad_inputs_; }
  const Input& input(std::size_t k) const { return problem_.inputs()[grad_inputs_[k]]; }
  /// The values of all inputs, of which elements may be moved and put back.
  std::vector<Tensor>& at() { return at_; }
  const Tensor& value(std::size_t k) const { return at_[grad_inputs_[k]]; }
  const std::vector<Tensor>& results() const { return results_; }
  const Base& base() const { return base_; }

  const std::vector<Row>& rows() const { return rows_; }
  /// The gradient of a row for input k, by one of the rules.
  const Doubles& gradient(std::size_t rule, std::size_t row, std::size_t k) const {
    return gradients_[rule][row][k];
  }
  /// The same at a few points as close as rounding is: how far they lie apart is the rounding of the
  /// gradient.
  using Gradient = std::vector<Doubles>;  ///< [input that is differentiated][element]
  const std::vector<Gradient>& nearby(std::size_t rule, std::size_t row);
  /// How far rounding takes the row's number, measured in the same way.
  double value_rounding(std::size_t row);

  /// The first step of each element of input k for a numerical derivative.
  Doubles steps(std::size_t k) const;
  /// The largest of the row's number and of its changes by steps of single elements.
  double largest(std::size_t row) const { return largest_[row]; }
  /// What the rounding of a gradient may change at most by the step of an element: no more than a small part
  /// of the largest change of any row, or of the inputs' rounding where all that they change cancels.
  double most_rounding() const {
    const double largest = largest_.empty() ? 0 : *std::ranges::max_element(largest_);
    return std::max(0x1p-26 * largest, 0x1p-43 * largest_input_);
  }

 private:
  std::vector<Tensor> weights_of(const Row& row) const;
  Gradient values_of(const std::vector<Tensor>& gradients) const;
  double largest_change(std::size_t row) const;

  const Problem& problem_;
  std::span<const Rule> rules_;
  std::vector<std::size_t> grad_inputs_;
  std::vector<Tensor> at_;
  std::vector<Tensor> results_;
  Base base_{{}};
  std::vector<Row> rows_;
  std::vector<std::vector<Gradient>> gradients_;  ///< [rule][row]
  Doubles largest_;
  double largest_input_ = 0;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Gradient>> nearby_;
  std::vector<Base> nearby_values_;
};

}  // namespace tapegrad::gradcheck::detail
