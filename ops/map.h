#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/dual.h>

/// Elementwise functions of the user's own, fused into one operation.
///
///     const double a = 1.5, b = 0.5;
///     Tensor y = map([=](auto x) { return sigmoid(a * x + b) * tanh(x) + relu(x); }, x);
///
/// y = f(x, ...) element by element, of one to eight tensors that broadcast. The tape records one node and
/// keeps the inputs alone; forward is one vectorised loop, and so are all gradients together, for the instruction set
/// of the processor that runs the program, whatever it was compiled for. The gradient follows from the formula, by the
/// chain rule through the same derivatives that the single operations have. Where a derivative is itself recorded, f is
/// evaluated on tensors, so that derivatives of any order exist.
///
/// f is generic (`auto`) over numbers, masks come from comparisons, and it may use, unqualified:
///     + - * / with numbers and C++ constants, unary -, pow, clamp, where(a < b, c, d), and every function of
///     <tapegrad/ops/elementwise/rows.h>: sqrt, exp, log, abs, maximum, sin, tanh, erf, relu, sigmoid, gelu, ...
/// A condition is a comparison or a number, as in where(isnan(x), 0, x): true where it is not 0.
/// A derivative of exactly 0 wins over one that is infinite or NaN wherever it stands in the chain, so that what does
/// not depend on x contributes nothing: step(x) * log(x) has the gradient 0 at 0. A constant stands on the right of
/// pow, on either side of the other functions of two numbers, and in at most one branch of where. What it captures must
/// be trivially copyable and is a constant: its gradient is not asked. It is vectorised unless it has pow, exp2, log2,
/// hypot, atan2, fmod or remainder. Where Clang compiles it, that holds of arithmetic, comparisons, exp, expm1, log,
/// log1p, tanh, sigmoid, softplus and silu, and of sqrt under -fno-math-errno.
///
/// Backward evaluates f again: what it captures by reference (`[&]`) must then be there, and be as it was. A function that
/// captures is looked at in doubles at a few points, some of them elements of the inputs, when it is recorded and again by
/// backward; where it differs, MutatedSaved is thrown. A change that none of these points sees is not found.
namespace tapegrad {
namespace detail {

/// @cond
#ifdef __clang__
#define TAPEGRAD_ONE_CODE noinline
#else
#define TAPEGRAD_ONE_CODE noipa
#endif

/// Values of a function at a few points: one whose captured variables have changed has others, mostly.
struct Fingerprint {
  static constexpr std::size_t kPoints = 6;
  std::array<std::uint64_t, kPoints> bits{};

  // One code for all callers: what compilers compute ahead of time they round otherwise.
  template <class F, std::size_t... I>
  __attribute__((TAPEGRAD_ONE_CODE)) static Fingerprint of(const F& f, const double* points,
                                                           std::index_sequence<I...>) {
    Fingerprint r;
    for (std::uint64_t& bits : r.bits) {
      bits = std::bit_cast<std::uint64_t>(static_cast<double>(number(f(Real<double>{points[I]}...)).v));
      points += sizeof...(I);
    }
    return r;
  }
  bool operator==(const Fingerprint&) const = default;
};
#undef TAPEGRAD_ONE_CODE
/// @endcond

/// Three points that are always the same, and three of elements of these inputs: the first, one in the middle, the last.
TAPEGRAD_API void write_points(std::span<const Tensor* const> inputs, double* points);
[[noreturn]] TAPEGRAD_API void throw_changed_function(const char* op);

template <class F, std::size_t Inputs>
struct Map {
  static constexpr auto name = "map";
  static constexpr std::size_t arity = Inputs;
  static constexpr auto saves = saves_for((1u << Inputs) - 1u);
  static constexpr bool selects = true;  // `along` says what is nothing
  F function;
  Fingerprint recorded{};  ///< what the function was then; of one that captures nothing, nothing

