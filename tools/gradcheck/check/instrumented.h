#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tapegrad/ops/numbers/real.h>

/// The number type that the checker instantiates elementwise formulas with. It is a double that reports its
/// operations and the result of every comparison, and that replaces one operation where a mutation asks for
/// it.
namespace tapegrad::gradcheck::detail {

/// What a mutation replaces one operation of a formula by.
enum class MutationOperator : std::uint8_t {
  none,
  left_operand,   ///< a + b becomes a, sin(x) becomes x
  right_operand,  ///< a + b becomes b
  inverse,        ///< + becomes -, * becomes /; a decision takes the other branch; sin becomes cos
  off_by_one,     ///< a constant of the formula is one too large
};

/// An operation of a formula: where a mutation can be applied.
struct Site {
  const char* name;
  bool binary = false;    ///< it has two operands
  bool constant = false;  ///< one of them is a constant
};

/// Receives the reports of this thread's Instrumented numbers, and holds the mutation to apply to them.
struct Observer {
  std::size_t next = 0;                 ///< operations of the formula so far
  std::size_t mutated_site = SIZE_MAX;  ///< number of the operation that is replaced
  MutationOperator mutation_operator = MutationOperator::none;
  std::vector<Site>* sites = nullptr;             ///< where given, each operation is appended
  std::vector<std::uint8_t>* branches = nullptr;  ///< where given, every decision is appended

  bool mutates(const Site& site) {
    if (sites) sites->push_back(site);
    return next++ == mutated_site;
  }
  void decide(int way) {
    if (branches) branches->push_back(static_cast<std::uint8_t>(way));
  }
};

inline Observer& observer() {
  static thread_local Observer o;
  return o;
}

struct Mask {
  bool v;
};

struct Instrumented {
  using R = tapegrad::detail::Real<double>;
  R r;

  static Instrumented of(double v) { return {R{v}}; }

 private:
  /// One operation with two operands: `f`, unless the mutation replaces it.
  template <class F, class Opposite>
  static Instrumented binary(const Site& site, Instrumented a, Instrumented b, F f, Opposite opposite) {
    Observer& o = observer();
    if (!o.mutates(site)) return {f(a.r, b.r)};
    switch (o.mutation_operator) {
      case MutationOperator::left_operand:
        return a;
      case MutationOperator::right_operand:
        return b;
      case MutationOperator::inverse:
        return {opposite(a.r, b.r)};
      default:
        return {f(a.r, b.r)};
    }
  }
  template <class F, class Opposite>
  static Instrumented with_constant(const char* name, Instrumented a, double c, F f, Opposite opposite) {
    Observer& o = observer();
    if (!o.mutates({name, true, true})) return {f(a.r, R{c})};
    switch (o.mutation_operator) {
      case MutationOperator::left_operand:
        return a;
      case MutationOperator::right_operand:
        return of(c);
      case MutationOperator::inverse:
        return {opposite(a.r, R{c})};
      case MutationOperator::off_by_one:
        return {f(a.r, R{c + 1})};
      default:
        return {f(a.r, R{c})};
    }
  }
  template <class F, class Opposite>
  static Instrumented unary(const char* name, Instrumented x, F f, Opposite opposite) {
    Observer& o = observer();
    if (!o.mutates({name})) return {f(x.r)};
    switch (o.mutation_operator) {
      case MutationOperator::left_operand:
        return x;
      case MutationOperator::inverse:
        return {opposite(x.r)};
      default:
        return {f(x.r)};
    }
  }
  static Mask compared(const char* name, bool result) {
    Observer& o = observer();
    const bool mutated = o.mutates({name}) && o.mutation_operator == MutationOperator::inverse;
    o.decide(result);
    return {result != mutated};
  }
  /// Which step of a function that jumps at whole numbers.
  static int whole_part(double x) { return static_cast<int>(std::fmod(std::floor(x), 128)); }
  static Instrumented extremum(const char* name, Instrumented a, Instrumented b, bool first, bool tie) {
    Observer& o = observer();
    const bool mutated = o.mutates({name, true}) && o.mutation_operator == MutationOperator::inverse;
    o.decide(tie ? 2 : first);
    return first != mutated ? a : b;
  }

