#include <cmath>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <sstream>
#include <string>
#include <utility>

#include <tapegrad/graph/format.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

namespace format_test {

using namespace tapegrad;
using tapegrad::test::mentions;

BOOST_AUTO_TEST_SUITE(format)

BOOST_AUTO_TEST_CASE(scalars_are_printed_as_numbers) {
  BOOST_TEST(fmt::format("{}", Tensor::scalar(3.25)) == "3.25");
  BOOST_TEST(fmt::format("{}", Tensor::scalar(-4, i64)) == "-4");
  BOOST_TEST(to_string(Tensor::scalar(1e-10, f64)) == "1e-10");
}

BOOST_AUTO_TEST_CASE(vectors_are_aligned) {
  BOOST_TEST(to_string(Tensor::from({1, 2.5, -3})) == "[  1, 2.5,  -3]");
  BOOST_TEST(to_string(Tensor::from({7})) == "[7]");
}

BOOST_AUTO_TEST_CASE(matrices_stand_row_by_row_and_blocks_apart) {
  BOOST_TEST(to_string(Tensor::from({{1, 2}, {3, 40}}, i64)) == "[[ 1,  2],\n [ 3, 40]]");
  const Tensor cube = Tensor::from({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}, i64);
  BOOST_TEST(to_string(cube) == "[[[1, 2],\n  [3, 4]],\n\n [[5, 6],\n  [7, 8]]]");
}

BOOST_AUTO_TEST_CASE(a_specification_applies_to_the_elements) {
  const Tensor t = Tensor::from({1, -2.34567});
  BOOST_TEST(fmt::format("{:.3f}", t) == "[ 1.000, -2.346]");
  BOOST_TEST(fmt::format("{:+.1e}", t) == "[+1.0e+00, -2.3e+00]");
  BOOST_TEST(fmt::format("{:>8.2f}", Tensor::scalar(1.5)) == "    1.50");
  BOOST_TEST(fmt::format("{:04x}", Tensor::from({255, 1}, i64)) == "[00ff, 0001]");
  BOOST_TEST(fmt::format("loss {:.2f} of {}", Tensor::scalar(0.125, f64), 3) == "loss 0.12 of 3");
}

BOOST_AUTO_TEST_CASE(a_specification_that_does_not_fit_is_refused) {
  BOOST_CHECK_THROW((void)fmt::format("{:.3f}", Tensor::ones({2}, i64)), fmt::format_error);
  BOOST_CHECK_THROW((void)fmt::format("{:q}", Tensor::ones({2})), fmt::format_error);
  BOOST_CHECK_EXCEPTION((void)fmt::format(fmt::runtime("{:.{}f}"), Tensor::ones({2}), 3), ArgumentError,
                        mentions("numbers"));
}

BOOST_AUTO_TEST_CASE(values_that_are_not_finite_are_shown) {
  const double inf = std::numeric_limits<double>::infinity();
  BOOST_TEST(to_string(Tensor::from({std::nan(""), inf, -inf, 1})) == "[ nan,  inf, -inf,    1]");
  BOOST_TEST(to_string(Tensor::from({-std::nan(""), inf - inf})) == "[nan, nan]");
}

BOOST_AUTO_TEST_CASE(six_significant_digits_are_shown) {
  BOOST_TEST(to_string(Tensor::from({1.0 / 3, 1234567, 0.1}, f64)) ==
             "[   0.333333, 1.23457e+06,         0.1]");
}

BOOST_AUTO_TEST_CASE(large_tensors_show_the_ends_of_each_axis_with_dtype_and_shape) {
  const Tensor line = Tensor::arange(1001);
  BOOST_TEST(to_string(line) == "[   0,    1,    2, ...,  998,  999, 1000] (i64 [1001])");
  BOOST_TEST(to_string(Tensor::zeros({2, 700}, i64)) ==
             "[[0, 0, 0, ..., 0, 0, 0],\n [0, 0, 0, ..., 0, 0, 0]] (i64 [2, 700])");
  const Tensor tall = Tensor::from(Tensor::arange(2000).to_vector<std::int64_t>(), {1000, 2});
  BOOST_TEST(to_string(tall) ==
             "[[   0,    1],\n [   2,    3],\n [   4,    5],\n ...,\n"
             " [1994, 1995],\n [1996, 1997],\n [1998, 1999]] (i64 [1000, 2])");
  BOOST_TEST(to_string(Tensor::zeros({7, 7, 7, 7, 7, 7, 7})).size() < 5000U);
}

BOOST_AUTO_TEST_CASE(up_to_a_thousand_elements_all_are_shown) {
  const std::string text = to_string(Tensor::arange(1000));
  BOOST_TEST(text.find("...") == std::string::npos);
  BOOST_TEST(text.find("500") != std::string::npos);
  BOOST_TEST(text.find("i64") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(empty_tensors_show_dtype_and_shape) {
  BOOST_TEST(to_string(Tensor::zeros({0, 3})) == "[] (f32 [0, 3])");
  BOOST_TEST(to_string(Tensor::zeros({3, 0}, f64)) == "[] (f64 [3, 0])");
}

BOOST_AUTO_TEST_CASE(undefined_tensors_say_so) {
  BOOST_TEST(to_string(Tensor()) == "undefined tensor");
  Tensor a = Tensor::ones({2});
  const Tensor b = std::move(a);
  BOOST_TEST(fmt::format("{:.2f}", a) == "undefined tensor");  // NOLINT(bugprone-use-after-move)
}

BOOST_AUTO_TEST_CASE(tracked_and_stale_tensors_are_printed_like_others) {
  Tensor x;
  {
    Tape tape;
    x = tape.watch(Tensor::from({1, 2}));
    BOOST_TEST(to_string(x) == "[1, 2]");
    BOOST_TEST(tape.size() == 1U);  // printing records nothing
  }
  Tape another;
  BOOST_TEST(to_string(x) == "[1, 2]");
}

BOOST_AUTO_TEST_CASE(parameters_are_printed_as_their_values) {
  const Parameter p(Tensor::from({1.0 / 3, 2}));
  Tape tape;
  BOOST_TEST(fmt::format("{}", p) == "[0.333333,        2]");
  BOOST_TEST(fmt::format("{:.2f}", p) == "[0.33, 2.00]");
  BOOST_TEST(fmt::format("{}", Parameter()) == "undefined parameter");
  std::ostringstream out;
  out << p << ' ' << Parameter();
  BOOST_TEST(out.str() == "[0.333333,        2] undefined parameter");
  BOOST_TEST(tape.size() == 0U);
}

BOOST_AUTO_TEST_CASE(streams_take_what_fmt_takes) {
  const auto text = [](const auto& value, auto... manipulators) {
    std::ostringstream out;
    ((out << manipulators), ...);
    out << value;
    return out.str();
  };
  const Tensor third = Tensor::from({1.0 / 3, 200}, f64);
  BOOST_TEST(text(third) == fmt::format("{}", third));
  BOOST_TEST(text(third, std::setprecision(2)) == fmt::format("{:.2g}", third));
  BOOST_TEST(text(third, std::setprecision(3), std::fixed) == "[  0.333, 200.000]");
  BOOST_TEST(text(third, std::setprecision(1), std::scientific) == "[3.3e-01, 2.0e+02]");
  BOOST_TEST(text(Tensor::from({1, 2}, i64), std::setprecision(3), std::fixed) == "[1, 2]");
  BOOST_TEST(text(Tensor()) == "undefined tensor");
  BOOST_TEST(text(Tensor::ones({2}), std::setw(8)) == "  [1, 1]");
  BOOST_TEST(text(Tensor::zeros({2000})) == fmt::format("{}", Tensor::zeros({2000})));
  BOOST_TEST(text(Shape{2, 3}) == "[2, 3]");
  BOOST_TEST(text(Shape{}) == "[]");
  BOOST_TEST(text(f32) == "f32");
}

BOOST_AUTO_TEST_CASE(shapes_and_dtypes_are_printed_like_strings) {
  BOOST_TEST(fmt::format("{}", Shape{2, 3}) == "[2, 3]");
  BOOST_TEST(fmt::format("{:>8}|", Shape{2, 3}) == "  [2, 3]|");
  BOOST_TEST(fmt::format("{} {:<4}|", f32, i64) == "f32 i64 |");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace format_test
