#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/report.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/tensor.h>

/// Checks gradients against finite differences. In a test:
///
///     const auto f = [](const Tensor& x, const Tensor& w) { return tanh(matmul(x, w)); };
///     const gradcheck::Report report = gradcheck::check(f, {x, w});
///     BOOST_TEST(report.ok(), report.text());
///
/// The numerical derivative is a central difference in double, extrapolated to step 0 (Ridders: Accurate
/// computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4, 1982), with an error estimate
/// that never falls below round-off. An analytic value passes where it agrees to a *relative* tolerance and
/// the numerical value is certain to that tolerance; nothing absolute lets a small wrong gradient pass.
///
/// Of a function that goes in steps (rounding, counting, a look-up) which nothing declares, as
/// Samples::straight_through does, the numerical derivative is 0 between two steps, and that of the whole
/// staircase over many. A gradient that is that of the staircase to within one part in a thousand cannot be
/// told from one whose function merely hides its changes in rounding: it is inconclusive. One that is further
/// off fails.
namespace tapegrad::gradcheck {

/// How much of a Jacobian is compared, element by element.
enum class Mode : std::uint8_t {
  automatic,  ///< all of a small one; of a large one random elements; and random directions that move all
  /// All of it, up to a million elements, and directions; beyond that, and for more than 4,096 elements of
  /// inputs, as automatic.
  exhaustive,
  /// Random directions alone, which see every element at once: an element off by less than 1e-8 of them all,
  /// and a zero in place of a derivative that is one, may escape it. The checking command makes less of an
  /// op's samples of more than 20,000 elements: their derivatives at order 1 along one direction, f32 against
  /// f64, and 1, 2, 3 and 7 threads. Whatever else is wrong for so many elements alone may escape it: a rule
  /// that writes to what is not its own or is not linear, subsets and one tensor in several places, higher
  /// orders, and an input whose part the direction does not show beside another's. At the op's smaller
  /// samples all of that is checked.
  fast,
};

/// How strict a check is, and what it covers.
struct Options {
  /// Largest |analytic - numeric| / max(|analytic|, |numeric|).
  double rtol = 1e-8;
  /// 1: gradients. 2: also the derivatives of the recorded gradients, and the symmetry of second derivatives.
  /// 3: and the derivatives of those.
  int order = 1;
  Mode mode = Mode::automatic;  ///< how much of a Jacobian is compared
  /// A difference of no more than this is inconclusive in place of a failure. Nothing passes by it.
  double excuse_atol = 0;
  /// How far the elements of two gradients computed in the same way may lie apart, as where a rule sums in
  /// the order in which threads end. 0: no bit may differ. The function itself must give the same bits
  /// whatever this is, and the derivatives are compared to rtol all the same.
  double nondet_tol = 0;
  /// Of the weights, directions and subsets that are drawn.
  std::uint64_t seed = 0;
  /// Automatic mode checks Jacobians of up to this many elements whole; larger ones through random weights of
  /// the result, a random subset of each input's elements, and random directions that move every element.
  std::int64_t full_size = 4096;
  /// Elements of each input in that subset, and random directions for each input and for all at once.
  int elements = 24;
  int directions = 2;
  /// Inputs, by position, that are held constant. Integer inputs always are.
  std::vector<std::size_t> constants{};
  /// Inputs, by name, whose gradient is zero for a reason, as that of a bias before a normalisation. For all
  /// others a derivative that is not zero must have been seen, else the report is UNPROVEN.
  std::vector<std::string> without_gradient{};
  /// Names of the inputs in the report; "input 0", ... where there are none.
  std::vector<std::string> names{};
  /// Compute in f64, whatever the inputs are. Without it f32 inputs are differenced as they are; few of their
  /// derivatives are certain enough to pass.
  bool in_double = true;
  /// Beside the derivatives, check what every gradient must satisfy: shape and dtype; the same with any
  /// subset of the inputs tracked and with one tensor given as several inputs, at every order, after a
  /// forward pass at another point, and with the result used twice; linear in the incoming gradient, and its
  /// transpose forward (the product with a direction) like it; bit for bit reproducible, with 1, 2, 3 and 7
  /// threads, and whatever lies beside the elements in memory; and no input, saved value or incoming gradient
  /// changed.
  bool properties = true;
  /// What is computed in f64 is checked as said above; what is computed in f32, against f64, and for what a
  /// rule does to others and they to it: mutation, accumulation, subsets, aliases, threads, memory.
  bool f64 = true;
  bool f32 = true;
  /// Also check the gradient as Record::yes records it. Not for what is differentiable only once.
  bool recorded = true;
};

/// Checks the gradients of f at these inputs. First of all, whatever the options: that f and each of its
/// rules run, and give the same bits when they run again. Where they do not, what they throw, the state or
/// the randomness is the finding, and nothing else is checked that would only show it again. So a function
/// that is not reproducible to the bit cannot pass: one that draws random numbers must seed them anew, one
/// that sums in the order in which threads end must not. Throws DtypeError where no input is floating
/// (integers have no gradient), ArgumentError for options that make no sense. What f or its rules throw is a
/// finding.
TAPEGRAD_API Report check(TensorFunction f, const std::vector<Tensor>& inputs, const Options& options = {});

}  // namespace tapegrad::gradcheck
