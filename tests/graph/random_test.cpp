#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace random_test {

using namespace tapegrad;
using test::mentions;

namespace {

constexpr std::uint64_t kSeed = 0x123456789abcdef0;
constexpr std::uint64_t kStream = 0xfedcba9876543210;
const Shape kMany{200'000};

double mean_of(const std::vector<double>& x, int power = 1) {
  double sum = 0;
  for (const double v : x) sum += std::pow(v, power);
  return sum / static_cast<double>(x.size());
}

template <class T>
std::vector<T> joined(const Tensor& a, const Tensor& b) {
  std::vector<T> all = a.to_vector<T>();
  const std::vector<T> rest = b.to_vector<T>();
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random)

// From the file kat_vectors of Random123, the reference implementation of the paper's authors.
BOOST_AUTO_TEST_CASE(philox_gives_the_published_known_answers) {
  using Block = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t kOnes = 0xffffffff;
  BOOST_TEST((philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  BOOST_TEST((philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
              Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  BOOST_TEST((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The expected values below come from another implementation of the documented scheme, in Python.
BOOST_AUTO_TEST_CASE(bits_and_uniform_numbers_match_another_implementation) {
  Generator g(kSeed, kStream);
  for (const std::uint64_t bits :
       {0x2d4a0d9390aafdc4U, 0x98b4ef2a13f86edcU, 0x6cadf41d1d237aa0U, 0x5ae0422f912fd5e6U})
    BOOST_TEST(g() == bits);
  const std::vector<double> expected{0x1.6a506c9c8557cp-3, 0x1.3169de5427f0dp-1, 0x1.b2b7d074748dep-2,
                                     0x1.6b8108be44bf4p-2};
  Generator h(kSeed, kStream);
  BOOST_TEST(uniform({4}, h, 0, 1, f64).to_vector<double>() == expected);
}

BOOST_AUTO_TEST_CASE(normal_values_match_another_implementation_bit_for_bit) {
  const std::vector<double> expected{-0x1.daba07aefe96bp-1, 0x1.f461349ea95adp-3,  -0x1.85c651939796fp-3,
                                     -0x1.7cd2d15010634p-2, -0x1.0c564b19e6b64p+0, -0x1.732ed9429333dp-1};
  Generator g(kSeed, kStream);
  const std::vector<double> wide = randn({60}, g, f64).to_vector<double>();
  g = Generator(kSeed, kStream);
  const std::vector<float> narrow = randn({6}, g).to_vector<float>();
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(narrow[i] == static_cast<float>(expected[i]));
#ifndef __FMA__  // contraction to fused multiply-adds rounds the last bit differently
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(wide[i] == expected[i]);
  BOOST_TEST(wide[13] == 0x1.1ea710b12812bp+1);
  BOOST_TEST(wide[51] == -0x1.2fa8b9fe57fe5p+1);
#endif
}

// The branches of the quantile: the middle, the tails, and the far tails, which random draws do not reach.
BOOST_AUTO_TEST_CASE(normal_quantiles_match_another_implementation_up_to_the_ends) {
  const std::vector<std::pair<std::uint64_t, double>> expected{
      {0, -0x1.06b48528cea51p+3},
      {~std::uint64_t{0}, 0x1.06b48528cea51p+3},
      {0x10000000000000, -0x1.be596d62758c1p+1},
      {0x8000000000000000, 0x1.40d931ff62707p-52},
      {0x7fffffffffffffff, -0x1.40d931ff62707p-52},
      {0xffffffffc0000000, 0x1.9c696d92ec298p+2},
      {0x1333333333333300, -0x1.7085226d3e521p+0},
      {0xecd35a858793e000, 0x1.70b374817af55p+0},
      {0x10c6f7a0b5ed, -0x1.30381a97985f1p+2},
  };
  for (const auto& [bits, value] : expected)
    BOOST_TEST(std::fabs(detail::normal_of(bits) - value) <= 1e-15 * std::fabs(value));
}

BOOST_AUTO_TEST_CASE(integers_permutations_and_coins_match_another_implementation) {
  Generator g(kSeed, kStream);
  BOOST_TEST(integers({8}, g, -500, 500).to_vector<std::int64_t>() ==
             (std::vector<std::int64_t>{-324, 96, -76, -146, -353, -266, 68, 14}));
  g = Generator(kSeed, kStream);
  BOOST_TEST(permutation(10, g).to_vector<std::int64_t>() ==
             (std::vector<std::int64_t>{8, 7, 4, 6, 9, 0, 2, 3, 5, 1}));
  g = Generator(kSeed, kStream);
  BOOST_TEST(bernoulli({16}, g, 0.3, i64).to_vector<std::int64_t>() ==
             (std::vector<std::int64_t>{0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0}));
}

// For this count every second draw is rejected; five of these eight are.
BOOST_AUTO_TEST_CASE(rejected_draws_are_repeated_as_in_another_implementation) {
  const std::vector<std::uint64_t> expected{0x07a82f9f71b1f32a, 0x4c5a779509fc376e, 0x534e6ff6c51656f8,
                                            0x78971dea860de9bb, 0x12d9e969d1581c4a, 0x3535f41b5cf76513,
                                            0x6a27cd3a3bf4f009, 0x41d9ab6b6acbef07};
  Generator g(kSeed, kStream);
  for (const std::uint64_t v : expected) BOOST_TEST(g.below((std::uint64_t{1} << 63) + 1) == v);
}

BOOST_AUTO_TEST_CASE(pairs_of_words_start_at_even_positions) {
  Generator odd(Generator::State{kSeed, kStream, 7});
  Generator even(Generator::State{kSeed, kStream, 8});
  BOOST_TEST(randn({3}, odd).to_vector<float>() == randn({3}, even).to_vector<float>());
  BOOST_TEST((odd.state() == even.state()));
  odd = Generator(Generator::State{kSeed, kStream, 7});
  even = Generator(Generator::State{kSeed, kStream, 8});
  BOOST_TEST(odd() == even());
  BOOST_TEST((odd.state() == even.state()));
}

BOOST_AUTO_TEST_CASE(normal_values_have_the_moments_of_a_normal_distribution) {
  Generator g(1);
  const Tensor t = randn(kMany, g, f64);
  const std::vector<double> x = t.to_vector<double>();
  // Five standard errors of each moment.
  const double unit = 5 / std::sqrt(static_cast<double>(x.size()));
  BOOST_TEST(std::fabs(mean_of(x)) < unit);
  BOOST_TEST(std::fabs(mean_of(x, 2) - 1) < unit * std::sqrt(2));
  BOOST_TEST(std::fabs(mean_of(x, 3)) < unit * std::sqrt(15));
  BOOST_TEST(std::fabs(mean_of(x, 4) - 3) < unit * std::sqrt(96));
  double neighbours = 0;
  for (std::size_t i = 1; i < x.size(); ++i) neighbours += x[i] * x[i - 1];
  BOOST_TEST(std::fabs(neighbours / static_cast<double>(x.size())) < unit);
  // The empirical distribution against the normal one (Kolmogorov and Smirnov, at about 1e-6).
  std::vector<double> sorted = x;
  std::sort(sorted.begin(), sorted.end());
  double distance = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i)
    distance = std::max(distance, std::fabs(static_cast<double>(i) / static_cast<double>(sorted.size()) -
                                            std::erfc(-sorted[i] / std::sqrt(2)) / 2));
  BOOST_TEST(distance < 2.7 / std::sqrt(static_cast<double>(sorted.size())));
}

BOOST_AUTO_TEST_CASE(mean_deviation_and_bounds_are_applied) {
  Generator g(2);
  Generator h(2);
  const std::vector<double> z = randn({100}, g, f64).to_vector<double>();
  const std::vector<double> x = randn({100}, h, f64, 3, 0.5).to_vector<double>();
  for (std::size_t i = 0; i < z.size(); ++i)
    BOOST_TEST(x[i] == 3 + 0.5 * z[i], boost::test_tools::tolerance(1e-15));
  const std::vector<float> u = uniform(kMany, g, -2, 6).to_vector<float>();
  BOOST_TEST(*std::min_element(u.begin(), u.end()) >= -2.0F);
  BOOST_TEST(*std::max_element(u.begin(), u.end()) < 6.0F);
  const double mean = std::accumulate(u.begin(), u.end(), 0.0) / static_cast<double>(u.size());
  BOOST_TEST(std::fabs(mean - 2) < 5 * (8 / std::sqrt(12)) / std::sqrt(static_cast<double>(u.size())));
  BOOST_TEST(randn({3}, g, f32, 7, 0).to_vector<float>() == (std::vector<float>{7, 7, 7}));
}

BOOST_AUTO_TEST_CASE(uniform_numbers_stay_below_the_upper_bound_when_rounded) {
  Generator g(3);
  // Only two floats lie in [1, 1 + 2^-22), and rounding to nearest would often give 1 + 2^-22.
  const std::vector<float> x = uniform({1000}, g, 1, 1 + 0x1p-22).to_vector<float>();
  for (const float v : x) BOOST_TEST((v == 1.0F || v == 1 + 0x1p-23F));
  BOOST_TEST(std::count(x.begin(), x.end(), 1.0F) > 0);
  BOOST_TEST(std::count(x.begin(), x.end(), 1 + 0x1p-23F) > 0);
}

BOOST_AUTO_TEST_CASE(f32_holds_the_rounded_f64_values) {
  Generator g(4);
  Generator h(4);
  const std::vector<float> a = randn({1000}, g).to_vector<float>();
  const std::vector<double> b = randn({1000}, h, f64).to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(a[i] == static_cast<float>(b[i]));
  BOOST_TEST((g.state() == h.state()));
}

BOOST_AUTO_TEST_CASE(a_fill_in_two_parts_equals_one_fill) {
  for (const std::int64_t first : {1, 2, 3, 7, 64, 127, 128, 129, 255, 299}) {
    Generator whole(5);
    Generator parts(5);
    const auto check = [&](auto fill) {
      using T = typename decltype(fill(whole, 1).template to_vector<float>())::value_type;
      const Tensor all = fill(whole, 300);
      const Tensor a = fill(parts, first);
      const Tensor b = fill(parts, 300 - first);
      BOOST_TEST(joined<T>(a, b) == all.to_vector<T>(), "parts of " << first);
      BOOST_TEST((whole.state() == parts.state()));
    };
    check([](Generator& g, std::int64_t n) { return randn({n}, g); });
    check([](Generator& g, std::int64_t n) { return uniform({n}, g); });
    check([](Generator& g, std::int64_t n) { return bernoulli({n}, g, 0.5); });
    // After an odd number of words the next pair of words starts at an even position in both.
    BOOST_TEST(randn({1}, whole).item() == randn({1}, parts).item());
    const Tensor all = integers({300}, whole, 0, 1000);
    const Tensor a = integers({first}, parts, 0, 1000);
    const Tensor b = integers({300 - first}, parts, 0, 1000);
    BOOST_TEST(joined<std::int64_t>(a, b) == all.to_vector<std::int64_t>());
  }
}

BOOST_AUTO_TEST_CASE(single_draws_equal_the_elements_of_a_fill) {
  Generator fill(6, 1);
  Generator one(6, 1);
  for (const double v : randn({20}, fill, f64).to_vector<double>()) BOOST_TEST(one.normal() == v);
  for (const double v : uniform({20}, fill, 0, 1, f64).to_vector<double>()) BOOST_TEST(one.uniform() == v);
  // Half of the draws for this count are rejected and drawn again.
  const std::int64_t half = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t v : integers({50}, fill, half, 1).to_vector<std::int64_t>())
    BOOST_TEST(static_cast<std::int64_t>(one.below((std::uint64_t{1} << 63) + 1) +
                                         static_cast<std::uint64_t>(half)) == v);
  BOOST_TEST((fill.state() == one.state()));
}

BOOST_AUTO_TEST_CASE(a_saved_state_continues_where_it_was) {
  Generator g(7, 3);
  randn({11}, g);
  bernoulli({5}, g, 0.5);
  const Generator::State saved = g.state();
  const std::vector<float> next = randn({9}, g).to_vector<float>();
  Generator resumed(saved);
  BOOST_TEST(randn({9}, resumed).to_vector<float>() == next);
  BOOST_TEST(saved.seed == 7U);
  BOOST_TEST(saved.stream == 3U);
  BOOST_TEST(saved.position == 27U);  // 22 words and 5, the next even position being 28
}

BOOST_AUTO_TEST_CASE(seeds_and_streams_differ) {
  const auto first = [](std::uint64_t seed, std::uint64_t stream) { return Generator(seed, stream)(); };
  std::vector<std::uint64_t> seen;
  for (const std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32, ~0ULL})
    for (const std::uint64_t stream : {0ULL, 1ULL, 1ULL << 32, ~0ULL}) seen.push_back(first(seed, stream));
  std::sort(seen.begin(), seen.end());
  BOOST_TEST((std::adjacent_find(seen.begin(), seen.end()) == seen.end()));
}

BOOST_AUTO_TEST_CASE(bounded_integers_have_no_modulo_bias) {
  // Without rejection, multiples of three would come up half of the time for this count, not a third.
  Generator g(8);
  constexpr std::uint64_t kCount = std::uint64_t{3} << 62;
  std::array<int, 3> seen{};
  constexpr int kDraws = 30'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t v = g.below(kCount);
    BOOST_REQUIRE(v < kCount);
    ++seen[v % 3];
  }
  for (const int n : seen) BOOST_TEST(std::abs(n - kDraws / 3) < 5 * std::sqrt(kDraws * 2.0 / 9));
}

BOOST_AUTO_TEST_CASE(small_integers_are_uniform) {
  Generator g(9);
  std::array<double, 7> seen{};
  for (const std::int64_t v : integers({70'000}, g, 0, 7).to_vector<std::int64_t>()) {
    BOOST_REQUIRE((v >= 0 && v < 7));
    ++seen[static_cast<std::size_t>(v)];
  }
  double chi_square = 0;
  for (const double n : seen) chi_square += (n - 10'000) * (n - 10'000) / 10'000;
  BOOST_TEST(chi_square < 38);  // six degrees of freedom: exceeded once in a million
  BOOST_TEST(integers({3}, g, 5, 6).to_vector<std::int64_t>() == (std::vector<std::int64_t>{5, 5, 5}));
}

BOOST_AUTO_TEST_CASE(permutations_hold_every_number_once_and_are_uniform) {
  Generator g(10);
  std::vector<std::int64_t> p = permutation(1000, g).to_vector<std::int64_t>();
  std::sort(p.begin(), p.end());
  for (std::size_t i = 0; i < p.size(); ++i) BOOST_TEST(p[i] == static_cast<std::int64_t>(i));
  std::array<double, 27> seen{};
  for (int i = 0; i < 6000; ++i) {
    const std::vector<std::int64_t> q = permutation(3, g).to_vector<std::int64_t>();
    ++seen[static_cast<std::size_t>(q[0] * 9 + q[1] * 3 + q[2])];
  }
  int used = 0;
  for (const double n : seen) {
    if (n == 0) continue;
    ++used;
    BOOST_TEST(std::fabs(n - 1000) < 5 * std::sqrt(1000 * 5.0 / 6));
  }
  BOOST_TEST(used == 6);
  BOOST_TEST(permutation(0, g).size() == 0);
  BOOST_TEST(permutation(1, g).item() == 0);
}

BOOST_AUTO_TEST_CASE(bernoulli_comes_up_with_its_probability) {
  Generator g(11);
  for (const double p : {0.0, 0.01, 0.5, 0.9, 1.0}) {
    const std::vector<float> x = bernoulli(kMany, g, p).to_vector<float>();
    const auto n = static_cast<double>(x.size());
    const auto ones = static_cast<double>(std::count(x.begin(), x.end(), 1.0F));
    BOOST_TEST(static_cast<double>(std::count(x.begin(), x.end(), 0.0F)) + ones == n);
    BOOST_TEST(std::fabs(ones / n - p) <= 5 * std::sqrt(p * (1 - p) / n));
  }
}

BOOST_AUTO_TEST_CASE(a_generator_drives_the_standard_distributions) {
  Generator g(12);
  std::uniform_int_distribution<int> dice(1, 6);
  for (int i = 0; i < 100; ++i) {
    const int v = dice(g);
    BOOST_TEST((v >= 1 && v <= 6));
  }
}

BOOST_AUTO_TEST_CASE(scalars_and_empty_shapes_can_be_filled) {
  Generator g(13);
  BOOST_TEST(randn({}, g).rank() == 0U);
  const Generator::State before = g.state();
  BOOST_TEST(randn({0, 5}, g).size() == 0);
  BOOST_TEST((g.state() == before));
}

BOOST_AUTO_TEST_CASE(wrong_arguments_are_refused) {
  Generator g(14);
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  BOOST_CHECK_EXCEPTION(randn({2}, g, i64), DtypeError, mentions("randn", "integers"));
  BOOST_CHECK_EXCEPTION(randn({2}, g, f32, 0, -1), ArgumentError, mentions("randn", "-1"));
  BOOST_CHECK_THROW(randn({2}, g, f32, nan, 1), ArgumentError);
  BOOST_CHECK_THROW(randn({2}, g, f32, 0, inf), ArgumentError);
  BOOST_CHECK_EXCEPTION(uniform({2}, g, 0, 1, i64), DtypeError, mentions("uniform", "integers"));
  BOOST_CHECK_EXCEPTION(uniform({2}, g, 1, 1), ArgumentError, mentions("uniform", "[1, 1)"));
  BOOST_CHECK_THROW(uniform({2}, g, 2, 1), ArgumentError);
  BOOST_CHECK_THROW(uniform({2}, g, 0, nan), ArgumentError);
  BOOST_CHECK_THROW(uniform({2}, g, -inf, 0), ArgumentError);
  BOOST_CHECK_THROW(uniform({2}, g, -1e308, 1e308, f64), ArgumentError);
  BOOST_CHECK_EXCEPTION(uniform({2}, g, 1 + 0x1p-25, 1 + 0x1p-24), ArgumentError, mentions("f32"));
  BOOST_CHECK_EXCEPTION(integers({2}, g, 3, 3), ArgumentError, mentions("[3, 3)"));
  BOOST_CHECK_EXCEPTION(bernoulli({2}, g, 1.5), ArgumentError, mentions("1.5", "[0, 1]"));
  BOOST_CHECK_THROW(bernoulli({2}, g, nan), ArgumentError);
  BOOST_CHECK_EXCEPTION(permutation(-1, g), ArgumentError, mentions("-1"));
  BOOST_CHECK_THROW(g.below(0), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace random_test
