// The order in which many elements become one: for any length, within a block and beyond.
#include <cmath>
#include <vector>

#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/reducers.h>
#include <tapegrad/ops/loops/rows.h>

#include "kernel_support.h"

namespace reducers_test {

using namespace tapegrad;
using namespace tapegrad::test;
using namespace tapegrad::detail;

namespace {

const std::vector<std::int64_t> kLengths{0,  1,  2,   15,  16,   17,   31,   32,   33,   63,   64,   65,
                                         79, 80, 127, 128, 1023, 1024, 1025, 2048, 3000, 5121, 40000};

template <template <class> class Reducer, class A, class T>
A reduced(const std::vector<T>& x, T parameter = {}) {
  A result{};
  dispatch_isa(
      [&] { result = reduce_run<Reducer, A>(x.data(), static_cast<std::int64_t>(x.size()), parameter); });
  return result;
}

template <class T>
std::vector<T> elements_of(std::int64_t n, std::uint64_t seed = 1) {
  Generator generator(seed);
  std::vector<T> x(static_cast<std::size_t>(n));
  for (T& v : x) v = static_cast<T>(generator.uniform() * 4 - 2);
  return x;
}

template <class T>
void check_sums() {
  for (const std::int64_t n : kLengths) {
    const std::vector<T> x = elements_of<T>(n);
    long double sum = 0, size = 0, squares = 0;
    for (const T v : x) sum += v, size += std::abs(v), squares += static_cast<long double>(v) * v;
    // Rounding grows with the logarithm of the number of terms, not with the number.
    const double slack = static_cast<double>(size) * static_cast<double>(std::numeric_limits<T>::epsilon());
    BOOST_TEST(std::abs(static_cast<double>(reduced<SumReducer, T>(x) - sum)) <= 2 * slack);
    BOOST_TEST(std::abs(static_cast<double>(reduced<SumReducer, double>(x) - sum)) <= 2 * slack);
    BOOST_TEST(std::abs(static_cast<double>(reduced<SquaresReducer, T>(x) - squares)) <= 4 * slack);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reducers)

BOOST_AUTO_TEST_CASE(sums_of_any_length) {
  for_each_isa([] {
    check_sums<float>();
    check_sums<double>();
  });
}

BOOST_AUTO_TEST_CASE(each_element_counts_once) {
  for_each_isa([] {
    for (const std::int64_t n : kLengths) {
      const std::vector<std::int64_t> ones(static_cast<std::size_t>(n), 1);
      BOOST_TEST((reduced<SumReducer, std::int64_t>(ones)) == n);
      const std::vector<float> halves(static_cast<std::size_t>(n), 0.5F);
      BOOST_TEST((reduced<EqualsReducer, double>(halves, 0.5F)) == static_cast<double>(n));
      BOOST_TEST((reduced<ProductReducer, float>(std::vector<float>(static_cast<std::size_t>(n), 1))) == 1);
    }
  });
}

BOOST_AUTO_TEST_CASE(extremes_stand_anywhere) {
  for_each_isa([] {
    for (const std::int64_t n : kLengths)
      for (const double place : {0.0, 0.3, 0.99}) {
        if (n == 0) continue;
        std::vector<float> x = elements_of<float>(n);
        const auto at = static_cast<std::size_t>(place * static_cast<double>(n));
        x[at] = 7;
        BOOST_TEST((reduced<MaximumReducer, float>(x)) == 7);
        BOOST_TEST((reduced<NumberMaximumReducer, float>(x)) == 7);
        x[at] = -7;
        BOOST_TEST((reduced<MinimumReducer, float>(x)) == -7);
        x[at] = static_cast<float>(kNan);
        BOOST_TEST(std::isnan(reduced<MaximumReducer, float>(x)));
        BOOST_TEST(std::isnan(reduced<MinimumReducer, float>(x)));
        BOOST_TEST(first_equal(x.data(), n, static_cast<float>(kNan)) == static_cast<std::int64_t>(at));
      }
  });
}

BOOST_AUTO_TEST_CASE(nothing_gives_the_identity) {
  BOOST_TEST((reduced<SumReducer, double>(std::vector<double>{})) == 0);
  BOOST_TEST((reduced<ProductReducer, double>(std::vector<double>{})) == 1);
  BOOST_TEST((reduced<MaximumReducer, double>(std::vector<double>{})) == -kInf);
  Pairwise<SumReducer<double>, double> none;
  BOOST_TEST(none.result() == 0);
}

BOOST_AUTO_TEST_CASE(partial_results_meet_in_pairs) {
  struct Text {
    static std::string combine(std::string a, const std::string& b) { return "(" + a + b + ")"; }
  };
  const std::vector<std::string> expected{
      "", "a", "(ab)", "((ab)c)", "((ab)(cd))", "(((ab)(cd))e)", "(((ab)(cd))(ef))", "(((ab)(cd))((ef)g))"};
  for (std::size_t n = 1; n < expected.size(); ++n) {
    Pairwise<Text, std::string> all;
    for (std::size_t i = 0; i < n; ++i) all.push(std::string(1, static_cast<char>('a' + i)));
    BOOST_TEST(all.result() == expected[n]);
  }
}

BOOST_AUTO_TEST_CASE(sums_of_terms_have_the_same_bits_from_any_number_of_threads) {
  check_bits_for_threads([] {
    const std::vector<double> x = elements_of<double>(5 * kGrain + 77);
    const double sum = sum_terms<double>(static_cast<std::int64_t>(x.size()),
                                         [&](std::int64_t i) { return x[static_cast<std::size_t>(i)]; });
    return std::vector{Tensor::scalar(sum, f64)};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reducers_test
