#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/init.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace init_test {

using namespace tapegrad;
using nn::Init;
using test::mentions;

BOOST_AUTO_TEST_SUITE(init)

namespace {

struct Moments {
  double mean = 0;
  double stddev = 0;
  double lowest = 0;
  double highest = 0;
};

Moments moments_of(const Tensor& t) {
  const std::vector<double> x = t.to_vector<double>();
  Moments m;
  m.lowest = m.highest = x.at(0);
  for (const double v : x) {
    m.mean += v / static_cast<double>(x.size());
    m.lowest = std::min(m.lowest, v);
    m.highest = std::max(m.highest, v);
  }
  for (const double v : x) m.stddev += (v - m.mean) * (v - m.mean) / static_cast<double>(x.size());
  m.stddev = std::sqrt(m.stddev);
  return m;
}

constexpr std::int64_t kIn = 300;
constexpr std::int64_t kOut = 200;

Moments drawn(const Init& init) {
  Generator generator(7);
  return moments_of(init({kIn, kOut}, generator, f64));
}

// Of 60,000 values the standard deviation of the mean is s / 245, that of the standard deviation below s / 340:
// five of them are allowed.
void check_normal(const Init& init, double stddev) {
  const Moments m = drawn(init);
  BOOST_TEST(std::abs(m.mean) < 5 * stddev / 245);
  BOOST_TEST(std::abs(m.stddev / stddev - 1) < 5.0 / 340);
  BOOST_TEST(m.highest > 3.5 * stddev);  // a uniform of this standard deviation ends at 1.73
  BOOST_TEST(m.lowest < -3.5 * stddev);
}

void check_uniform(const Init& init, double bound) {
  const Moments m = drawn(init);
  const double stddev = bound / std::sqrt(3.0);
  BOOST_TEST(std::abs(m.mean) < 5 * stddev / 245);
  BOOST_TEST(std::abs(m.stddev / stddev - 1) < 5.0 / 340);
  BOOST_TEST(m.highest < bound);
  BOOST_TEST(m.highest > 0.999 * bound);
  BOOST_TEST(m.lowest >= -bound);
  BOOST_TEST(m.lowest < -0.999 * bound);
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_kind_has_the_distribution_of_its_formula) {
  check_normal(Init::normal(0.01), 0.01);
  check_normal(Init::xavier(), std::sqrt(2.0 / 500));
  check_normal(Init::xavier(5.0 / 3), 5.0 / 3 * std::sqrt(2.0 / 500));
  check_normal(Init::he(), std::sqrt(2.0 / 300));
  check_normal(Init::he(0.5), std::sqrt(2.0 / 1.25 / 300));
  check_uniform(Init::uniform(0.2), 0.2);
  check_uniform(Init::xavier_uniform(), std::sqrt(6.0 / 500));
  check_uniform(Init::he_uniform(), std::sqrt(6.0 / 300));
  check_uniform(Init::he_uniform(0.5), std::sqrt(6.0 / 1.25 / 300));
  const Moments m = drawn(Init::constant(-2.5));
  BOOST_TEST(m.lowest == -2.5);
  BOOST_TEST(m.highest == -2.5);
}

BOOST_AUTO_TEST_CASE(xavier_of_a_square_weight_is_one_over_the_root_of_its_inputs) {
  Generator a(1);
  Generator b(1);
  const auto x = Init::xavier()({100, 100}, a, f64).to_vector<double>();
  const auto y = Init::normal(0.1)({100, 100}, b, f64).to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) BOOST_REQUIRE_SMALL(x[i] - y[i], 1e-15);
}

BOOST_AUTO_TEST_CASE(the_same_generator_state_gives_the_same_values) {
  for (const char* text : {"std:0.1", "uniform:0.1", "xavier", "xavier-uniform", "he", "he-uniform"}) {
    BOOST_TEST(Init::forms().find(std::string(text).substr(0, std::string(text).find(':'))) !=
               std::string::npos);
    const Init init = Init::parse(text);
    Generator a(3);
    Generator b(3);
    const auto first = init({4, 5}, a).to_vector<float>();
    BOOST_TEST(first == init({4, 5}, b).to_vector<float>());
    BOOST_TEST(first != init({4, 5}, a).to_vector<float>());  // the generator has moved on
  }
}

