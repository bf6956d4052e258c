#include <array>
#include <string_view>

#include "op_support.h"

namespace activation_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * 3.14159265358979323846); }
double normal(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.)); }

struct Activation {
  const char* name;
  Tensor (*op)(const Tensor&);
  double (*value)(double);
  double (*slope)(double);
  double (*curvature)(double);
};

const std::array kActivations{
    Activation{"relu", relu, [](double x) { return x > 0 ? x : 0; }, [](double x) { return x > 0 ? 1. : 0.; },
               [](double) { return 0.; }},
    Activation{"leaky_relu", [](const Tensor& x) { return leaky_relu(x); },
               [](double x) { return x > 0 ? x : 0.01 * x; }, [](double x) { return x > 0 ? 1 : 0.01; },
               [](double) { return 0.; }},
    Activation{"leaky_relu 0.3", [](const Tensor& x) { return leaky_relu(x, 0.3); },
               [](double x) { return x > 0 ? x : 0.3 * x; }, [](double x) { return x > 0 ? 1 : 0.3; },
               [](double) { return 0.; }},
    Activation{
        "elu", [](const Tensor& x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); },
        [](double x) { return x > 0 ? 1 : std::exp(x); }, [](double x) { return x > 0 ? 0 : std::exp(x); }},
    Activation{"elu 2", [](const Tensor& x) { return elu(x, 2); },
               [](double x) { return x > 0 ? x : 2 * std::expm1(x); },
               [](double x) { return x > 0 ? 1 : 2 * std::exp(x); },
               [](double x) { return x > 0 ? 0 : 2 * std::exp(x); }},
    Activation{"sigmoid", sigmoid, logistic, [](double x) { return logistic(x) * logistic(-x); },
               [](double x) { return logistic(x) * logistic(-x) * (logistic(-x) - logistic(x)); }},
    Activation{"tanh", tanh, [](double x) { return std::tanh(x); },
               [](double x) { return 1 / std::pow(std::cosh(x), 2); },
               [](double x) { return -2 * std::tanh(x) / std::pow(std::cosh(x), 2); }},
    Activation{"softplus", [](const Tensor& x) { return softplus(x); },
               [](double x) { return std::log(1 + std::exp(x)); }, logistic,
               [](double x) { return logistic(x) * logistic(-x); }},
    Activation{"gelu", gelu, [](double x) { return x * normal(x); },
               [](double x) { return normal(x) + x * density(x); },
               [](double x) { return (2 - x * x) * density(x); }},
    Activation{"silu", silu, [](double x) { return x * logistic(x); },
               [](double x) { return logistic(x) * (1 + x * logistic(-x)); },
               [](double x) {
                 const double s = logistic(x), d = s * (1 - s);
                 return d * (2 + x * (1 - 2 * s));
               }},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(activation)

BOOST_AUTO_TEST_CASE(values_and_two_derivatives) {
  for (const Activation& a : kActivations)
    for (const Dtype dtype : {f32, f64})
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{5, 7}, Shape{1031}, Shape{3, 0}}) {
        BOOST_TEST_CONTEXT(a.name << " of " << name_of(dtype) << " " << to_string(shape)) {
          const Tensor x = random(shape, dtype, -4, 4);
          std::vector<double> value, slope, curvature;
          for (const double v : numbers(x)) {
            value.push_back(a.value(v));
            slope.push_back(a.slope(v));
            curvature.push_back(a.curvature(v));
          }
          check_tensor(a.op(x), shape, value);
          check_tensor(derivative(a.op, x, 1), shape, slope);
          check_tensor(derivative(a.op, x, 2), shape, curvature);
        }
      }
}

BOOST_AUTO_TEST_CASE(kinks_follow_pytorch) {
  const Tensor zero = Tensor::scalar(0, f64);
  BOOST_TEST(derivative(relu, zero).item() == 0);
  BOOST_TEST(derivative([](const Tensor& x) { return leaky_relu(x, 0.25); }, zero).item() == 0.25);
  BOOST_TEST(derivative([](const Tensor& x) { return elu(x, 3); }, zero).item() == 3);
  check_tensor(step(Tensor::from({-1, 0, 2})), {3}, {0, 0, 1});
}

