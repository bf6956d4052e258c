// Windows as columns, against a loop over each place of each window.

#include <tapegrad/graph/tape_view.h>

#include "pool_support.h"

namespace im2col_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

Im2colOptions options_of(const WindowCase& c) {
  return {.kernel = c.kernel, .stride = c.stride, .padding = c.padding, .dilation = c.dilation};
}

/// Padding of any width, and elements of no window; without ceil_mode, which there is not here.
std::vector<WindowCase> columns_cases() {
  std::vector<WindowCase> all;
  for (WindowCase c : window_cases())
    if (!c.ceil_mode) all.push_back(c);
  all.push_back({{2, 2}, {1, 1}, {3, 4}, {1, 1}, false, {2, 2, 3, 4}});
  all.push_back({{2, 2}, {1, 2}, {4, 1}, {6, 5}, false, {1, 1, 2, 5}});
  all.push_back({{1, 1}, {2, 3}, {2, 2}, {1, 1}, false, {1, 2, 3, 3}});
  all.push_back({{1, 2}, {3, 3}, {0, 0}, {1, 1}, false, {1, 2, 7, 8}});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(im2col_op)

BOOST_AUTO_TEST_CASE(columns_images_and_gradients) {
  for (const WindowCase& c : columns_cases())
    for (const Dtype dtype : {f32, f64}) BOOST_TEST_CONTEXT(text_of(c) << " " << name_of(dtype)) {
        const auto windows = detail::windows_of("test", c.images, window_of(c));
        const std::int64_t area = c.kernel[0] * c.kernel[1], line = windows[0] * windows[1];
        const Shape shape{c.images[0], c.images[1] * area, line};
        const Tensor x = random(c.images, dtype), g = random(shape, dtype, -1, 2, 7);
        const std::vector<double> in = numbers(x), columns = numbers(g);
        std::vector<double> expected(static_cast<std::size_t>(shape.size()), 0), sums(in.size(), 0);
        std::vector<double> of_columns(expected.size(), 0);
        for_each_place(c, [&](std::size_t window, std::int64_t place, std::int64_t element) {
          const std::int64_t plane = static_cast<std::int64_t>(window) / line;
          const std::int64_t column = static_cast<std::int64_t>(window) % line;
          const auto at = static_cast<std::size_t>((plane * area + place) * line + column);
          if (element < 0) return;
          expected[at] = in[static_cast<std::size_t>(element)];
          sums[static_cast<std::size_t>(element)] += columns[at];
          of_columns[at] = in[static_cast<std::size_t>(element)];
        });
        const Im2colOptions o = options_of(c);
        const std::array<std::int64_t, 2> size{c.images[2], c.images[3]};
        check_tensor(im2col(x, o), shape, expected, 0);
        check_tensor(col2im(g, size, o), c.images, sums);
        // Each is the gradient of the other.
        with_both_rules([&] {
          check_tensor(derivative([&](const Tensor& v) { return im2col(v, o) * g; }, x), c.images, sums);
          check_tensor(derivative([&](const Tensor& v) { return col2im(v, size, o) * x; }, g), shape,
                       of_columns, 0);
        });
        // The second derivative of half the sum of squares: how many windows an element stands in.
        std::vector<double> times(in.size(), 0);
        for_each_place(c, [&](std::size_t, std::int64_t, std::int64_t element) {
          if (element >= 0) times[static_cast<std::size_t>(element)] += 1;
        });
        check_tensor(derivative([&](const Tensor& v) { return square(im2col(v, o)) * 0.5; }, x, 2), c.images,
                     times);
      }
}

// Zeros that users see have no sign; those of gradients say that nothing was contributed.
BOOST_AUTO_TEST_CASE(zeros) {
  const Im2colOptions o{.kernel = {2, 2}, .stride = {3, 3}, .padding = {1, 1}};
  const Tensor x = random({1, 1, 4, 4}, f64, 1, 2);
  for (const double v : numbers(im2col(x, o))) BOOST_TEST(!std::signbit(v));
  for (const double v : numbers(col2im(im2col(x, o), {4, 4}, o))) BOOST_TEST(!std::signbit(v));
}

BOOST_AUTO_TEST_CASE(elements_of_no_window_have_no_part_in_derivatives) {
  const Tensor x = Tensor::from({1, 4, 0, 9}, {1, 1, 1, 4}, f64);
  const auto f = [](const Tensor& v) { return im2col(sqrt(v), {.kernel = {1, 2}, .stride = {1, 4}}); };
  check_tensor(derivative(f, x), {1, 1, 1, 4}, {0.5, 0.25, 0, 0});
  const Tensor columns = Tensor::from({0, 1, 1, 0}, {1, 2, 2}, f64);
  const auto g = [](const Tensor& v) {
    return col2im(sqrt(v), {1, 1}, {.kernel = {1, 2}, .padding = {0, 1}});
  };
  check_tensor(derivative(g, columns), {1, 2, 2}, {0, 0.5, 0.5, 0});
  for (const int order : {2, 3}) {
    BOOST_TEST(numbers(derivative(f, x, order))[2] == 0);
    BOOST_TEST(numbers(derivative(g, columns, order))[0] == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_convolution_is_a_product_with_columns) {
  const Tensor x = Tensor::from({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3}, f64);
  check_tensor(im2col(x, {.kernel = {2, 2}}), {1, 4, 4}, {1, 2, 4, 5, 2, 3, 5, 6, 4, 5, 7, 8, 5, 6, 8, 9}, 0);
  const Tensor kernel = Tensor::from({{1, 10, 100, 1000}}, f64);
  check_tensor(matmul(kernel, select(im2col(x, {.kernel = {2, 2}}), 0, 0)), {1, 4}, {5421, 6532, 8754, 9865},
               0);
}

BOOST_AUTO_TEST_CASE(threads_make_no_difference) {
  const Im2colOptions o{.kernel = {3, 3}, .stride = {2, 1}, .padding = {1, 1}};
  for (const Dtype dtype : {f32, f64}) {
    check_threads(random({3, 4, 60, 61}, dtype), [&](const Tensor& x) { return im2col(x, o); });
    check_threads(random({3, 4 * 9, 30 * 61}, dtype), [&](const Tensor& x) {
      return col2im(x, {60, 61}, o);
    });
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  BOOST_CHECK_EXCEPTION(im2col(x, {.kernel = {5, 5}}), ShapeError, mentions("im2col: ", "spans 5", "axis 2"));
  BOOST_CHECK_EXCEPTION(im2col(x, {}), ArgumentError, mentions("im2col: the kernel is 0"));
  BOOST_CHECK_EXCEPTION(im2col(Tensor::ones({3, 4, 5}), {.kernel = {1, 1}}), ShapeError,
                        mentions("[n, c, h, w]"));
  BOOST_CHECK_EXCEPTION(im2col(Tensor(), {.kernel = {1, 1}}), ArgumentError, mentions("im2col", "undefined"));
  BOOST_CHECK_EXCEPTION(im2col(Tensor::ones({1, 1, 2, 2}, i64), {.kernel = {1, 1}}), DtypeError,
                        mentions("i64"));
  const std::int64_t huge = std::int64_t{1} << 28;
  BOOST_CHECK_EXCEPTION(im2col(x, {.kernel = {huge, huge}, .padding = {huge, huge}}), ShapeError,
                        mentions("im2col", "too many elements"));
  BOOST_CHECK_EXCEPTION(
      im2col(Tensor::ones({0, 1 << 10, 4, 5}), {.kernel = {huge, huge}, .padding = {huge, huge}}), ShapeError,
      mentions("im2col: 1024 channels of 268435456 x 268435456"));

  const Tensor columns = Tensor::ones({2, 12, 9});
  const Im2colOptions o{.kernel = {2, 2}};
  BOOST_TEST((col2im(columns, {4, 4}, o).shape() == Shape{2, 3, 4, 4}));
  BOOST_CHECK_EXCEPTION(
      col2im(columns, {4, 5}, o), ShapeError,
      mentions("col2im: the columns are [2, 12, 9]", "images of 4 x 5 have 3 x 4 windows", "[n, 4 c, 12]"));
  BOOST_CHECK_EXCEPTION(col2im(Tensor::ones({2, 10, 9}), {4, 4}, o), ShapeError,
                        mentions("[2, 10, 9]", "[n, 4 c, 9]"));
  BOOST_CHECK_EXCEPTION(col2im(x, {4, 4}, o), ShapeError, mentions("col2im", "[n, c kh kw, oh ow]"));
  BOOST_CHECK_EXCEPTION(col2im(columns, {1, 4}, o), ShapeError, mentions("col2im", "spans 2"));
  BOOST_CHECK_EXCEPTION(col2im(columns, {-1, 4}, o), ShapeError, mentions("col2im", "negative"));
  BOOST_CHECK_EXCEPTION(col2im(Tensor(), {4, 4}, o), ArgumentError, mentions("col2im", "undefined"));
}

BOOST_AUTO_TEST_CASE(attributes) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({1, 1, 4, 4}, f64));
  const Tensor y = im2col(x, {.kernel = {2, 3}, .padding = {1, 0}});
  const auto text_of = [&](const Tensor& t) {
    AttributeText text;
    const TapeView view(tape);
    view[*view.find(t)].describe(text);
    return text.text();
  };
  BOOST_TEST(text_of(y) ==
             "kernel=[2, 3], stride=[1, 1], padding=[1, 1, 0, 0], dilation=[1, 1], of_gradient=false");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace im2col_op_test
