#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/function.h>
#include <tapegrad/ops/op.h>

namespace tapegrad {

// Copies and ends of what follows are functions of the library: each op's samples make many of them, and would be
// several times as long with all that inlined.

/// Where the elements of a sampled input are drawn from.
struct TAPEGRAD_API Domain {
  double lo = -2;  ///< the least value
  double hi = 2;   ///< the largest value
  /// Points the derivative jumps at, or does not exist: elements keep a distance from them.
  std::vector<double> kinks{};
  /// Where given, elements are these values alone, and the input is not differentiated.
  std::vector<double> only{};

  ~Domain();
};

/// One input of a sample: random elements of a domain, or given values.
struct TAPEGRAD_API SampleInput {
  /// Where its elements come from, and whether it is differentiated.
  enum class Kind : std::uint8_t {
    random,    ///< drawn from the domain; differentiated
    distinct,  ///< as random, but no two elements close to each other (so that max and sorting have no ties)
    values,    ///< the given tensor; differentiated where it is floating
    constant,  ///< the given tensor, f32/f64 or i64; not differentiated
    absent,    ///< an optional input that is not given
  };
  Kind kind = Kind::random;  ///< where its elements come from
  Shape shape{};             ///< of the input
  Domain domain{};           ///< of random and distinct ones
  Tensor values{};           ///< of values and constant ones

  /// Random elements.
  SampleInput(const Shape& s, const Domain& d = {});
  SampleInput(std::initializer_list<std::int64_t> dims, const Domain& d = {}) : SampleInput(Shape(dims), d) {}
  SampleInput(const SampleInput&);
  SampleInput(SampleInput&&) noexcept;
  SampleInput& operator=(const SampleInput&);
  SampleInput& operator=(SampleInput&&) noexcept;
  ~SampleInput();

  /// An input of each of the other kinds.
  static SampleInput distinct(const Shape& s, const Domain& d = {});
  static SampleInput of(const Tensor& v);
  static SampleInput absent();
  static SampleInput constant(const Tensor& v);
};

/// Collects the points at which the checker tries an op. An op without one that has a non-zero Jacobian does
/// not pass.
class Samples {
 public:
  /// What runs the op.
  using Function = Tensor (*)(const void* attributes, const Tensor* const* inputs, std::size_t count);
  /// One point to check at.
  struct Sample {
    std::string label;                  ///< for messages
    std::vector<std::byte> attributes;  ///< the op's struct
    Function function;                  ///< runs it
    std::vector<SampleInput> inputs;    ///< in the op's order
    /// Where given, the gradients of the inputs for a gradient of ones of the result.
    std::vector<Tensor> gradients{};
    /// Inconclusive checks from this order on do not count against the op: no double can show the derivative
    /// here.
    int uncertain_from = 255;
    /// Where given, the function whose derivatives the op's rules are meant to give.
    using Intended = std::function<Tensor(std::span<const Tensor>)>;
    Intended intended{};
  };

  /// An op with its attributes on these inputs.
  template <class Op>
  void add(const Op& op, std::vector<SampleInput> inputs, std::string_view label = {}) {
    static_assert(std::is_trivially_copyable_v<Op>);
    append(std::as_bytes(std::span(&op, 1)), &call<Op>, std::move(inputs), label);
  }
  /// A point where the derivative does not exist, or lies at the end of the op's domain, and the gradients
  /// that the op is documented to have there; all of them vectors. Finite differences show no more there than
  /// bounds.
  template <class Op>
  void convention(const Op& op, const std::vector<std::vector<double>>& at,
                  const std::vector<std::vector<double>>& gradients) {
    append_convention(std::as_bytes(std::span(&op, 1)), &call<Op>, at, gradients);
  }
  /// The same of an op of one input, of any shape.
  template <class Op>
  void convention(const Op& op, const Tensor& at, const Tensor& gradient) {
    append_convention(std::as_bytes(std::span(&op, 1)), &call<Op>, at, gradient);
  }
  /// Of the sample that was added last: from this order on, no double can show the derivative there.
  void uncertain_from(int order) { all_.back().uncertain_from = order; }
  /// Of all samples so far that have none: the op's rules give the derivatives of another function on purpose, at every
  /// order that the op declares, as a rounding does that gradients pass straight through,
  ///
  ///     s.straight_through([](const Tensor& x) { return x; });
  ///
  /// (Bengio, Leonard, Courville: Estimating or Propagating Gradients Through Stochastic Neurons, 2013). The function
  /// takes the op's inputs, without those that are absent, and has its result's shape and dtype. The checker
  /// differences it in place of the op; without this such an op fails. Throws ArgumentError where there is no sample
  /// yet.
  template <class F>
  void straight_through(F intended) {
    set_intended([f = std::move(intended)](std::span<const Tensor> in) { return TensorFunction(f)(in); });
  }
  /// An elementwise op over shapes from a scalar to several blocks of a loop; for two and three inputs also
  /// every broadcasting pattern. `special`: values each input takes besides (tiny, large, conventions).
  template <class Op>
  void unary(const Op& op, const Domain& x, const std::vector<double>& special = {}) {
    elementwise(op, {x}, special);
  }
  template <class Op>
  void binary(const Op& op, const Domain& a, const Domain& b, const std::vector<double>& special = {}) {
    elementwise(op, {a, b}, special);
  }
  template <class Op>
  void elementwise(const Op& op, const std::vector<Domain>& domains,
                   const std::vector<double>& special = {}) {
    append_elementwise(std::as_bytes(std::span(&op, 1)), &call<Op>, domains, special);
  }

  /// An input of these values, in f64.
  static SampleInput given(std::initializer_list<double> values) {
    return SampleInput::of(Tensor::from(values, f64));
  }

  /// Those added so far.
  const std::vector<Sample>& all() const { return all_; }

 private:
  template <class Op>
  static Tensor call(const void* attributes, const Tensor* const* inputs, std::size_t count) {
    const Op& op = *static_cast<const Op*>(attributes);
    if constexpr (requires { Op::is_composite; })  // a function of several ops, where the op is met inside
      return op.forward(std::span<const Tensor* const>(inputs, count));
    else
      return apply_op(op, std::span<const Tensor* const>(inputs, count));
  }
  using Attributes = std::span<const std::byte>;
  TAPEGRAD_API void append(Attributes op, Function function, std::vector<SampleInput> inputs,
                           std::string_view label);
  TAPEGRAD_API void set_intended(Sample::Intended intended);
  TAPEGRAD_API void append_convention(Attributes op, Function function,
                                      const std::vector<std::vector<double>>& at,
                                      const std::vector<std::vector<double>>& gradients);
  TAPEGRAD_API void append_convention(Attributes op, Function function, const Tensor& at,
                                      const Tensor& gradient);
  TAPEGRAD_API void append_elementwise(Attributes op, Function function, const std::vector<Domain>& domains,
                                       const std::vector<double>& special);

  std::vector<Sample> all_;
};

}  // namespace tapegrad
