#include <array>
#include <string>

#include "op_support.h"

namespace math_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Unary {
  const char* name;
  Tensor (*op)(const Tensor&);
  double (*value)(double);
  double (*slope)(double);
  double (*curvature)(double);
  double lo = -2;
  double hi = 2;
};

constexpr double kTwoOverRootPi = 1.1283791670955126;

const std::array kUnary{
    Unary{"neg", neg, [](double x) { return -x; }, [](double) { return -1.; }, [](double) { return 0.; }},
    Unary{"square", square, [](double x) { return x * x; }, [](double x) { return 2 * x; },
          [](double) { return 2.; }},
    Unary{"sqrt", sqrt, [](double x) { return std::sqrt(x); }, [](double x) { return 0.5 / std::sqrt(x); },
          [](double x) { return -0.25 * std::pow(x, -1.5); }, 0.2, 4},
    Unary{"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); },
          [](double x) { return -0.5 * std::pow(x, -1.5); },
          [](double x) { return 0.75 * std::pow(x, -2.5); }, 0.2, 4},
    Unary{"exp", exp, [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); },
          [](double x) { return std::exp(x); }},
    Unary{"expm1", expm1, [](double x) { return std::expm1(x); }, [](double x) { return std::exp(x); },
          [](double x) { return std::exp(x); }},
    Unary{"log", log, [](double x) { return std::log(x); }, [](double x) { return 1 / x; },
          [](double x) { return -1 / (x * x); }, 0.2, 4},
    Unary{"log1p", log1p, [](double x) { return std::log1p(x); }, [](double x) { return 1 / (1 + x); },
          [](double x) { return -1 / ((1 + x) * (1 + x)); }, -0.8, 4},
    Unary{"abs", abs, [](double x) { return std::abs(x); }, [](double x) { return x > 0 ? 1. : -1.; },
          [](double) { return 0.; }},
    Unary{"sin", sin, [](double x) { return std::sin(x); }, [](double x) { return std::cos(x); },
          [](double x) { return -std::sin(x); }},
    Unary{"cos", cos, [](double x) { return std::cos(x); }, [](double x) { return -std::sin(x); },
          [](double x) { return -std::cos(x); }},
    Unary{"tan", tan, [](double x) { return std::tan(x); },
          [](double x) { return 1 / std::pow(std::cos(x), 2); },
          [](double x) { return 2 * std::tan(x) / std::pow(std::cos(x), 2); }, -1.2, 1.2},
    Unary{"asin", asin, [](double x) { return std::asin(x); },
          [](double x) { return 1 / std::sqrt(1 - x * x); },
          [](double x) { return x * std::pow(1 - x * x, -1.5); }, -0.9, 0.9},
    Unary{"acos", acos, [](double x) { return std::acos(x); },
          [](double x) { return -1 / std::sqrt(1 - x * x); },
          [](double x) { return -x * std::pow(1 - x * x, -1.5); }, -0.9, 0.9},
    Unary{"atan", atan, [](double x) { return std::atan(x); }, [](double x) { return 1 / (1 + x * x); },
          [](double x) { return -2 * x / std::pow(1 + x * x, 2); }},
    Unary{"sinh", sinh, [](double x) { return std::sinh(x); }, [](double x) { return std::cosh(x); },
          [](double x) { return std::sinh(x); }},
    Unary{"cosh", cosh, [](double x) { return std::cosh(x); }, [](double x) { return std::sinh(x); },
          [](double x) { return std::cosh(x); }},
    Unary{"erf", erf, [](double x) { return std::erf(x); },
          [](double x) { return kTwoOverRootPi * std::exp(-x * x); },
          [](double x) { return -2 * x * kTwoOverRootPi * std::exp(-x * x); }},
    Unary{"erfc", erfc, [](double x) { return std::erfc(x); },
          [](double x) { return -kTwoOverRootPi * std::exp(-x * x); },
          [](double x) { return 2 * x * kTwoOverRootPi * std::exp(-x * x); }},
    Unary{"pow 2.5", [](const Tensor& x) { return pow(x, 2.5); }, [](double x) { return std::pow(x, 2.5); },
          [](double x) { return 2.5 * std::pow(x, 1.5); }, [](double x) { return 3.75 * std::sqrt(x); }, 0.1,
          2},
    Unary{"scalars", [](const Tensor& x) { return 3 / (2 - (1 - x * 2 / 4) - 1 * x + (x - 5)); },
          [](double x) { return 3 / (x / 2 - 4); }, [](double x) { return -1.5 / std::pow(x / 2 - 4, 2); },
          [](double x) { return 1.5 / std::pow(x / 2 - 4, 3); }},
};

