// Maxima of windows and their gradients, against loops over each place of each window.

#include <tapegrad/graph/tape_view.h>

#include "pool_support.h"

namespace max_pool_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

MaxPool2dOptions options_of(const WindowCase& c) {
  return {.kernel = c.kernel,
          .stride = c.stride,
          .padding = c.padding,
          .dilation = c.dilation,
          .ceil_mode = c.ceil_mode};
}

/// The element that is the largest of each window, by PyTorch's rule: -1 where all lie in the padding.
std::vector<std::int64_t> largest_of(const WindowCase& c, const std::vector<double>& x, std::size_t windows) {
  std::vector<std::int64_t> at(windows, -1);
  for_each_place(c, [&](std::size_t window, std::int64_t, std::int64_t element) {
    if (element < 0) return;
    const double v = x[static_cast<std::size_t>(element)];
    std::int64_t& best = at[window];
    if (best < 0 || v > x[static_cast<std::size_t>(best)] || std::isnan(v)) best = element;
  });
  return at;
}

void check(const WindowCase& c, const Tensor& x) {
  const Tensor y = max_pool2d(x, options_of(c));
  const auto windows = detail::windows_of("test", c.images, window_of(c));
  BOOST_TEST_REQUIRE(to_string(y.shape()) ==
                     to_string(Shape{c.images[0], c.images[1], windows[0], windows[1]}));
  const std::vector<double> in = numbers(x);
  const std::vector<std::int64_t> at = largest_of(c, in, static_cast<std::size_t>(y.size()));
  std::vector<double> expected, gradient(in.size(), 0), curvature(in.size(), 0);
  const Tensor weights = random(y.shape(), x.dtype(), 0.5, 2, 7);
  const std::vector<double> g = numbers(weights);
  for (std::size_t i = 0; i < at.size(); ++i) {
    expected.push_back(at[i] < 0 ? -kInf : in[static_cast<std::size_t>(at[i])]);
    if (at[i] < 0) continue;
    gradient[static_cast<std::size_t>(at[i])] += g[i];
    curvature[static_cast<std::size_t>(at[i])] += 2 * g[i];
  }
  check_tensor(y, y.shape(), expected, 0);
  with_both_rules([&] {
    const auto weighted = [&](const Tensor& v) { return max_pool2d(v, options_of(c)) * weights; };
    check_tensor(derivative(weighted, x), x.shape(), gradient, tolerance_of(x.dtype(), 1e-5, 1e-13));
  });
  // Of squares the second derivative is there as well; where some are infinite, or NaN, so are these.
  for (const double v : in)
    if (!std::isfinite(v)) return;
  for (const double v : expected)
    if (!std::isfinite(v)) return;
  const auto squared = [&](const Tensor& v) { return square(max_pool2d(v, options_of(c))) * weights; };
  check_tensor(derivative(squared, x, 2), x.shape(), curvature, tolerance_of(x.dtype(), 1e-5, 1e-13));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(max_pool)

BOOST_AUTO_TEST_CASE(values_and_gradients_of_every_window) {
  for (const WindowCase& c : window_cases())
    for (const Dtype dtype : {f32, f64}) BOOST_TEST_CONTEXT(text_of(c) << " " << name_of(dtype)) {
        check(c, random(c.images, dtype));
        check(c, cast(random(c.images, i64), dtype));
      }
}

BOOST_AUTO_TEST_CASE(windows_that_lie_in_the_padding) {
  const WindowCase c{{2, 2}, {1, 1}, {1, 1}, {2, 3}, false, {1, 2, 2, 3}};
  check(c, random(c.images, f64));
  const WindowCase row{{2, 2}, {1, 2}, {1, 1}, {3, 1}, false, {1, 1, 2, 40}};
  check(row, random(row.images, f32));
}

BOOST_AUTO_TEST_CASE(infinities_and_nan) {
  for (const WindowCase& c : window_cases()) {
    if (c.images.size() == 0) continue;
    for (const double special : {kInf, -kInf, kNan})
      for (const Dtype dtype : {f32, f64}) BOOST_TEST_CONTEXT(text_of(c) << ", " << special) {
          std::vector<double> v = numbers(random(c.images, dtype));
          for (std::size_t i = 0; i < v.size(); i += 3) v[i] = special;
          check(c, cast(Tensor::from(v, c.images), dtype));
          check(c, Tensor::full(c.images, special, dtype));
        }
  }
}

BOOST_AUTO_TEST_CASE(of_equal_elements_the_first_is_taken_also_of_both_zeros) {
  const Tensor x = Tensor::from({-0.0, 0, 0, -0.0, 3, 3, 1, 3}, {1, 1, 2, 4}, f64);
  check_tensor(derivative([](const Tensor& v) { return max_pool2d(v, 2); }, x), {1, 1, 2, 4},
               {0, 0, 0, 0, 1, 0, 0, 1}, 0);
  BOOST_TEST(std::signbit(numbers(max_pool2d(slice(x, 2, 0, 1), {.kernel = {1, 2}}))[0]));
}

BOOST_AUTO_TEST_CASE(short_forms_and_sequences) {
  const Tensor x = random({2, 3, 9});
  const Tensor image = unsqueeze(x, 2);
  check_tensor(max_pool1d(x, 3), {2, 3, 3}, numbers(max_pool2d(image, {.kernel = {1, 3}, .stride = {1, 3}})),
               0);
  check_tensor(
      max_pool1d(x, {.kernel = 3, .stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true}), {2, 3, 4},
      numbers(max_pool2d(
          image,
          {.kernel = {1, 3}, .stride = {1, 2}, .padding = {0, 1}, .dilation = {1, 2}, .ceil_mode = true})),
      0);
  const auto f = [](const Tensor& v) { return square(max_pool1d(v, 2)); };
  const auto same = [](const Tensor& v) { return square(max_pool2d(unsqueeze(v, 2), {.kernel = {1, 2}})); };
  for (const int order : {1, 2})
    check_tensor(derivative(f, x, order), {2, 3, 9}, numbers(derivative(same, x, order)), 0);
  const Tensor y = random({1, 2, 4, 4});
  check_tensor(max_pool2d(y, 2), {1, 2, 2, 2}, numbers(max_pool2d(y, {.kernel = {2, 2}, .stride = {2, 2}})),
               0);
}

// A gradient that is there already is added to, also where rows of windows are not whole blocks of vectors.
BOOST_AUTO_TEST_CASE(gradients_add_up) {
  for (const std::int64_t width : {2, 6, 7, 27, 64})
    for (const std::int64_t stride : {1, 2}) {
      const Tensor x = random({2, 2, 5, width}, f32);
      const MaxPool2dOptions o{.kernel = {2, 2}, .stride = {stride, stride}};
      const Tensor once = derivative([&](const Tensor& v) { return max_pool2d(v, o); }, x);
      const Tensor twice =
          derivative([&](const Tensor& v) { return max_pool2d(v, o) + max_pool2d(v, o); }, x);
      check_tensor(twice, x.shape(), numbers(once * 2), 0);
    }
}

BOOST_AUTO_TEST_CASE(threads_make_no_difference) {
  for (const Dtype dtype : {f32, f64}) {
    check_threads(random({7, 11, 48, 48}, dtype), [](const Tensor& x) { return max_pool2d(x, 2); });
    check_threads(random({7, 11, 48, 48}, dtype), [](const Tensor& x) {
      return max_pool2d(x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
    });
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  BOOST_CHECK_EXCEPTION(max_pool2d(x, 6), ShapeError,
                        mentions("max_pool2d: ", "spans 6", "[2, 3, 4, 5]", "would have size"));
  BOOST_CHECK_EXCEPTION(max_pool2d(x, 0), ArgumentError, mentions("max_pool2d: the kernel is 0"));
  BOOST_CHECK_EXCEPTION(max_pool2d(x, MaxPool2dOptions{}), ArgumentError, mentions("the kernel is 0"));
  BOOST_CHECK_EXCEPTION(max_pool2d(x, {.kernel = {2, 2}, .stride = {0, 1}}), ArgumentError,
                        mentions("max_pool2d: the stride is 0 along axis 2"));
  BOOST_CHECK_EXCEPTION(max_pool2d(x, {.kernel = {3, 3}, .padding = {1, 2}}), ArgumentError,
                        mentions("max_pool2d: the padding is 2 along axis 3", "half of the kernel, 1"));
  BOOST_CHECK_EXCEPTION(max_pool2d(x, {.kernel = {3, 3}, .padding = {-1, 0}}), ArgumentError,
                        mentions("padding before is -1"));
  BOOST_CHECK_EXCEPTION(max_pool2d(Tensor::ones({3, 4, 5}), 2), ShapeError,
                        mentions("[3, 4, 5]", "[n, c, h, w]"));
  BOOST_CHECK_EXCEPTION(max_pool2d(Tensor(), 2), ArgumentError, mentions("max_pool2d", "undefined"));
  BOOST_CHECK_EXCEPTION(max_pool2d(Tensor::ones({1, 1, 2, 2}, i64), 2), DtypeError,
                        mentions("max_pool2d", "i64"));
  BOOST_CHECK_EXCEPTION(max_pool2d(Tensor::ones({1, 1, 0, 2}), 2), ShapeError,
                        mentions("axis 2", "no elements"));
  BOOST_CHECK_EXCEPTION(max_pool1d(x, 2), ShapeError, mentions("max_pool1d: ", "[n, c, l]"));
  BOOST_CHECK_EXCEPTION(max_pool1d(Tensor::ones({2, 3, 4}), 5), ShapeError,
                        mentions("max_pool1d: ", "spans 5", "axis 2 of [2, 3, 4]"));
  BOOST_CHECK_EXCEPTION(max_pool1d(Tensor::ones({2, 3, 4}), {.kernel = 2, .padding = 2}), ArgumentError,
                        mentions("max_pool1d: the padding is 2 along axis 2"));
  BOOST_CHECK_EXCEPTION(max_pool1d(Tensor(), 2), ArgumentError, mentions("max_pool1d", "undefined"));
}

BOOST_AUTO_TEST_CASE(attributes) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({1, 1, 4, 4}, f64));
  const Tensor y = max_pool2d(x, {.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}});
  const TapeView view(tape);
  AttributeText text;
  view[*view.find(y)].describe(text);
  BOOST_TEST(text.text() ==
             "kernel=[3, 2], stride=[1, 2], padding=[1, 1, 0, 0], dilation=[1, 1], ceil_mode=false");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace max_pool_test
