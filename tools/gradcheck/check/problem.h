#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tape.h>

/// The checker's own view of what it checks.
namespace tapegrad::gradcheck::detail {

/// Numbers in memory of the pool. A check makes and drops many, and the system would be asked for each large
/// one.
using Doubles = std::vector<double, tapegrad::detail::PoolAllocator<double>>;

struct Input {
  std::string name;
  Tensor value;
  bool needs_grad = true;
  /// False for a parameter of a module, in whose place no other tensor can stand.
  bool replaceable = true;
  /// The largest first step: the distance to a kink that the sample was drawn to avoid.
  double max_step = std::numeric_limits<double>::infinity();
};

/// A way to call a function: some of its inputs held constant, or one tensor in the places of several.
struct Pattern {
  std::vector<std::size_t> constant{}, same{};
};
struct Variant;

/// A function of tensors with several results, at a point.
class Problem {
 public:
  Problem() = default;
  explicit Problem(std::vector<Input> at) : inputs_(std::move(at)) {}
  virtual ~Problem() = default;
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  /// The results at `in`; recorded where these are leaves of the active tape.
  virtual std::vector<Tensor> evaluate(std::span<const Tensor> in) const = 0;
  /// Input i with this value as a leaf of the tape, which is innermost; or as a constant.
  virtual Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const;
  virtual Tensor constant(std::size_t i, const Tensor& value) const;

  /// Which way each decision on the way to the results goes; empty where that is not known.
  virtual std::vector<std::uint8_t> branches(std::span<const Tensor>) const { return {}; }

  /// Where the function gives other values for the same inputs: what it does wrong, and the cure.
  virtual const char* hidden_state() const {
    return "it draws random numbers without a seed, or keeps state from call to call; make the generator, or "
           "the state, inside the function";
  }

  /// How many of the inputs, the first ones, are the function's: the others are incoming gradients.
  virtual std::size_t own_inputs() const { return inputs_.size(); }
  /// The function in a pattern of its own inputs, differentiated as often as this problem is.
  virtual Variant variant(const Pattern& pattern) const;

  const std::vector<Input>& inputs() const { return inputs_; }
  /// Positions of the inputs that are differentiated.
  std::vector<std::size_t> grad_inputs() const;
  std::vector<Tensor> values() const;

 protected:
  std::vector<Input> inputs_;
};

/// Which tensors of another problem each one of a problem stands for.
using StandsFor = std::vector<std::vector<std::size_t>>;
struct Variant {
  std::unique_ptr<const Problem> problem;
  StandsFor inputs{}, results{};  ///< no results where each stands for itself
};

/// A problem whose inputs are another one's: at other values, or one in the places of several.
class VariantProblem final : public Problem {
 public:
  VariantProblem(const Problem& of, std::vector<Input> at, StandsFor stands_for)
      : Problem(std::move(at)), of_(of), stands_for_(std::move(stands_for)) {}
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override { return of_.evaluate(all(in)); }
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override {
    return of_.leaf(tape, stands_for_[i][0], value);
  }
  Tensor constant(std::size_t i, const Tensor& value) const override {
    return of_.constant(stands_for_[i][0], value);
  }
  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override {
    return of_.branches(all(in));
  }
  const char* hidden_state() const override { return of_.hidden_state(); }

 private:
  std::vector<Tensor> all(std::span<const Tensor> in) const;

  const Problem& of_;
  StandsFor stands_for_;
};
/// The problem at another point; at its own in f32.
VariantProblem at_point(const Problem& of, std::span<const Tensor> values);
VariantProblem in_single_precision(const Problem& of);

class FunctionProblem final : public Problem {
 public:
  FunctionProblem(TensorFunction f, std::vector<Input> at) : Problem(std::move(at)), f_(f) {}
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override { return {f_(in)}; }

 private:
  TensorFunction f_;
};

/// The gradients of a problem, as a problem of their own: its inputs are the inputs and the weights w of the
/// results, its results the gradients of sum(w * result) for each input that needs one. Under a tape it
/// records the backward pass.
class GradientProblem final : public Problem {
 public:
  GradientProblem(const Problem& of, std::span<const Tensor> weights);
  GradientProblem(std::unique_ptr<const Problem> of, std::span<const Tensor> weights);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override;
  Tensor constant(std::size_t i, const Tensor& value) const override;
  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override {
    return of_.branches(in.first(of_.inputs().size()));
  }
  std::size_t own_inputs() const override { return of_.own_inputs(); }
  Variant variant(const Pattern& pattern) const override;

 private:
  std::unique_ptr<const Problem> owned_;
  const Problem& of_;
  std::vector<std::size_t> grad_inputs_;
};

/// Which of an operation's rules a backward pass uses.
using Rule = tapegrad::detail::RuleKind;
using tapegrad::detail::GeneralRules;

/// A problem on a tape of its own, with leaves for some of its inputs.
class Recording {
 public:
  /// `track`: which inputs; in the order of the problem.
  Recording(const Problem& problem, std::span<const Tensor> at, std::span<const std::size_t> track);

  const std::vector<Tensor>& leaves() const { return leaves_; }
  const std::vector<Tensor>& results() const { return results_; }
  /// Gradients of sum over k of sum(weights[k] * results[k]) for the tracked inputs, in order.
  std::vector<Tensor> vjp(std::span<const Tensor> weights, Rule rule = Rule::fused);
  Tape& tape() { return tape_; }

 private:
  Tape tape_;
  std::vector<Tensor> leaves_;
  std::vector<Tensor> results_;
};

/// Of two dtypes the one whose numbers are farther apart; integers lose nothing to rounding.
constexpr Dtype coarser(Dtype a, Dtype b) { return epsilon_of(a) >= epsilon_of(b) ? a : b; }
/// How far rounding may take two ways to one number apart, relative to the largest of what is added up on the
/// way.
constexpr double rounding_slack(Dtype dtype) { return 1024 * epsilon_of(dtype); }

/// Any floating elements as doubles.
Doubles to_doubles(const Tensor& t);
Doubles to_doubles(std::span<const Tensor> all);
/// The largest finite number, without its sign.
double largest_of(std::span<const Tensor> all);
Tensor from_doubles(std::span<const double> values, const Shape& shape, Dtype dtype);
/// Floating tensors in another precision, without history; integers as they are.
Tensor converted(const Tensor& t, Dtype dtype);
/// A floating tensor with each element moved up or down at random, by no more than rounding may or by `unit`
/// of itself where that is more; of several tensors those that are floating.
Tensor beside(const Tensor& t, Generator& generator, double unit = 0);
std::vector<Tensor> beside(std::span<const Tensor> all, Generator& generator, double unit = 0);
/// So many numbers, each a random sign times uniform in [1, 1 + width).
Doubles random_weights(std::size_t count, double width, Generator& generator);
/// The same in [1, 2): no two elements alike, so that errors which cancel in a plain sum do not here.
Tensor random_weights(const Shape& shape, Dtype dtype, Generator& generator);

}  // namespace tapegrad::gradcheck::detail