struct Binary {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  double (*value)(double, double);
  bool integers;
};

const std::array kBinary{
    Binary{"add", add, [](double a, double b) { return a + b; }, true},
    Binary{"sub", sub, [](double a, double b) { return a - b; }, true},
    Binary{"mul", mul, [](double a, double b) { return a * b; }, true},
    Binary{"div", div, [](double a, double b) { return a / b; }, false},
    Binary{"pow", [](const Tensor& a, const Tensor& b) { return pow(abs(a), b); },
           [](double a, double b) { return std::pow(std::abs(a), b); }, false},
    Binary{"maximum", maximum, [](double a, double b) { return a > b ? a : b; }, true},
    Binary{"minimum", minimum, [](double a, double b) { return a < b ? a : b; }, true},
    Binary{"equal", equal, [](double a, double b) { return a == b ? 1. : 0.; }, true},
    Binary{"not_equal", not_equal, [](double a, double b) { return a != b ? 1. : 0.; }, true},
    Binary{"less", less, [](double a, double b) { return a < b ? 1. : 0.; }, true},
    Binary{"less_equal", less_equal, [](double a, double b) { return a <= b ? 1. : 0.; }, true},
    Binary{"greater", greater, [](double a, double b) { return a > b ? 1. : 0.; }, true},
    Binary{"greater_equal", greater_equal, [](double a, double b) { return a >= b ? 1. : 0.; }, true},
};

struct Pair {
  Shape a, b, out;
};
const std::vector<Pair> kPairs{{{}, {}, {}},
                               {{3}, {}, {3}},
                               {{}, {2, 3}, {2, 3}},
                               {{1}, {5}, {5}},
                               {{2, 3}, {3}, {2, 3}},
                               {{2, 3}, {2, 1}, {2, 3}},
                               {{4, 1, 3}, {2, 1}, {4, 2, 3}},
                               {{2, 1, 3, 1}, {1, 5, 1, 2}, {2, 5, 3, 2}},
                               {{700}, {700}, {700}},
                               {{3, 700}, {700}, {3, 700}},
                               {{700, 3}, {700, 1}, {700, 3}},
                               {{0, 3}, {3}, {0, 3}},
                               {{2, 0}, {1}, {2, 0}}};

}  // namespace

BOOST_AUTO_TEST_SUITE(math)

BOOST_AUTO_TEST_CASE(unary_ops_match_the_standard_library_at_three_orders) {
  for (const Unary& u : kUnary)
    for (const Dtype dtype : {f32, f64})
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{3, 7}, Shape{1031}, Shape{0, 2}}) {
        BOOST_TEST_CONTEXT(u.name << " of " << name_of(dtype) << " " << to_string(shape)) {
          const Tensor x = random(shape, dtype, u.lo, u.hi);
          const std::vector<double> in = numbers(x);
          std::array<std::vector<double>, 3> expected;
          for (const double v : in) {
            expected[0].push_back(u.value(v));
            expected[1].push_back(u.slope(v));
            expected[2].push_back(u.curvature(v));
          }
          const double tolerance = tolerance_of(dtype, 1e-5, 1e-12);
          check_tensor(u.op(x), shape, expected[0], tolerance_of(dtype, 2e-6, 1e-14));
          check_tensor(derivative(u.op, x, 1), shape, expected[1], tolerance);
          if (u.name != std::string("neg"))
            check_tensor(derivative(u.op, x, 2), shape, expected[2], tolerance);
        }
      }
}

