#include <cstdint>
#include <limits>
#include <vector>

#include "op_support.h"

namespace integer_remainder_test {

using namespace tapegrad;
using namespace tapegrad::test;

// remainder and fmod of i64: the signs of NumPy's and of C's, and an error for a division by zero.

BOOST_AUTO_TEST_SUITE(integer_remainder)

BOOST_AUTO_TEST_CASE(signs) {
  std::vector<std::int64_t> a, b, python, c;
  for (std::int64_t i = -9; i <= 9; ++i)
    for (const std::int64_t j : {-5, -3, -1, 1, 2, 7}) {
      a.push_back(i), b.push_back(j);
      c.push_back(i - j * (i / j));
      const bool exact = i % j == 0;
      const std::int64_t floor = i / j - (!exact && (i < 0) != (j < 0) ? 1 : 0);
      python.push_back(i - j * floor);
    }
  const Tensor ta = Tensor::from(a), tb = Tensor::from(b);
  const auto as_doubles = [](const std::vector<std::int64_t>& v) {
    return std::vector<double>(v.begin(), v.end());
  };
  check_tensor(fmod(ta, tb), {114}, as_doubles(c));
  check_tensor(remainder(ta, tb), {114}, as_doubles(python));
  // numpy.remainder and numpy.fmod of [7, -7, 7, -7] and [3, 3, -3, -3].
  const Tensor x = Tensor::from({7, -7, 7, -7}, i64), y = Tensor::from({3, 3, -3, -3}, i64);
  check_tensor(remainder(x, y), {4}, {1, 2, -2, -1});
  check_tensor(fmod(x, y), {4}, {1, -1, 1, -1});
  BOOST_TEST(name_of(remainder(x, y).dtype()) == "i64");
}

BOOST_AUTO_TEST_CASE(numbers_that_a_double_does_not_hold) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto of = [](auto f, std::int64_t a, std::int64_t b) {
    const Tensor r = f(Tensor::from(std::vector{a}), Tensor::from(std::vector{b}));
    return r.values<std::int64_t>()[0];
  };
  const auto python = [](const Tensor& a, const Tensor& b) { return remainder(a, b); };
  const auto c = [](const Tensor& a, const Tensor& b) { return fmod(a, b); };
  BOOST_TEST(of(python, kMost, 10) == 7);
  BOOST_TEST(of(c, kMost, 10) == 7);
  BOOST_TEST(of(python, kLeast, 10) == 2);
  BOOST_TEST(of(c, kLeast, 10) == -8);
  BOOST_TEST(of(python, kLeast, -1) == 0);  // where the quotient is out of range
  BOOST_TEST(of(c, kLeast, -1) == 0);
  BOOST_TEST(of(python, 1, kLeast) == kLeast + 1);
  BOOST_TEST(of(python, -1, kMost) == kMost - 1);
}

BOOST_AUTO_TEST_CASE(broadcasting_and_numbers) {
  const Tensor x = Tensor::from({{5, -5, 6}, {7, 8, -9}}, i64);
  check_tensor(remainder(x, Tensor::from({4, 3, -2}, i64)), {2, 3}, {1, 1, 0, 3, 2, -1});
  check_tensor(fmod(x, Tensor::from({4, -3}, Shape{2, 1}, i64)), {2, 3}, {1, -1, 2, 1, 2, 0});
  check_tensor(remainder(x, 4), {2, 3}, {1, 3, 2, 3, 0, 3});
  check_tensor(fmod(100, Tensor::from({7, -7}, i64)), {2}, {2, 2});
  check_tensor(remainder(Tensor::zeros({0, 3}, i64), Tensor::zeros({3}, i64)), {0, 3}, {});
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::from({1, 2, 3}, i64);
  BOOST_CHECK_EXCEPTION(remainder(x, Tensor::from({1, 0, 2}, i64)), ArgumentError,
                        mentions("remainder", "division by zero", "[3]"));
  BOOST_CHECK_EXCEPTION(fmod(x, 0), ArgumentError, mentions("fmod", "division by zero"));
  BOOST_CHECK_EXCEPTION(fmod(x, 0.5), DtypeError, mentions("fmod", "0.5", "i64"));
  BOOST_CHECK_EXCEPTION(remainder(x, Tensor::ones({3})), DtypeError, mentions("remainder", "i64", "f32"));
  BOOST_CHECK_EXCEPTION(remainder(x, Tensor::ones({2}, i64)), ShapeError,
                        mentions("remainder", "[3]", "[2]"));
  BOOST_CHECK_EXCEPTION(remainder(x, Tensor{}), ArgumentError, mentions("remainder", "undefined"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace integer_remainder_test