 public:
// Names are words: in a list of mutations * would stand for anything.
#define TAPEGRAD_BINARY(name, op, inverse)                                                           \
  friend Instrumented operator op(Instrumented a, Instrumented b) {                                  \
    return binary(                                                                                   \
        {#name, true}, a, b, [](R x, R y) { return x op y; }, [](R x, R y) { return x inverse y; }); \
  }                                                                                                  \
  friend Instrumented operator op(Instrumented a, double c) {                                        \
    return with_constant(                                                                            \
        #name, a, c, [](R x, R y) { return x op y; }, [](R x, R y) { return x inverse y; });         \
  }                                                                                                  \
  friend Instrumented operator op(double c, Instrumented a) {                                        \
    return with_constant(                                                                            \
        #name, a, c, [](R x, R y) { return y op x; }, [](R x, R y) { return y inverse x; });         \
  }
  TAPEGRAD_BINARY(add, +, -)
  TAPEGRAD_BINARY(sub, -, +)
  TAPEGRAD_BINARY(mul, *, /)
  TAPEGRAD_BINARY(div, /, *)
#undef TAPEGRAD_BINARY

#define TAPEGRAD_ROW(op)                                                                            \
  friend Mask operator op(Instrumented a, Instrumented b) { return compared(#op, a.r.v op b.r.v); } \
  friend Mask operator op(Instrumented a, double b) { return compared(#op, a.r.v op b); }           \
  friend Mask operator op(double a, Instrumented b) { return compared(#op, a op b.r.v); }
  TAPEGRAD_COMPARISON_OPERATORS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_UNARY(name, other)                                        \
  friend Instrumented name(Instrumented x) {                               \
    return unary(                                                          \
        #name, x, [](R v) { return name(v); }, [](R v) { return other; }); \
  }
  friend Instrumented operator-(Instrumented x) {
    return unary(
        "negation", x, [](R v) { return -v; }, [](R v) { return v; });
  }
  TAPEGRAD_UNARY(exp, expm1(v))
  TAPEGRAD_UNARY(expm1, exp(v))
  TAPEGRAD_UNARY(log, log1p(v))
  TAPEGRAD_UNARY(log1p, log(v))
  TAPEGRAD_UNARY(sqrt, v* v)
  TAPEGRAD_UNARY(sin, cos(v))
  TAPEGRAD_UNARY(cos, sin(v))
  TAPEGRAD_UNARY(tan, tanh(v))
  TAPEGRAD_UNARY(asin, acos(v))
  TAPEGRAD_UNARY(acos, asin(v))
  TAPEGRAD_UNARY(atan, tan(v))
  TAPEGRAD_UNARY(sinh, cosh(v))
  TAPEGRAD_UNARY(cosh, sinh(v))
  TAPEGRAD_UNARY(tanh, tan(v))
  TAPEGRAD_UNARY(erf, erfc(v))
  TAPEGRAD_UNARY(erfc, erf(v))
  TAPEGRAD_UNARY(normal_cdf, normal_cdf(-v))
  TAPEGRAD_UNARY(sigmoid, sigmoid(-v))
  TAPEGRAD_UNARY(softplus, softplus(-v))
  TAPEGRAD_UNARY(sigmoid_slope, sigmoid(v))
  TAPEGRAD_UNARY(tanh_slope, tanh(v))
  TAPEGRAD_UNARY(asin_slope, asin(v))
  TAPEGRAD_UNARY(atan_slope, atan(v))
  TAPEGRAD_UNARY(cbrt, v* v* v)
  TAPEGRAD_UNARY(exp2, log2(v))
  TAPEGRAD_UNARY(log2, exp2(v))
  TAPEGRAD_UNARY(log10, log2(v))
#undef TAPEGRAD_UNARY
  friend Instrumented sigmoid_of_cubic(Instrumented x, double a, double b) {
    return unary(
        "sigmoid_of_cubic", x, [=](R v) { return sigmoid_of_cubic(v, a, b); },
        [=](R v) { return sigmoid_of_cubic(-v, a, b); });
  }
  friend Instrumented round(Instrumented x) {
    observer().decide(whole_part(x.r.v + 0.5));
    return unary(
        "round", x, [](R v) { return round(v); }, [](R v) { return -round(v); });
  }
  friend Instrumented zero_without_slope(Instrumented, Mask) { return of(0); }

#define TAPEGRAD_BINARY_FUNCTION(name, other)                                                      \
  friend Instrumented name(Instrumented a, Instrumented b) {                                       \
    return binary(                                                                                 \
        {#name, true}, a, b, [](R x, R y) { return name(x, y); }, [](R x, R y) { return other; }); \
  }
  TAPEGRAD_BINARY_FUNCTION(hypot, direction_cosine(x, y))
  TAPEGRAD_BINARY_FUNCTION(atan2, atan2(y, x))
  TAPEGRAD_BINARY_FUNCTION(direction_cosine, direction_cosine(y, x))
  TAPEGRAD_BINARY_FUNCTION(cosine_over_root, cosine_over_root(y, x))
  TAPEGRAD_BINARY_FUNCTION(reciprocal_real, reciprocal_real(y, x))
#undef TAPEGRAD_BINARY_FUNCTION
  friend Instrumented fmod(Instrumented a, Instrumented b) {
    observer().decide(whole_part(a.r.v / b.r.v));
    return binary(
        {"fmod", true}, a, b, [](R x, R y) { return fmod(x, y); }, [](R x, R y) { return remainder(x, y); });
  }
  friend Instrumented remainder(Instrumented a, Instrumented b) {
    observer().decide(whole_part(a.r.v / b.r.v));
    return binary(
        {"remainder", true}, a, b, [](R x, R y) { return remainder(x, y); },
        [](R x, R y) { return fmod(x, y); });
  }
  friend Instrumented abs(Instrumented x) {
    observer().decide(x.r.v > 0 ? 1 : x.r.v < 0 ? 0 : 2);
    return unary(
        "abs", x, [](R v) { return abs(v); }, [](R v) { return -abs(v); });
  }
  friend Instrumented sign(Instrumented x) {
    observer().decide(x.r.v > 0 ? 1 : x.r.v < 0 ? 0 : 2);
    return unary(
        "sign", x, [](R v) { return sign(v); }, [](R v) { return -sign(v); });
  }
  friend Instrumented pow(Instrumented a, Instrumented b) {
    return binary(
        {"pow", true}, a, b, [](R x, R y) { return pow(x, y); }, [](R x, R y) { return pow(y, x); });
  }
  friend Instrumented power_log(Instrumented a, Instrumented b, double n) {
    return binary(
        {"power_log", true}, a, b, [=](R x, R y) { return power_log(x, y, n); },
        [=](R x, R y) { return power_log(y, x, n); });
  }
  friend Instrumented power_log(Instrumented a, Instrumented b, double n, Instrumented) {
    return power_log(a, b, n);
  }
  friend Instrumented pow(Instrumented a, double c) {
    return with_constant(
        "pow", a, c, [](R x, R y) { return pow(x, y); }, [](R x, R y) { return pow(y, x); });
  }
  friend Instrumented gaussian(Instrumented x, double c) {
    return with_constant(
        "gaussian", x, c, [](R v, R k) { return gaussian(v, k.v); },
        [](R v, R k) { return gaussian(v, -k.v); });
  }
  friend Instrumented maximum(Instrumented a, Instrumented b) {
    return extremum("maximum", a, b, a.r.v > b.r.v || a.r.v != a.r.v, a.r.v == b.r.v);
  }
  friend Instrumented minimum(Instrumented a, Instrumented b) {
    return extremum("minimum", a, b, a.r.v < b.r.v || a.r.v != a.r.v, a.r.v == b.r.v);
  }
  friend Instrumented maximum(Instrumented a, double b) { return maximum(a, of(b)); }
  friend Instrumented minimum(Instrumented a, double b) { return minimum(a, of(b)); }

  friend Instrumented where(Mask m, Instrumented a, Instrumented b) {
    Observer& o = observer();
    return m.v != (o.mutates({"where", true}) && o.mutation_operator == MutationOperator::inverse) ? a : b;
  }
  friend Instrumented where(Mask m, Instrumented a, double b) { return where(m, a, of(b)); }
  friend Instrumented where(Mask m, double a, Instrumented b) { return where(m, of(a), b); }

  friend Mask is_nothing(Instrumented x) {
    return compared("is_nothing", tapegrad::detail::vm::is_nothing(x.r.v));
  }
  friend Instrumented undefined(Instrumented x) { return {undefined(x.r)}; }
  friend Instrumented undefined_where(Instrumented x, Instrumented m) {
    return where(m != 0, undefined(x), x);
  }
  /// What becomes of zeros is no part of a formula.
  friend Instrumented contribution_of_constant(Instrumented, Instrumented term, double) { return term; }
  friend Mask mask(Instrumented x) { return x != 0; }
  friend Instrumented number(Instrumented x) { return x; }
};

inline Mask operator|(Mask a, Mask b) { return {a.v || b.v}; }
inline Instrumented number(Mask m) { return Instrumented::of(m.v ? 1 : 0); }

}  // namespace tapegrad::gradcheck::detail