BOOST_AUTO_TEST_CASE(binary_ops_broadcast) {
  for (const Binary& b : kBinary)
    for (const Dtype dtype : {f32, f64, i64})
      for (const Pair& p : kPairs) {
        if (dtype == i64 && !b.integers) continue;
        BOOST_TEST_CONTEXT(b.name << " of " << name_of(dtype) << " " << to_string(p.a) << to_string(p.b)) {
          const Tensor x = random(p.a, dtype, -3, 3, 1);
          const Tensor y = random(p.b, dtype, -3, 3, 2);
          const std::vector<double> u = numbers(x), v = numbers(y);
          const auto i = broadcast_index(p.a, p.out), j = broadcast_index(p.b, p.out);
          std::vector<double> expected;
          for (std::size_t k = 0; k < i.size(); ++k) expected.push_back(b.value(u[i[k]], v[j[k]]));
          check_tensor(b.op(x, y), p.out, expected);
          BOOST_TEST(name_of(b.op(x, y).dtype()) == name_of(dtype));
        }
      }
}

BOOST_AUTO_TEST_CASE(broadcast_gradients_are_summed) {
  for (const Pair& p : kPairs)
    for (const bool recorded : {false, true}) {
      BOOST_TEST_CONTEXT(to_string(p.a) << to_string(p.b) << (recorded ? " recorded" : "")) {
        const Tensor a = random(p.a, f64, 0.5, 2, 1), b = random(p.b, f64, 0.5, 2, 2),
                     seed = random(p.out, f64, -1, 1, 3);
        Tape tape;
        const std::vector<Tensor> leaves{tape.watch(a), tape.watch(b)};
        const std::vector<Tensor> g =
            tape.grad(leaves[0] / leaves[1] + leaves[0], leaves, {seed, recorded ? Record::yes : Record::no});
        const std::vector<double> u = numbers(a), v = numbers(b), s = numbers(seed);
        const auto i = broadcast_index(p.a, p.out), j = broadcast_index(p.b, p.out);
        std::vector<double> ga(u.size()), gb(v.size());
        for (std::size_t k = 0; k < i.size(); ++k) {
          ga[i[k]] += s[k] / v[j[k]] + s[k];
          gb[j[k]] -= s[k] * u[i[k]] / (v[j[k]] * v[j[k]]);
        }
        check_tensor(g[0], p.a, ga, 1e-12);
        check_tensor(g[1], p.b, gb, 1e-12);
      }
    }
}

BOOST_AUTO_TEST_CASE(a_broadcast_gradient_in_f32_keeps_its_digits) {
  // 200,000 rows; summed one by one the gradient of the vector would lose three digits.
  const Shape shape{200000, 3};
  const Tensor x = random(shape, f32, 0.9, 1.1);
  Tape tape;
  const Tensor scale = tape.watch(Tensor::ones({3}, f32)), shift = tape.watch(Tensor::ones({3}, f32));
  const Tensor one = tape.watch(Tensor::ones({}, f32));
  const Gradients g = tape.backward(sum((x * scale + shift * x) * one));
  std::array<double, 3> expected{};
  const std::vector<double> v = numbers(x);
  for (std::size_t i = 0; i < v.size(); ++i) expected[i % 3] += v[i];
  for (std::size_t j = 0; j < 3; ++j) {
    BOOST_TEST(near(numbers(g[scale])[j] / expected[j], 1, 1e-6));
    BOOST_TEST(near(numbers(g[shift])[j] / expected[j], 1, 1e-6));
  }
  BOOST_TEST(near(g[one].item() / (2 * (expected[0] + expected[1] + expected[2])), 1, 1e-6));
}

