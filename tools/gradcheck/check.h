#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/report.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Checks gradients against finite differences. In a test:
///
///     const auto report = gradcheck::check([](const Tensor& x, const Tensor& w) { return tanh(matmul(x, w));
///     }, {x, w}); BOOST_TEST(report.ok(), report.text());
///
/// The numerical derivative is a central difference in double, extrapolated to step 0 (Ridders: Accurate
/// computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4, 1982), with an error estimate
/// that never falls below round-off. An analytic value passes where it agrees to a *relative* tolerance and
/// the numerical value is certain to that tolerance; nothing absolute lets a small wrong gradient pass.
namespace tapegrad::gradcheck {

/// How much of a Jacobian is compared, element by element.
enum class Mode : std::uint8_t {
  automatic,   ///< all of a small one; of a large one random elements, and random directions that move all
  exhaustive,  ///< all of it, up to a million elements
  fast,        ///< random directions alone, which see every element at once
};

struct Options {
  /// Largest |analytic - numeric| / max(|analytic|, |numeric|).
  double rtol = 1e-8;
  /// 1: gradients. 2: also the derivatives of the recorded gradients, and the symmetry of second derivatives.
  /// 3: and the derivatives of those.
  int order = 1;
  Mode mode = Mode::automatic;
  /// A difference of no more than this is inconclusive in place of a failure. Nothing passes by it.
  double excuse_atol = 0;
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
  /// Names of the inputs in the report; "input 0", ... where there are none.
  std::vector<std::string> names{};
  /// Compute in f64, whatever the inputs are. Without it f32 inputs are differenced as they are; few of their
  /// derivatives are certain enough to pass.
  bool in_double = true;
  /// Beside the derivatives, check what every gradient must satisfy: shape and dtype; the same with any
  /// subset of the inputs tracked, with one tensor given as several inputs, with the result used twice;
  /// linear in the incoming gradient, and its transpose forward (the product with a direction) like it; bit
  /// for bit reproducible, with one thread and two, and whatever lies beside the elements in memory; and no
  /// input, saved value or incoming gradient changed.
  bool properties = true;
  /// What is computed in f64 is checked as said above; what is computed in f32, against f64.
  bool f64 = true;
  bool f32 = true;
  /// Also check the gradient as Record::yes records it. Not for what is differentiable only once.
  bool recorded = true;
};

/// A function of tensors: of their span, or of one to six of them. Refers to the callable, which must outlive
/// it.
class Function {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Function>) Function(const F& f)
      : object_(&f), call_(&call<F>) {}
  Tensor operator()(std::span<const Tensor> inputs) const { return call_(object_, inputs); }

 private:
  template <class F>
  static Tensor call(const void* object, std::span<const Tensor> in) {
    const F& f = *static_cast<const F*>(object);
    if constexpr (std::is_invocable_v<const F&, std::span<const Tensor>>)
      return f(in);
    else
      return spread(f, in, std::make_index_sequence<arity<F>()>{});
  }
  template <class F, std::size_t... I>
  static Tensor spread(const F& f, std::span<const Tensor> in, std::index_sequence<I...>) {
    if (in.size() != sizeof...(I))
      throw ArgumentError("gradcheck: the function takes " + std::to_string(sizeof...(I)) + " tensors, " +
                          std::to_string(in.size()) + " were given");
    return f(in[I]...);
  }
  template <std::size_t>
  using Argument = const Tensor&;
  template <class F, std::size_t... I>
  static constexpr bool takes(std::index_sequence<I...>) {
    return std::is_invocable_v<const F&, Argument<I>...>;
  }
  template <class F, std::size_t N = 1>
  static constexpr std::size_t arity() {
    static_assert(N <= 6, "a function to check takes one to six tensors, or a std::span<const Tensor>");
    if constexpr (takes<F>(std::make_index_sequence<N>{}))
      return N;
    else
      return arity<F, N + 1>();
  }

  const void* object_;
  Tensor (*call_)(const void*, std::span<const Tensor>);
};

/// Checks the gradients of f at these inputs. Throws DtypeError where no input is floating (integers have no
/// gradient), ArgumentError for options that make no sense. What f or its rules throw is a finding.
TAPEGRAD_API Report check(Function f, const std::vector<Tensor>& inputs, const Options& options = {});

}  // namespace tapegrad::gradcheck
