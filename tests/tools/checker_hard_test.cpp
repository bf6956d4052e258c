// Right functions that differences have a hard time with: none is called wrong, at any order, in any mode.

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "wrong_rules.h"

namespace checker_hard_test {

using namespace test_gradcheck;
using gradcheck::check;

namespace {

struct Hard {
  const char* name;
  std::function<Tensor(std::span<const Tensor>)> f;
  std::vector<Shape> shapes;
  double lo = -2, hi = 2;
  int order = 2;
  bool f32 = true;  ///< false where all digits of f32 cancel
  /// What can be decided: rounding inside the function, multiplied by how fast it turns, hides the digits
  /// beyond.
  double rtol = 1e-8;
};

Tensor normalised(const Tensor& x) {  // by column, as a batch normalisation
  const Tensor centred = x - mean(x, {0}, KeepDims::yes);
  return centred / sqrt(mean(square(centred), {0}, KeepDims::yes) + 1e-5);
}

std::vector<Hard> hard_functions() {
  using In = std::span<const Tensor>;
  return {
      {"fast oscillation", [](In x) { return sin(1e6 * x[0]); }, {{3}}, -2, 2, 2, true, 1e-5},
      {"oscillation beside a slope",
       [](In x) { return x[0] + 1e-6 * sin(1e6 * x[0]); },
       {{3}},
       -2,
       2,
       2,
       true,
       1e-5},
      {"far out", [](In x) { return cos(1e8 * x[0]); }, {{3}}, 1, 2, 1, true, 1e-4},
      {"absorbed", [](In x) { return (x[0] + 1e5) - 1e5; }, {{3}}, 1, 2, 1, false, 1e-6},
      {"through f32", [](In x) { return sum(square(cast(cast(x[0], f32), f64))); }, {{4}}, -2, 2, 1},
      {"small of a difference", [](In x) { return 1 - cos(1e-4 * x[0]); }, {{4}}, -2, 2, 2, false},
      {"bias before a normalisation", [](In x) { return tanh(normalised(x[0] + x[1])); }, {{6, 3}, {3}}},
      {"normalised twice", [](In x) { return normalised(normalised(x[0]) * x[1]); }, {{6, 3}, {3}}},
      {"chain",
       [](In x) {
         Tensor y = x[0];
         for (int i = 0; i < 12; ++i) y = tanh(1.5 * y);
         return y;
       },
       {{4}},
       -2,
       2,
       3},
      {"recurrent",
       [](In x) {
         Tensor h = x[0];
         for (int i = 0; i < 8; ++i) h = tanh(matmul(h, x[1]));
         return sum(h);
       },
       {{2, 3}, {3, 3}},
       -1,
       1,
       2},
      {"logistic map",
       [](In x) {
         Tensor y = x[0];
         for (int i = 0; i < 8; ++i) y = 3.9 * y * (1 - y);
         return y;
       },
       {{3}},
       0.1,
       0.9,
       2},
      {"steep sigmoid", [](In x) { return sigmoid(200 * x[0]); }, {{5}}},
      {"powers", [](In x) { return pow(abs(x[0]) + 0.1, 7.5); }, {{4}}},
      {"quotient near a pole", [](In x) { return 1 / (x[0] + 2.001); }, {{4}}},
      {"large offset", [](In x) { return sum(exp(x[0])) + 1e9; }, {{4}}},
      {"quotient", [](In x) { return x[0] / x[1]; }, {{5}, {5}}, 0.5, 2, 3},
      {"kinks", [](In x) { return relu(x[0]) + abs(x[1]); }, {{5}, {5}}},
      {"sin^2 + cos^2", [](In x) { return square(sin(x[0])) + square(cos(x[0])); }, {{4}}},
      {"sum of a softmax", [](In x) { return sum(softmax(x[0])); }, {{3, 4}}},
      {"log of exp", [](In x) { return log(exp(x[0])) - x[0]; }, {{4}}},
      {"cosh^2 - sinh^2", [](In x) { return square(cosh(x[0])) - square(sinh(x[0])); }, {{4}}},
      {"nothing left", [](In x) { return (x[0] * 3 - x[0] * 2) - x[0]; }, {{4}}},
      {"exp of a cast through f32",
       [](In x) { return exp(cast(cast(x[0], f32), f64)); },
       {{4}},
       -2,
       2,
       2,
       true,
       1e-4},
      {"loss",
       [](In x) { return logsumexp(matmul(tanh(matmul(x[0], x[1])), x[2])); },
       {{4, 3}, {3, 5}, {5, 2}},
       -1,
       1,
       2},
  };
}

// CHECKER_SEEDS=40 runs more.
int seeds() {
  const char* given = std::getenv("CHECKER_SEEDS");
  return given ? std::atoi(given) : 2;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_hard)

BOOST_AUTO_TEST_CASE(no_right_function_is_called_wrong) {
  for (const Hard& h : hard_functions())
    for (int seed = 0; seed < seeds(); ++seed) {
      Generator g(static_cast<std::uint64_t>(seed), 5);
      std::vector<Tensor> in;
      for (const Shape& s : h.shapes) in.push_back(uniform(s, g, h.lo, h.hi, f64));
      for (const Mode mode : kModes) {
        const Report r = check(h.f, in,
                               {.rtol = h.rtol,
                                .order = h.order,
                                .mode = mode,
                                .seed = static_cast<std::uint64_t>(seed),
                                .f32 = h.f32});
        BOOST_TEST(r.count(Verdict::fail) + r.count(Verdict::inconclusive) == 0u,
                   h.name << ", seed " << seed << ", mode " << static_cast<int>(mode) << ": " << r.text());
      }
    }
}

// Where terms cancel, what is left is rounding, and shows nothing: neither right nor wrong, nor uncertain.
BOOST_AUTO_TEST_CASE(what_cancels_is_zero) {
  const auto pythagoras = [](const Tensor& x) { return square(sin(x)) + square(cos(x)); };
  const auto shares = [](const Tensor& x) { return sum(softmax(x)); };
  const auto nothing = [](const Tensor& x) { return (x * 3 - x * 2) - x; };
  for (int seed = 0; seed < seeds(); ++seed) {
    Generator g(static_cast<std::uint64_t>(seed), 9);
    const Tensor x = uniform({3, 4}, g, -2, 2, f64);
    for (const Mode mode : kModes) {
      const Options options{.order = 2, .mode = mode, .seed = static_cast<std::uint64_t>(seed)};
      for (const Report& r :
           {check(pythagoras, {x}, options), check(shares, {x}, options), check(nothing, {x}, options)})
        BOOST_TEST(gradcheck::name_of(r.verdict()) == "ZERO", r.text());
    }
  }
}

// Rounding inside these hides all but a few digits: to the usual tolerance they are undecided, to a coarser
// one right, and what is wrong in the digits that can be seen is wrong in both.
BOOST_AUTO_TEST_CASE(few_digits_can_be_seen) {
  const auto through_f32 = [](double wrong) {
    return [wrong](const Tensor& x) { return exp(cast(cast(x, f32), f64)) + wrong * (x - x.detach()); };
  };
  const auto oscillation = [](double wrong) {
    return [wrong](const Tensor& x) { return sin(1e6 * x) + 1e6 * wrong * (x - x.detach()); };
  };
  for (int seed = 0; seed < seeds(); ++seed) {
    Generator g(static_cast<std::uint64_t>(seed), 11);
    const Tensor x = uniform({4}, g, -2, 2, f64);
    for (const Mode mode : kModes)
      for (const double rtol : {1e-8, 1e-4}) {
        const Options options{
            .rtol = rtol, .mode = mode, .seed = static_cast<std::uint64_t>(seed), .f32 = false};
        for (const Report& r : {check(through_f32(0), {x}, options), check(oscillation(0), {x}, options)})
          BOOST_TEST((rtol > 1e-8 ? r.ok() : r.count(Verdict::fail) == 0), r.text());
        CHECK_REJECTED(check(through_f32(0.01), {x}, options));
        CHECK_REJECTED(check(oscillation(0.01), {x}, options));
      }
  }
}

// The twin of the above: a wrong derivative that no cancelling hides.
BOOST_AUTO_TEST_CASE(what_does_not_cancel_is_wrong) {
  for (const double wrong : {1e-9, -1e-9}) {
    const auto pythagoras = [&](const Tensor& x) {
      return square(sin(x)) + square(cos(x)) + wrong * (x - x.detach());
    };
    for (const Mode mode : kModes) {
      const Report r = check(pythagoras, {some({4})}, {.mode = mode, .properties = false});
      BOOST_TEST(gradcheck::name_of(r.verdict()) == "FAIL", r.text());
    }
  }
}

BOOST_AUTO_TEST_CASE(gradient_penalty) {
  const auto penalty = [](const Tensor& x, const Tensor& w) {
    const auto inner = [&](const Tensor& t) { return sum(tanh(matmul(t, w))); };
    return sum(square(gradient(inner, x)));
  };
  for (int seed = 0; seed < seeds(); ++seed) {
    Generator g(static_cast<std::uint64_t>(seed), 6);
    const std::vector<Tensor> in{uniform({3, 4}, g, -1, 1, f64), uniform({4, 2}, g, -1, 1, f64)};
    for (const Mode mode : kModes) {
      const Report r = check(penalty, in, {.mode = mode, .seed = static_cast<std::uint64_t>(seed)});
      BOOST_TEST(r.count(Verdict::fail) == 0u, r.text());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_hard_test