BOOST_AUTO_TEST_CASE(where_selects_by_conditions_of_any_dtype) {
  const Tensor a = random({2, 1, 3}, f64, -2, 2, 1), b = random({4, 1}, f64, -2, 2, 2);
  const Tensor c = Tensor::from({1, 0, 0.5, 0, -1, kNan, 0, 0, 1e-320, 0, 0, 3}, {4, 3}, f64);
  const auto i = broadcast_index({2, 1, 3}, {2, 4, 3}), j = broadcast_index({4, 1}, {2, 4, 3}),
             k = broadcast_index({4, 3}, {2, 4, 3});
  std::vector<double> expected, ga(6), gb(4);
  for (std::size_t n = 0; n < i.size(); ++n) {
    const bool first = numbers(c)[k[n]] != 0;
    expected.push_back(first ? numbers(a)[i[n]] : numbers(b)[j[n]]);
    (first ? ga[i[n]] : gb[j[n]]) += 1;
  }
  check_tensor(where(c, a, b), {2, 4, 3}, expected);
  check_tensor(where(c, cast(a, f32), cast(b, f32)), {2, 4, 3}, expected, 1e-6);
  check_tensor(derivative([&](const Tensor& x) { return where(c, x, b); }, a), {2, 1, 3}, ga);
  check_tensor(derivative([&](const Tensor& x) { return where(c, a, x); }, b), {4, 1}, gb);
  check_tensor(where(Tensor::from({0.5, 0, kNan}, f32), Tensor::from({1, 2, 3}, i64), 7), {3}, {1, 7, 3});
  check_tensor(where(Tensor::from({0, 2}, i64), 7, Tensor::from({1, 2}, f32)), {2}, {1, 7});
}

BOOST_AUTO_TEST_CASE(operators_take_numbers_on_either_side) {
  const Tensor x = Tensor::from({1, -2, 4}, f64);
  check_tensor(x + 1, {3}, {2, -1, 5});
  check_tensor(1 + x, {3}, {2, -1, 5});
  check_tensor(x - 1, {3}, {0, -3, 3});
  check_tensor(1 - x, {3}, {0, 3, -3});
  check_tensor(x * 3, {3}, {3, -6, 12});
  check_tensor(3 * x, {3}, {3, -6, 12});
  check_tensor(x / 4, {3}, {0.25, -0.5, 1});
  check_tensor(4 / x, {3}, {4, -2, 1});
  check_tensor(-x, {3}, {-1, 2, -4});
  check_tensor(x == 1, {3}, {1, 0, 0});
  check_tensor(x != 1, {3}, {0, 1, 1});
  check_tensor(x < 1, {3}, {0, 1, 0});
  check_tensor(x <= 1, {3}, {1, 1, 0});
  check_tensor(x > 1, {3}, {0, 0, 1});
  check_tensor(x >= 1, {3}, {1, 0, 1});
  check_tensor(maximum(x, 2), {3}, {2, 2, 4});
  check_tensor(minimum(x, 2), {3}, {1, -2, 2});
  const Tensor n = Tensor::from({7, -2}, i64);
  check_tensor(3 - 2 * n + 1, {2}, {-10, 8});
  BOOST_TEST(name_of((3 - 2 * n).dtype()) == "i64");
  BOOST_CHECK_EXCEPTION(n * 2.5, DtypeError, mentions("mul", "2.5", "i64"));
  BOOST_CHECK_EXCEPTION((void)(n > 2.5), DtypeError, mentions("2.5"));
  BOOST_CHECK_EXCEPTION(n / 2, DtypeError, mentions("div", "i64", "cast"));
  BOOST_CHECK_EXCEPTION(exp(n), DtypeError, mentions("exp", "i64"));
}

BOOST_AUTO_TEST_CASE(integers_wrap_around) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max(),
                         kLeast = std::numeric_limits<std::int64_t>::min();
  const Tensor x = Tensor::from(std::vector<std::int64_t>{kMost, kLeast});
  BOOST_TEST((x + 1).to_vector<std::int64_t>()[0] == kLeast);
  BOOST_TEST((x - 1).to_vector<std::int64_t>()[1] == kMost);
  BOOST_TEST((-x).to_vector<std::int64_t>()[1] == kLeast);
  BOOST_TEST(abs(x).to_vector<std::int64_t>()[1] == kLeast);
  BOOST_TEST(square(x).to_vector<std::int64_t>()[0] == 1);
  BOOST_TEST(sum(x).to_vector<std::int64_t>()[0] == -1);
  check_tensor(clamp(Tensor::from({-5, 0, 5}, i64), -1, 3), {3}, {-1, 0, 3});
  check_tensor(sign(Tensor::from({-5, 0, 5}, i64)), {3}, {-1, 0, 1});
}