BOOST_AUTO_TEST_CASE(text_gives_the_same_as_the_function) {
  BOOST_CHECK(Init::parse("std:0.01") == Init::normal(0.01));
  BOOST_CHECK(Init::parse("uniform:2") == Init::uniform(2));
  BOOST_CHECK(Init::parse("constant:-1e-3") == Init::constant(-1e-3));
  BOOST_CHECK(Init::parse("xavier") == Init::xavier());
  BOOST_CHECK(Init::parse("xavier:1.5") == Init::xavier(1.5));
  BOOST_CHECK(Init::parse("xavier-uniform") == Init::xavier_uniform());
  BOOST_CHECK(Init::parse("he") == Init::he());
  BOOST_CHECK(Init::parse("he-uniform:0.01") == Init::he_uniform(0.01));
  BOOST_CHECK(!(Init::he() == Init::xavier()));
  for (const char* text : {"std:0.01", "uniform:0.25", "constant:0", "xavier", "xavier:1.5", "xavier-uniform",
                           "he", "he:0.01", "he-uniform"})
    BOOST_TEST(Init::parse(text).text() == text);
}

BOOST_AUTO_TEST_CASE(bad_text_is_refused_with_what_there_is) {
  for (const char* text : {"", "normal", "He", "he ", "xavier-normal", ":0.1"})
    BOOST_CHECK_EXCEPTION(Init::parse(text), ArgumentError, mentions(text, "std:", "xavier-uniform", "he"));
  BOOST_CHECK_EXCEPTION(Init::parse("std"), ArgumentError, mentions("'std' needs its stddev"));
  for (const char* text : {"std:", "std:x", "std:0.1x", "std:0.1 ", "he:"})
    BOOST_CHECK_EXCEPTION(Init::parse(text), ArgumentError, mentions(text, "not a number"));
  for (const char* text : {"std:-0.1", "std:nan", "std:inf", "uniform:-1", "constant:inf", "he:-1"})
    BOOST_CHECK_EXCEPTION(Init::parse(text), ArgumentError, mentions("finite"));
}

BOOST_AUTO_TEST_CASE(a_fan_is_asked_of_weights_only) {
  Generator g;
  BOOST_CHECK_EXCEPTION(Init::he()({5}, g), ShapeError, mentions("'he'", "[in, out]", "[5]"));
  BOOST_CHECK_EXCEPTION(Init::xavier_uniform()({}, g), ShapeError, mentions("xavier-uniform", "[]"));
  BOOST_TEST(Init::normal(0.1)({5, 2, 3}, g).size() == 30);
  BOOST_TEST(Init::he()({0, 3}, g).size() == 0);
  BOOST_TEST(Init::uniform(0)({2, 2}, g).to_vector<float>() == std::vector<float>(4, 0.0f));
  BOOST_CHECK_THROW(Init::he()({2, 2}, g, i64), DtypeError);
}

BOOST_AUTO_TEST_CASE(fans_of_kernels_count_their_elements) {
  // Kernels [out, in, ...] draw the numbers of a weight [in, out] with those fans.
  const auto numbers = [](const Tensor& t) { return t.to_vector<float>(); };
  const auto same = [&](const Init& init, const Shape& kernels, const Shape& matrix) {
    Generator g(3), h(3);
    const Tensor of_kernels = init(kernels, g);
    // As many numbers of the same generator: the first are equal where the fans are.
    const auto a = numbers(of_kernels), b = numbers(init(matrix, h));
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) BOOST_TEST(a[i] == b[i]);
  };
  for (const Init& init : {Init::he(), Init::he_uniform(0.1), Init::xavier(), Init::xavier_uniform(2)}) {
    same(init, {7, 2, 3, 4}, {24, 84});
    same(init, {7, 2, 5}, {10, 35});
  }
  Generator g(3), h(3);
  BOOST_TEST(numbers(Init::he()({4, 3}, {12, 1}, g)) == numbers(Init::he()({12, 1}, h)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace init_test
