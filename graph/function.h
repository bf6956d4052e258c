#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Functions that are differentiated.
namespace tapegrad {

namespace detail {
[[noreturn]] TAPEGRAD_API void throw_arity(std::size_t takes, std::size_t given);
}

/// A function of one number.
using ScalarFunction = Callback<double(double)>;

/// A function of tensors with a tensor as its result: of one to six tensors, or of a std::span<const Tensor>.
/// It refers to what is called (a lambda, a function, a module, which cannot be copied) and does not own it:
/// that must outlive it, which one written into the call does.
class TensorFunction {
 public:
  /// Refers to f, which must outlive it.
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, TensorFunction>) TensorFunction(F&& f)
      : call_([&f](std::span<const Tensor> inputs) { return call(f, inputs); }) {}
  /// Throws ArgumentError where it takes another number of tensors.
  Tensor operator()(std::span<const Tensor> inputs) const { return call_(inputs); }

 private:
  static constexpr std::size_t kMostTensors = 6;

  template <class F>
  static Tensor call(F& f, std::span<const Tensor> in) {
    constexpr std::size_t n = arity<F>();
    if constexpr (n == 0)
      return f(in);
    else
      return spread(f, in, std::make_index_sequence<n>{});
  }
  template <class F, std::size_t... I>
  static Tensor spread(F& f, std::span<const Tensor> in, std::index_sequence<I...>) {
    if (in.size() != sizeof...(I)) detail::throw_arity(sizeof...(I), in.size());
    return f(in[I]...);
  }
  template <std::size_t>
  using Argument = const Tensor&;
  template <class F, std::size_t... I>
  static constexpr bool takes(std::index_sequence<I...>) {
    return std::is_invocable_v<F&, Argument<I>...>;
  }
  /// How many tensors F takes; 0: a span. Tensors are tried first, as a generic lambda may be ill-formed for
  /// a span.
  template <class F, std::size_t N = 1>
  static constexpr std::size_t arity() {
    if constexpr (N > kMostTensors) {
      static_assert(std::is_invocable_v<F&, std::span<const Tensor>>,
                    "a function of tensors takes one to six of them, or a std::span<const Tensor>");
      return 0;
    } else if constexpr (takes<F>(std::make_index_sequence<N>{})) {
      return N;
    } else {
      return arity<F, N + 1>();
    }
  }

  Callback<Tensor(std::span<const Tensor>)> call_;
};

}  // namespace tapegrad
