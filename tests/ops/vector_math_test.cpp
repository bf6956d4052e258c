// The elementary functions of the elementwise loops against long double, and the loops themselves, for every
// instruction set of the processor.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/numbers/vector_calls.h>
#include <tapegrad/ops/op_list.h>
#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "kernel_support.h"

namespace vector_math_test {

using namespace tapegrad;
using detail::Isa;

namespace {

class UsedIsa {
 public:
  explicit UsedIsa(Isa isa) : before_(detail::set_isa(isa)) {}
  ~UsedIsa() { detail::set_isa(before_); }
  UsedIsa(const UsedIsa&) = delete;
  UsedIsa& operator=(const UsedIsa&) = delete;

 private:
  Isa before_;
};

/// Whether <cmath> computes the functions of vector_calls.h.
bool by_cmath(Isa isa) { return TAPEGRAD_CALLS_FOR_VECTORS == 0 || isa == Isa::base; }

struct Function {
  const char* name;
  Tensor (*op)(const Tensor&);
  long double (*exact)(long double);
  double lo, hi;          // where it is neither constant nor infinite
  double most = 0;        // ulps; 0: those of a primitive function
  double most_cmath = 0;  // the same where <cmath> computes, if that is more
};

constexpr double kMostDouble = 2;
constexpr double kMostFloat = 4;
constexpr double kMostComposite = 4;

const Function kFunctions[] = {
    {"exp", exp, std::exp, -750, 712},
    {"expm1", expm1, std::expm1, -45, 712},
    {"log", log, std::log, 0, 100},
    {"log1p", log1p, std::log1p, -1, 100},
    {"tanh", tanh, std::tanh, -22, 22},
    {"sigmoid", sigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }, -750, 50},
    {"exp2", exp2, std::exp2, -1080, 1030},
    {"log2", log2, std::log2, 0, 100},
    {"log10", log10, std::log10, 0, 100},
    {"cbrt", cbrt, std::cbrt, -1000, 1000, 0, 4},
    {"sqrt", sqrt, std::sqrt, 0, 100},
    {"sin", sin, std::sin, -100, 100},
    {"cos", cos, std::cos, -100, 100},
    {"erf", erf, std::erf, -6, 6},
    {"erfc", erfc, std::erfc, -6, 28, 0, 4},
    {"tan", tan, std::tan, -100, 100},
    {"asin", asin, std::asin, -1, 1},
    {"acos", acos, std::acos, -1, 1},
    {"atan", atan, std::atan, -20, 20},
    {"sinh", sinh, std::sinh, -720, 720},
    {"cosh", cosh, std::cosh, -720, 720},
    {"softplus", [](const Tensor& x) { return softplus(x); },
     [](long double x) { return std::fmax(x, 0.0L) + std::log1p(std::exp(-std::fabs(x))); }, -740, 50,
     kMostComposite},
    {"silu", silu, [](long double x) { return x / (1 + std::exp(-x)); }, -80, 50, kMostComposite},
    {"gelu", gelu, [](long double x) { return 0.5L * x * std::erfc(-x * std::sqrt(0.5L)); }, -12.5, 8,
     kMostComposite},
};

/// |value - exact| in units of the last place of the exact value; 0 where both are the same special value.
template <class T>
double ulps(T value, long double exact) {
  const T rounded = static_cast<T>(exact);
  if (std::isnan(rounded) || std::isnan(value)) return std::isnan(rounded) && std::isnan(value) ? 0 : 1e30;
  if (std::isinf(rounded) || std::isinf(value)) return rounded == value ? 0 : 1e30;
  int exponent = 0;
  std::frexp(exact, &exponent);
  exponent =
      std::max(exact == 0 ? std::numeric_limits<int>::min() : exponent, std::numeric_limits<T>::min_exponent);
  const long double unit = std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits);
  return static_cast<double>(std::fabs(exact - static_cast<long double>(value)) / unit);
}