BOOST_AUTO_TEST_CASE(conventions_at_kinks_and_ties) {
  const auto at = [](auto&& f, std::initializer_list<double> x) {
    return numbers(derivative(f, Tensor::from(x, f64)));
  };
  const Tensor zeros = Tensor::zeros({3}, f64);
  using V = std::vector<double>;
  BOOST_TEST(at([](const Tensor& x) { return abs(x); }, {-1, 0, 2}) == (V{-1, 0, 1}));
  BOOST_TEST(at([](const Tensor& x) { return clamp(x, -1, 1); }, {-2, -1, 0, 1, 2}) == (V{0, 1, 1, 1, 0}));
  BOOST_TEST(at([&](const Tensor& x) { return maximum(x, zeros); }, {-1, 0, 2}) == (V{0, 0.5, 1}));
  BOOST_TEST(at([&](const Tensor& x) { return maximum(zeros, x); }, {-1, 0, 2}) == (V{0, 0.5, 1}));
  BOOST_TEST(at([&](const Tensor& x) { return minimum(x, zeros); }, {-1, 0, 2}) == (V{1, 0.5, 0}));
  BOOST_TEST(at([&](const Tensor& x) { return minimum(zeros, x); }, {-1, 0, 2}) == (V{1, 0.5, 0}));
  BOOST_TEST(at([](const Tensor& x) { return sqrt(x); }, {0})[0] == kInf);
}

BOOST_AUTO_TEST_CASE(pow_at_zero) {
  const Tensor x = Tensor::from({0, 0, 0, 0, 2, -2}, f64), y = Tensor::from({0, 1, 2, -1, 0, 3}, f64);
  check_tensor(pow(x, y), {6}, {1, 0, 0, kInf, 1, -8});
  check_tensor(derivative([&](const Tensor& a) { return pow(a, y); }, x), {6}, {0, 1, 0, -kInf, 0, 12});
  const Tensor base = Tensor::from({0, 0, 0, 2}, f64), exponent = Tensor::from({0, 1.5, -1, 3}, f64);
  const auto in_exponent = [&](const Tensor& b) { return pow(base, b); };
  check_tensor(derivative(in_exponent, exponent), {4}, {0, 0, -kInf, 8 * std::log(2.)});
  // d/db d/da a^b at b = 0 is 1 / a.
  Tape tape;
  const Tensor a = tape.watch(Tensor::scalar(4, f64)), b = tape.watch(Tensor::scalar(0, f64));
  const Tensor slope = tape.grad(pow(a, b), a, {.record = Record::yes});
  BOOST_TEST(slope.item() == 0);
  BOOST_TEST(tape.grad(slope, b).item() == 0.25);
  for (const double c : {0., 1., 2., 3.})
    BOOST_TEST(derivative([&](const Tensor& v) { return pow(v, c); }, Tensor::scalar(0, f64), 2).item() ==
               (c == 2 ? 2 : 0));
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_pass) {
  const Tensor x = Tensor::from({kNan, 1, kInf, -kInf}, f64), zero = Tensor::zeros({}, f64);
  check_tensor(maximum(x, zero), {4}, {kNan, 1, kInf, 0});
  check_tensor(maximum(zero, x), {4}, {kNan, 1, kInf, 0});
  check_tensor(minimum(x, zero), {4}, {kNan, 0, 0, -kInf});
  check_tensor(minimum(zero, x), {4}, {kNan, 0, 0, -kInf});
  check_tensor(clamp(x, -1, 2), {4}, {kNan, 1, 2, -1});
  check_tensor(abs(x), {4}, {kNan, 1, kInf, kInf});
  check_tensor(1 / zero, {}, {kInf});
  check_tensor(x == x, {4}, {0, 1, 1, 1});
  check_tensor(log(Tensor::from({0, -1}, f64)), {2}, {-kInf, kNan});
  BOOST_TEST(std::signbit(numbers(neg(zero))[0]));
  BOOST_TEST(!std::signbit(numbers(abs(-zero))[0]));
}

