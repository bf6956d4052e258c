#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/export.h>

namespace tapegrad {

namespace detail {
[[noreturn]] TAPEGRAD_API void throw_no_callback();
}

/// Any function of these arguments as a value: a lambda, a function, an object that is called. Copies share
/// it, with the state it has. (std::function would cost every user of a public header its own.)
///
///     Callback<double(double)> f = [](double x) { return x * x; };
template <class Signature>
class Callback;

/// A function of these arguments as a value; see the template above.
template <class R, class... A>
class Callback<R(A...)> {
 public:
  /// None: it converts to false, and calling it throws ArgumentError.
  Callback() noexcept = default;
  /// The function f, which is copied or moved.
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Callback> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, A...>) Callback(F&& f)
      : target_(static_cast<Target*>(new Holder<std::decay_t<F>>(std::forward<F>(f)))) {}

  /// Whether there is a function.
  explicit operator bool() const noexcept { return target_ != nullptr; }
  /// Calls it. Throws ArgumentError where there is none.
  R operator()(A... arguments) const {
    if (!target_) detail::throw_no_callback();
    return target_->call(std::forward<A>(arguments)...);
  }

 private:
  struct Target {
    virtual ~Target() = default;
    virtual R call(A... arguments) = 0;
  };
  template <class F>
  struct Holder final : Target {
    template <class G>
    explicit Holder(G&& g) : f(std::forward<G>(g)) {}
    R call(A... arguments) override {
      if constexpr (std::is_void_v<R>)
        static_cast<void>(f(std::forward<A>(arguments)...));
      else
        return f(std::forward<A>(arguments)...);
    }
    F f;
  };

  // Made of a Target*, so that what it consists of is compiled once for each signature: std::make_shared would be sixty
  // small functions for every lambda.
  std::shared_ptr<Target> target_;
};

}  // namespace tapegrad