template <class T>
std::vector<T> points(const Function& f) {
  std::vector<T> x{T(0),
                   -T(0),
                   T(1),
                   T(-1),
                   std::numeric_limits<T>::infinity(),
                   -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::max(),
                   std::numeric_limits<T>::lowest(),
                   std::numeric_limits<T>::min(),
                   std::numeric_limits<T>::denorm_min(),
                   -std::numeric_limits<T>::denorm_min(),
                   std::numeric_limits<T>::epsilon(),
                   T(88.72284),
                   T(709.782712893384),
                   T(-87.33655),
                   T(-708.3964185322641),
                   T(0.34657359),
                   T(-0.34657359)};
  Generator g(7);
  const auto add = [&](const Tensor& t, auto&& change) {
    for (const double v : t.values<double>()) x.push_back(static_cast<T>(change(v)));
  };
  const auto same = [](double v) { return v; };
  add(uniform({20000}, g, f.lo, f.hi, f64), same);
  add(uniform({20000}, g, -2, 2, f64), same);
  add(uniform({10000}, g, -40, 3, f64), [](double v) { return std::exp(v); });
  add(uniform({10000}, g, -40, 3, f64), [](double v) { return -std::exp(v); });
  add(uniform({2000}, g, std::log(std::numeric_limits<T>::denorm_min()),
              std::log(std::numeric_limits<T>::max()), f64),
      [](double v) { return std::exp(v); });
  return x;
}

template <class T>
void check_accuracy(const Function& f, double most) {
  std::vector<T> x = points<T>(f);
  // Composites lose digits where they vanish: the exponential of a rounded argument.
  if (f.most > 0) std::erase_if(x, [&](T v) { return static_cast<double>(v) < f.lo; });
  std::vector<long double> exact(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) exact[i] = f.exact(static_cast<long double>(x[i]));
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    const Tensor y = f.op(Tensor::from(x));
    double worst = 0;
    T at{};
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y.values<T>()[i], exact[i]);
      if (error > worst) worst = error, at = x[i];
    }
    BOOST_TEST(worst <= (by_cmath(isa) ? std::max(most, f.most_cmath) : most),
               f.name << " with " << name_of(detail::isa()) << ": " << worst << " ulp at " << at);
    BOOST_TEST_MESSAGE(f.name << " " << name_of(detail::isa()) << " " << sizeof(T) << ": " << worst
                              << " ulp");
  }
}

bool same_bits(const Tensor& a, std::int64_t i, const Tensor& b) {
  const std::size_t size = size_of(a.dtype());
  return std::memcmp(detail::TensorAccess::data(a) + static_cast<std::size_t>(i) * size,
                     detail::TensorAccess::data(b), size) == 0;
}

/// The value of an op and, where it has them, the gradients of all inputs.
template <class Op>
std::vector<Tensor> value_and_gradients(const std::vector<Tensor>& in, const Tensor& cotangent) {
  Tape tape;
  std::vector<Tensor> leaves;
  std::vector<const Tensor*> list;
  for (const Tensor& t : in) leaves.push_back(tape.watch(t));
  for (const Tensor& t : leaves) list.push_back(&t);
  const Tensor y = apply_op(Op{}, std::span<const Tensor* const>(list));
  std::vector<Tensor> all;
  if (y.tracked()) all = tape.grad(y, leaves, {.cotangent = cotangent});
  all.push_back(y);
  return all;
}

