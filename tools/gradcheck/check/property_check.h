#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/check/session.h>

namespace tapegrad::gradcheck::detail {

/// What the checks of properties start from: the gradient at the problem's point for random weights of the
/// results, to which they compare gradients computed in other ways.
class PropertyCheck {
 protected:
  PropertyCheck(Session& s, const Problem& problem, int order = 1);

  const std::string& name(std::size_t k) const { return problem_.inputs()[grad_inputs_[k]].name; }
  void differs(std::string_view what, std::size_t k, std::size_t e, double got, double expected);

  /// Compares two ways to one gradient, which must be equal up to rounding. `size` is the size of the terms
  /// that were summed for each element; where these are not all, the rounding of each element is measured, in
  /// units of `scale`.
  void compare(std::string_view what, std::size_t k, const Doubles& got, const Doubles& expected,
               const Doubles& size, double scale = 1) {
    compare(what, k, got, expected, size, scale, [&]() -> const Doubles& { return rounding()[k]; });
  }
  /// The same with another measurement of the rounding, asked for where it is needed.
  void compare(std::string_view what, std::size_t k, const Doubles& got, const Doubles& expected,
               const Doubles& size, double scale, const std::function<const Doubles&()>& rounding);
  void compare(std::string_view what, std::size_t k, const Tensor& got, const Doubles& expected,
               double scale = 1) {
    compare(what, k, to_doubles(got), expected, expected, scale);
  }

  /// [input that is differentiated][element]
  const std::vector<Doubles>& rounding();

  Session& session_;
  const Problem& problem_;
  int order_;
  std::vector<std::size_t> grad_inputs_;
  Tensors at_;
  Tensors weights_;
  Tensors gradient_;
  double largest_gradient_ = 0, largest_weight_ = 0;

 private:
  std::vector<Doubles> rounding_;  ///< once it is measured
};

}  // namespace tapegrad::gradcheck::detail