BOOST_AUTO_TEST_CASE(cast_converts) {
  const Tensor x = Tensor::from({1.75, -1.75, 0.1}, f64);
  check_tensor(cast(x, i64), {3}, {1, -1, 0});
  check_tensor(cast(x, f32), {3}, {1.75, -1.75, static_cast<double>(0.1f)}, 0);
  check_tensor(cast(Tensor::from({3, -4}, i64), f64), {2}, {3, -4});
  BOOST_CHECK_EXCEPTION(cast(Tensor::from({1, 1e19}, f64), i64), ArgumentError,
                        mentions("cast", "1e+19", "index 1"));
  BOOST_CHECK_THROW(cast(Tensor::from({kNan}, f32), i64), ArgumentError);
  check_tensor(derivative([](const Tensor& v) { return square(cast(v, f64)); }, Tensor::from({3, -1}, f32)),
               {2}, {6, -2});
}

BOOST_AUTO_TEST_CASE(errors_name_the_op_and_the_shapes) {
  const Tensor a = Tensor::zeros({2, 3}), b = Tensor::zeros({4});
  BOOST_CHECK_EXCEPTION(a + b, ShapeError, mentions("add", "[2, 3]", "[4]"));
  BOOST_CHECK_EXCEPTION(pow(a, b), ShapeError, mentions("pow", "[2, 3]", "[4]"));
  BOOST_CHECK_EXCEPTION(where(a, a, b), ShapeError, mentions("where", "[2, 3]", "[4]"));
  BOOST_CHECK_EXCEPTION(a * Tensor::zeros({2, 3}, f64), DtypeError, mentions("mul", "f32", "f64", "cast"));
  BOOST_CHECK_EXCEPTION(a + Tensor(), ArgumentError, mentions("add", "undefined"));
  BOOST_CHECK_EXCEPTION(clamp(a, 2, 1), ArgumentError, mentions("clamp", "lo 2", "hi 1", "must not"));
  BOOST_CHECK_THROW(clamp(a, kNan, 1), ArgumentError);
  const NameScope scope("net");
  BOOST_CHECK_EXCEPTION(a + b, ShapeError, mentions("add 'net'"));
}

// The mixed second derivative a^(b - 1) (1 + b ln a) from both sides, also where a^b leaves the range.
BOOST_AUTO_TEST_CASE(both_mixed_derivatives_of_a_power_agree) {
  for (const auto& [a, b] : std::vector<std::pair<double, double>>{{1e-200, 2},
                                                                   {1e-150, 3},
                                                                   {1e150, 2.7},
                                                                   {1e200, 2},
                                                                   {2, -1.5},
                                                                   {0.3, 0},
                                                                   {1e-100, -2.5},
                                                                   {1e300, 1.02},
                                                                   {7, 400},
                                                                   {1e-160, 2}}) {
    Tape tape;
    const Tensor x = tape.watch(Tensor::from({a}, f64)), y = tape.watch(Tensor::from({b}, f64));
    const std::vector<Tensor> g = tape.grad(sum(pow(x, y)), {x, y}, {.record = Record::yes});
    const long double wide = a;
    const auto expected =
        static_cast<double>(std::pow(wide, static_cast<long double>(b) - 1) * (1 + b * std::log(wide)));
    BOOST_TEST_CONTEXT("pow(" << a << ", " << b << ")") {
      check_tensor(tape.grad(sum(g[0]), y), {1}, {expected}, 1e-12);
      check_tensor(tape.grad(sum(g[1]), x), {1}, {expected}, 1e-12);
      const auto slope = static_cast<double>(std::pow(wide, static_cast<long double>(b)) * std::log(wide));
      if (std::abs(slope) < 1e308) check_tensor(g[1].detach(), {1}, {slope}, 1e-12);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace math_test