/// An element's value and gradients depend on its operands alone, not on where it stands: in a whole trip of
/// the loop, in a padded one, or among the few that are computed one by one.
template <class Op>
void check_places(Dtype dtype) {
  constexpr std::int64_t kLength = 64 + 37;
  Generator g(11);
  std::vector<Tensor> in;
  for (std::size_t i = 0; i < Op::arity; ++i) in.push_back(uniform({kLength}, g, 0.05, 0.95, dtype));
  const Tensor cotangent = uniform({kLength}, g, -1, 1, dtype);
  const std::vector<Tensor> whole = value_and_gradients<Op>(in, cotangent);
  for (std::int64_t i = 0; i < kLength; ++i) {
    std::vector<Tensor> one;
    for (const Tensor& t : in) one.push_back(detail::TensorAccess::view(t, i, {1}));
    const std::vector<Tensor> alone =
        value_and_gradients<Op>(one, detail::TensorAccess::view(cotangent, i, {1}));
    for (std::size_t k = 0; k < whole.size(); ++k)
      BOOST_TEST_REQUIRE(same_bits(whole[k], i, alone[k]),
                         Op::name << ", result " << k << " at " << i << " with " << name_of(detail::isa()));
  }
}

template <class... Ops>
void check_all_places(TypeList<Ops...>, Dtype dtype) {
  const auto one = [&]<class Op>(TypeList<Op>) {
    if constexpr (is_elementwise<Op>) check_places<Op>(dtype);
  };
  (one(TypeList<Ops>{}), ...);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vector_math)

BOOST_AUTO_TEST_CASE(functions_are_accurate_in_double) {
  for (const Function& f : kFunctions) check_accuracy<double>(f, f.most > 0 ? f.most : kMostDouble);
}

BOOST_AUTO_TEST_CASE(functions_are_accurate_in_float) {
  for (const Function& f : kFunctions) check_accuracy<float>(f, f.most > 0 ? f.most : kMostFloat);
}

template <class T>
void check_angles() {
  // Multiples of pi/2, of which little is left, on both sides of where <cmath> takes over.
  std::vector<T> x;
  for (int i = 1; i < 400'000; i += i < 20'000 ? 1 : 7) {
    x.push_back(static_cast<T>(i * 1.57079632679489661923L));
    x.push_back(std::nextafter(-x.back(), T(0)));
  }
  for (const Isa isa : test::usable_isas()) {
    if (by_cmath(isa)) continue;  // its tan is more than 2 ulp off at some of these
    const UsedIsa used(isa);
    const Tensor angles = Tensor::from(x), s = sin(angles), c = cos(angles), t = tan(angles);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto exact = static_cast<long double>(x[i]);
      worst = std::max({worst, ulps(s.values<T>()[i], std::sin(exact)),
                        ulps(c.values<T>()[i], std::cos(exact)), ulps(t.values<T>()[i], std::tan(exact))});
    }
    BOOST_TEST(worst <= kMostDouble, name_of(detail::isa()) << ": " << worst << " ulp");
  }
}

BOOST_AUTO_TEST_CASE(angles_near_multiples_of_a_right_one) {
  check_angles<double>();
  check_angles<float>();
}

/// Where <cmath> takes over: elements among others, whose neighbours stay ours.
template <class T>
void check_large_angles() {
  const std::vector<T> x{T(0x1p19),
                         T(1),
                         T(-0x1p19),
                         T(2),
                         T(0x1.6ac5b262ca1ffp+100),
                         T(-3),
                         T(1e38),
                         std::numeric_limits<T>::max()};
  std::vector<T> tiled;
  for (int i = 0; i < 30; ++i) tiled.insert(tiled.end(), x.begin(), x.end());
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    const Tensor angles = Tensor::from(tiled), s = sin(angles), c = cos(angles), t = tan(angles);
    for (std::size_t i = 0; i < tiled.size(); ++i) {
      if (std::abs(tiled[i]) < T(0x1p19)) continue;
      BOOST_TEST(s.values<T>()[i] == std::sin(tiled[i]));
      BOOST_TEST(c.values<T>()[i] == std::cos(tiled[i]));
      BOOST_TEST(t.values<T>()[i] == std::tan(tiled[i]));
    }
  }
}

BOOST_AUTO_TEST_CASE(large_angles_are_those_of_cmath) {
  check_large_angles<double>();
  check_large_angles<float>();
}

