#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Functions as arguments. These refer to a callable (a lambda, a function, a module) and do not own it: it
/// must outlive them, which one written into the call does.
namespace tapegrad {

namespace detail {

/// What is called: an object or a plain function.
union Callable {
  const void* object;
  void (*function)();

  template <class F>
  static Callable of(F& f) noexcept {
    Callable c{};
    if constexpr (std::is_function_v<F>)
      c.function = reinterpret_cast<void (*)()>(&f);
    else
      c.object = std::addressof(f);
    return c;
  }
  template <class F>
  F& as() const noexcept {
    if constexpr (std::is_function_v<F>)
      return *reinterpret_cast<F*>(function);
    else
      return *static_cast<F*>(const_cast<void*>(object));
  }
};

[[noreturn]] TAPEGRAD_API void throw_arity(std::size_t takes, std::size_t given);

}  // namespace detail

/// A function of one number.
class ScalarFunction {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, ScalarFunction> &&
           std::is_invocable_r_v<double, F&, double>) ScalarFunction(F&& f)
  noexcept : callable_(detail::Callable::of(f)), call_(&call<std::remove_reference_t<F>>) {}
  double operator()(double x) const { return call_(callable_, x); }

 private:
  template <class F>
  static double call(detail::Callable c, double x) {
    return static_cast<double>(c.as<F>()(x));
  }

  detail::Callable callable_;
  double (*call_)(detail::Callable, double);
};

/// A function of tensors with a tensor as its result: of one to six tensors, or of a std::span<const Tensor>.
class TensorFunction {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, TensorFunction>) TensorFunction(F&& f)
  noexcept : callable_(detail::Callable::of(f)), call_(&call<std::remove_reference_t<F>>) {}
  /// Throws ArgumentError where it takes another number of tensors.
  Tensor operator()(std::span<const Tensor> inputs) const { return call_(callable_, inputs); }

 private:
  static constexpr std::size_t kMostTensors = 6;

  template <class F>
  static Tensor call(detail::Callable c, std::span<const Tensor> in) {
    constexpr std::size_t n = arity<F>();
    if constexpr (n == 0)
      return c.as<F>()(in);
    else
      return spread(c.as<F>(), in, std::make_index_sequence<n>{});
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

  detail::Callable callable_;
  Tensor (*call_)(detail::Callable, std::span<const Tensor>);
};

}  // namespace tapegrad