  auto f(auto... x) const { return function(x...); }
  /// That of input I by itself; behind the inputs stands the output, which it does not read.
  template <std::size_t I, class G, class... X>
  auto gradient(const G& g, const X&... x) const {
    const auto input = std::forward_as_tuple(x...);
    return along(g, std::get<I>(input), [&](const G& change) {
      return [&]<std::size_t... K>(std::index_sequence<K...>) {
        return function(changed<K == I>(std::get<K>(input), change)...);
      }
      (std::make_index_sequence<Inputs>());
    });
  }
  static constexpr bool makes_gradients = true;
  /// Those of all inputs by one evaluation.
  template <class G, class... X>
  std::array<G, Inputs> gradients(const G& g, const X&... x) const {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      const auto y = function(Dual{x, change_of_input<I>(g)}...);
      const Tangents<G, Inputs> d = tangent(y, Tangents<G, Inputs>{{((void)I, g)...}});
      return std::array<G, Inputs>{contribution(g, d.of[I])...};
    }
    (std::make_index_sequence<Inputs>());
  }
  /// Where no tape records there will be no backward.
  void remember(const std::array<const Tensor*, Inputs>& inputs) {
    if (Tape::current()) recorded = seen_with(inputs);
  }
  /// Throws MutatedSaved where backward would differentiate another function than the one that was computed.
  void require_unchanged(RuleContext& context, const char* op = name) const {
    if constexpr (!std::is_empty_v<F>) {
      std::array<Tensor, Inputs> inputs;
      std::array<const Tensor*, Inputs> places;
      for (std::size_t i = 0; i < Inputs; ++i) {
        inputs[i] = context.input(i);
        places[i] = &inputs[i];
      }
      if (recorded != seen_with(places)) throw_changed_function(op);
    }
  }
  /// The points to check a formula at are known to who writes it: gradcheck::check of the call does it.
  static void samples(Samples&) {}

 private:
  Fingerprint seen_with(const std::array<const Tensor*, Inputs>& inputs) const {
    if constexpr (std::is_empty_v<F>) {
      return {};
    } else {
      std::array<double, Fingerprint::kPoints * Inputs> points;
      write_points(inputs, points.data());
      return Fingerprint::of(function, points.data(), std::make_index_sequence<Inputs>());
    }
  }
  template <bool Changes, class G>
  static auto changed(const G& x, const G& change) {
    if constexpr (Changes)
      return Dual{x, change};
    else
      return x;
  }
  template <std::size_t I, class G>
  static Tangents<G, Inputs> change_of_input(const G& g) {
    Tangents<G, Inputs> d;
    d.of.fill(G::of(kNothing));
    d.of[I] = g;
    return d;
  }
  /// g times the derivative for x. In a loop the change of x is g from the start, which spares a product; on tensors it
  /// is 1, so that within the formula nothing vanishes because g does.
  template <class G, class Changed>
  static G along(const G& g, const G& x, const Changed& changed) {
    if constexpr (std::is_same_v<G, Tensor>) {
      const Tensor one = Tensor::ones(x.shape(), x.dtype());
      return contribution_by(g, tangent(changed(one), one));
    } else {
      return contribution(g, tangent(changed(g), g));
    }
  }
};

}  // namespace detail

/// See above. Throws ShapeError where the tensors do not broadcast, DtypeError where their types differ or
/// are integers.
template <class F, std::convertible_to<Tensor>... T>
Tensor map(const F& f, const Tensor& x, const T&... more) {
  static_assert(sizeof...(T) < detail::kMaxArity, "map: one to eight tensors");
  static_assert(std::is_trivially_copyable_v<F>,
                "map: capture numbers by value; the function is copied into the tape as bytes");
  detail::Map<F, 1 + sizeof...(T)> op{f};
  op.remember({&x, &static_cast<const Tensor&>(more)...});
  return apply_op(op, x, static_cast<const Tensor&>(more)...);
}

}  // namespace tapegrad