/// The same bits whatever the length, and from wherever it begins; a NaN need only be one.
template <class T>
void check_lengths(const Function& f) {
  std::vector<T> x = points<T>(f);
  x.resize(300);  // with all special values, which <cmath> takes from among others
  const Tensor all = Tensor::from(x), whole = f.op(all);
  for (std::int64_t n = 1; n <= 40; ++n)
    for (std::int64_t begin = 0; begin + n <= all.size(); begin += n == 1 ? 1 : 13) {
      const Tensor part = f.op(detail::TensorAccess::view(all, begin, {n}));
      for (std::int64_t i = 0; i < n; ++i) {
        const T a = part.values<T>()[static_cast<std::size_t>(i)];
        const T b = whole.values<T>()[static_cast<std::size_t>(begin + i)];
        BOOST_TEST_REQUIRE((std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b))),
                           f.name << " of " << n << " from " << begin << " with " << name_of(detail::isa())
                                  << ": " << a << " and " << b);
      }
    }
}

BOOST_AUTO_TEST_CASE(lengths_and_places_do_not_matter) {
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    for (const Function& f : kFunctions) {
      check_lengths<double>(f);
      check_lengths<float>(f);
    }
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  Generator g(3);
  const Tensor x = uniform({300'001}, g, -1, 1, f32);
  const int before = threads();
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    for (const Function& f : kFunctions) {
      set_threads(1);
      const std::vector<float> one = f.op(x).to_vector<float>();
      set_threads(3);
      const std::vector<float> three = f.op(x).to_vector<float>();
      BOOST_TEST(std::memcmp(one.data(), three.data(), one.size() * sizeof(float)) == 0, f.name);
    }
  }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(exact_results_are_exact) {
  for (const Isa isa : test::usable_isas()) {
    if (by_cmath(isa)) continue;  // its cbrt is not
    const UsedIsa used(isa);
    const Tensor n = Tensor::arange(0, 200, 1, f64);
    const auto same = [&](const Tensor& a, const Tensor& b) {
      BOOST_TEST((a.to_vector<double>() == b.to_vector<double>()));
    };
    same(cbrt(n * n * n), n);
    same(sqrt(n * n), n);
    same(log10(Tensor::from({1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e22}, f64)),
         Tensor::from({0, 1, 2, 3, 4, 5, 6, 7, 8, 22}, f64));
  }
}

BOOST_AUTO_TEST_CASE(zeros_keep_their_sign) {
  const Tensor x = Tensor::full({70}, -0.0, f64);
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    constexpr std::size_t kOdd = 11;
    for (Tensor (*op)(const Tensor&) : std::array<Tensor (*)(const Tensor&), kOdd>{
             expm1, log1p, tanh, sqrt, cbrt, sin, tan, asin, atan, sinh, erf}) {
      const Tensor y = op(x);
      for (const std::size_t i : {0u, 69u}) {
        BOOST_TEST(y.values<double>()[i] == 0);
        BOOST_TEST(std::signbit(y.values<double>()[i]));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_element_has_the_same_bits_wherever_it_stands) {
  for (const Isa isa : test::usable_isas()) {
    const UsedIsa used(isa);
    check_all_places(ElementwiseOps{}, f32);
    check_all_places(ElementwiseOps{}, f64);
  }
}

BOOST_AUTO_TEST_CASE(a_set_above_the_best_is_the_best) {
  const Isa before = detail::isa();
  BOOST_TEST((detail::set_isa(Isa::avx512) == before));
  BOOST_TEST((detail::isa() == detail::best_isa()));
  BOOST_TEST((before == detail::best_isa()), "the best is chosen at start");
  BOOST_TEST((detail::set_isa(Isa::base) == detail::best_isa()));
  BOOST_TEST((detail::isa() == Isa::base));
  detail::set_isa(before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vector_math_test