BOOST_AUTO_TEST_CASE(no_gradient_passes_where_a_function_is_flat) {
  for (const auto& f : {relu, relu6, hardsigmoid, hardswish})
    for (const double g : {1.0, kInf, kNan}) {
      Tape tape;
      const Tensor x = tape.watch(Tensor::from({-5, -7}, f64));
      check_tensor(tape.backward(f(x), Tensor::full({2}, g, f64))[x], {2}, {0, 0});
    }
}

BOOST_AUTO_TEST_CASE(far_from_zero_nothing_overflows) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor x = Tensor::from({-1000, 1000}, dtype);
    check_tensor(sigmoid(x), {2}, {0, 1}, 0);
    check_tensor(tanh(x), {2}, {-1, 1}, 0);
    check_tensor(softplus(x), {2}, {0, 1000}, 0);
    check_tensor(silu(x), {2}, {0, 1000}, 0);
    check_tensor(gelu(x), {2}, {0, 1000}, 0);
    check_tensor(elu(x), {2}, {-1, 1000}, 0);
    for (const Activation& a : kActivations)
      for (const int order : {1, 2, 3}) {
        BOOST_TEST_CONTEXT(a.name << " of " << name_of(dtype) << ", derivative " << order) {
          const bool leaky = std::string_view(a.name).starts_with("leaky");
          const std::vector<double> d = numbers(derivative(a.op, x, order));
          BOOST_TEST(d[0] == (leaky && order == 1 ? a.slope(-1) : 0), boost::test_tools::tolerance(1e-7));
          BOOST_TEST(d[1] == (order == 1 && a.slope(9) > 0.5 ? 1 : 0));
        }
      }
  }
  // In the left tail the digits are kept: Phi(-8) is 6.2e-16.
  check_tensor(gelu(Tensor::scalar(-8, f64)) * 1e15, {}, {-8 * 6.220960574271785e-16 * 1e15}, 1e-12);
}

BOOST_AUTO_TEST_CASE(nan_passes) {
  for (const Activation& a : kActivations)
    BOOST_TEST(std::isnan(a.op(Tensor::scalar(kNan, f32)).item()), a.name);
}

BOOST_AUTO_TEST_CASE(a_step_is_a_constant) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({2}));
  BOOST_TEST(!step(x).tracked());
  BOOST_TEST(identity(x).tracked());
  BOOST_CHECK_EXCEPTION(tape.backward(sum(step(x))), NotTracked, mentions("[]"));
}

BOOST_AUTO_TEST_CASE(a_number_that_the_dtype_does_not_hold_is_an_error) {
  const Tensor x = Tensor::from({1, 0, -1});
  BOOST_CHECK_EXCEPTION(softplus(x, 1e40), ArgumentError, mentions("softplus", "beta", "1e+40", "f32"));
  BOOST_CHECK_EXCEPTION(elu(x, 1e39), ArgumentError, mentions("elu", "alpha", "f32"));
  BOOST_CHECK_EXCEPTION(softplus(x, 1e-50), ArgumentError, mentions("softplus", "beta", "1e-50", "f32"));
  BOOST_CHECK_EXCEPTION(leaky_relu(x, kNan), ArgumentError, mentions("leaky_relu", "slope", "nan"));
  for (const double y : numbers(softplus(cast(x, f64), 1e40))) BOOST_TEST(std::isfinite(y));
}

BOOST_AUTO_TEST_CASE(errors_name_the_op) {
  for (const Activation& a : kActivations) {
    const std::string_view label(a.name);
    const std::string_view name = label.substr(0, label.find(' '));
    BOOST_CHECK_EXCEPTION(a.op(Tensor::zeros({2}, i64)), DtypeError, mentions(name, "i64"));
    BOOST_CHECK_EXCEPTION(a.op(Tensor()), ArgumentError, mentions(name, "undefined"));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace activation_test
