// Means of windows and of parts, and their gradients, against loops over each of their elements in double.

#include <tapegrad/graph/tape_view.h>

#include "pool_support.h"

namespace avg_pool_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Pooling has no dilation here, and its padding is at most half of the kernel.
std::vector<WindowCase> avg_cases() {
  std::vector<WindowCase> all;
  for (WindowCase c : window_cases()) {
    c.dilation = {1, 1};
    all.push_back(c);
  }
  return all;
}

/// By how much window o of an axis divides, as torch.nn.AvgPool2d documents it.
double divisor(std::int64_t o, std::int64_t size, std::int64_t kernel, std::int64_t stride,
               std::int64_t padding, bool count_include_pad) {
  const std::int64_t begin = o * stride - padding, end = std::min(begin + kernel, size + padding);
  return static_cast<double>(count_include_pad ? end - begin
                                               : std::min(end, size) - std::max<std::int64_t>(begin, 0));
}

void check(const WindowCase& c, Dtype dtype, bool count_include_pad) {
  const AvgPool2dOptions o{.kernel = c.kernel,
                           .stride = c.stride,
                           .padding = c.padding,
                           .ceil_mode = c.ceil_mode,
                           .count_include_pad = count_include_pad};
  const auto windows = detail::windows_of("test", c.images, window_of(c));
  const Tensor x = random(c.images, dtype);
  const std::vector<double> in = numbers(x);
  const Shape pooled{c.images[0], c.images[1], windows[0], windows[1]};
  const auto count = static_cast<std::size_t>(pooled.size());
  std::vector<double> expected(count, 0), gradient(in.size(), 0), divisors;
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t oh = at / windows[1] % windows[0], ow = at % windows[1];
    divisors.push_back(divisor(oh, c.images[2], c.kernel[0], c.stride[0], c.padding[0], count_include_pad) *
                       divisor(ow, c.images[3], c.kernel[1], c.stride[1], c.padding[1], count_include_pad));
  }
  const Tensor weights = random(pooled, dtype, -1, 2, 7);
  const std::vector<double> g = numbers(weights);
  for_each_place(c, [&](std::size_t window, std::int64_t, std::int64_t element) {
    if (element < 0) return;
    expected[window] += in[static_cast<std::size_t>(element)] / divisors[window];
    gradient[static_cast<std::size_t>(element)] += g[window] / divisors[window];
  });
  check_tensor(avg_pool2d(x, o), pooled, expected);
  with_both_rules([&] {
    check_tensor(derivative([&](const Tensor& v) { return avg_pool2d(v, o) * weights; }, x), x.shape(),
                 gradient);
  });
  // The second derivative of half the sum of squares is the adjoint of the means of ones.
  const auto half_squares = [&](const Tensor& v) { return square(avg_pool2d(v, o)) * 0.5; };
  std::vector<double> ones(count, 0), curvature(in.size(), 0);
  for_each_place(c, [&](std::size_t window, std::int64_t, std::int64_t element) {
    if (element >= 0) ones[window] += 1 / divisors[window];
  });
  for_each_place(c, [&](std::size_t window, std::int64_t, std::int64_t element) {
    if (element >= 0) curvature[static_cast<std::size_t>(element)] += ones[window] / divisors[window];
  });
  check_tensor(derivative(half_squares, x, 2), x.shape(), curvature);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(avg_pool)

BOOST_AUTO_TEST_CASE(values_and_gradients_of_every_window) {
  for (const WindowCase& c : avg_cases())
    for (const Dtype dtype : {f32, f64})
      for (const bool count_include_pad : {true, false})
        BOOST_TEST_CONTEXT(text_of(c)
                           << " " << name_of(dtype) << (count_include_pad ? "" : ", without the padding"))
  check(c, dtype, count_include_pad);
}

// PyTorch 1.13: torch.avg_pool2d(torch.ones(1, 1, 3, 3), 2, 2, 1, ceil_mode=True, count_include_pad=True).
BOOST_AUTO_TEST_CASE(divisors_are_those_of_pytorch) {
  const Tensor x = Tensor::ones({1, 1, 3, 3}, f64);
  AvgPool2dOptions o{.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true};
  check_tensor(avg_pool2d(x, o), {1, 1, 2, 2}, {0.25, 0.5, 0.5, 1});
  o.count_include_pad = false;
  check_tensor(avg_pool2d(x, o), {1, 1, 2, 2}, {1, 1, 1, 1});
  // A window that overhangs the padding is divided by what lies within.
  check_tensor(
      avg_pool1d(Tensor::ones({1, 1, 4}, f64), {.kernel = 3, .stride = 3, .padding = 1, .ceil_mode = true}),
      {1, 1, 2}, {2.0 / 3, 2.0 / 3});
}

BOOST_AUTO_TEST_CASE(short_forms_and_sequences) {
  const Tensor x = random({2, 3, 9});
  const Tensor image = unsqueeze(x, 2);
  check_tensor(avg_pool1d(x, 3), {2, 3, 3}, numbers(avg_pool2d(image, {.kernel = {1, 3}})), 0);
  check_tensor(
      avg_pool1d(x, {.kernel = 4, .stride = 2, .padding = 2, .ceil_mode = true, .count_include_pad = false}),
      {2, 3, 6},
      numbers(avg_pool2d(image, {.kernel = {1, 4},
                                 .stride = {1, 2},
                                 .padding = {0, 2},
                                 .ceil_mode = true,
                                 .count_include_pad = false})),
      0);
  const Tensor y = random({1, 2, 4, 4});
  check_tensor(avg_pool2d(y, 2), {1, 2, 2, 2}, numbers(avg_pool2d(y, {.kernel = {2, 2}, .stride = {2, 2}})),
               0);
}

BOOST_AUTO_TEST_CASE(a_sum_of_many_keeps_its_digits) {
  // 1 + 2^-20 in f32, a million times: summed in f32 it would be off in the fourth digit.
  const float v = 1 + 0x1p-20F;
  const Tensor x = Tensor::full({1, 1, 1000, 1000}, v);
  BOOST_TEST(numbers(avg_pool2d(x, 1000))[0] == v);
  BOOST_TEST(numbers(adaptive_avg_pool2d(x, {1, 1}))[0] == v);
  BOOST_TEST(numbers(global_avg_pool(x))[0] == v);
}

BOOST_AUTO_TEST_CASE(adaptive_parts) {
  struct Case {
    Shape images;
    std::array<std::int64_t, 2> size;
  };
  for (const Case& c : {Case{{2, 3, 4, 6}, {2, 3}}, Case{{1, 2, 7, 5}, {3, 2}}, Case{{2, 1, 2, 3}, {5, 4}},
                        Case{{1, 1, 4, 4}, {1, 1}}, Case{{0, 2, 4, 4}, {2, 2}}, Case{{3, 5, 17, 33}, {7, 7}}})
    for (const Dtype dtype : {f32, f64})
      BOOST_TEST_CONTEXT(to_string(c.images) << " to " << c.size[0] << " x " << c.size[1]) {
        const Tensor x = random(c.images, dtype);
        const std::vector<double> in = numbers(x);
        const std::int64_t h = c.images[2], w = c.images[3];
        const Shape pooled{c.images[0], c.images[1], c.size[0], c.size[1]};
        const Tensor weights = random(pooled, dtype, -1, 2, 7);
        const std::vector<double> g = numbers(weights);
        std::vector<double> expected, gradient(in.size(), 0);
        for (std::int64_t plane = 0; plane < c.images[0] * c.images[1]; ++plane)
          for (std::int64_t i = 0; i < c.size[0]; ++i)
            for (std::int64_t j = 0; j < c.size[1]; ++j) {
              const auto bound = [](std::int64_t a, std::int64_t size, std::int64_t parts) {
                return static_cast<double>(a) * static_cast<double>(size) / static_cast<double>(parts);
              };
              const auto r0 = static_cast<std::int64_t>(std::floor(bound(i, h, c.size[0])));
              const auto r1 = static_cast<std::int64_t>(std::ceil(bound(i + 1, h, c.size[0])));
              const auto c0 = static_cast<std::int64_t>(std::floor(bound(j, w, c.size[1])));
              const auto c1 = static_cast<std::int64_t>(std::ceil(bound(j + 1, w, c.size[1])));
              const double n = static_cast<double>((r1 - r0) * (c1 - c0));
              double sum = 0;
              for (std::int64_t y = r0; y < r1; ++y)
                for (std::int64_t z = c0; z < c1; ++z) {
                  const auto at = static_cast<std::size_t>((plane * h + y) * w + z);
                  sum += in[at];
                  gradient[at] += g[expected.size()] / n;
                }
              expected.push_back(sum / n);
            }
        check_tensor(adaptive_avg_pool2d(x, c.size), pooled, expected);
        with_both_rules([&] {
          check_tensor(
              derivative([&](const Tensor& v) { return adaptive_avg_pool2d(v, c.size) * weights; }, x),
              x.shape(), gradient);
        });
      }
}

BOOST_AUTO_TEST_CASE(global_means) {
  const Tensor x = random({2, 3, 4, 5});
  check_tensor(global_avg_pool(x), {2, 3}, numbers(mean(x, {2, 3})), 0);
  check_tensor(global_avg_pool(select(x, 3, 1)), {2, 3}, numbers(mean(select(x, 3, 1), 2)), 0);
  check_tensor(global_avg_pool(Tensor::ones({0, 3, 4, 5})), {0, 3}, {});
  check_tensor(derivative([](const Tensor& v) { return global_avg_pool(v); }, x), {2, 3, 4, 5},
               std::vector<double>(120, 0.05));
}

BOOST_AUTO_TEST_CASE(threads_make_no_difference) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor x = random({7, 11, 48, 47}, dtype);
    check_threads(x, [](const Tensor& v) {
      return avg_pool2d(v, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
    });
    check_threads(x, [](const Tensor& v) { return adaptive_avg_pool2d(v, {7, 7}); });
    check_threads(x, [](const Tensor& v) { return global_avg_pool(v); });
  }
}

// What no window has does not depend on the result, however infinite what lies behind.
BOOST_AUTO_TEST_CASE(elements_of_no_window_have_no_part_in_derivatives) {
  const Tensor x = Tensor::from({1, 4, 0, 9}, {1, 1, 1, 4}, f64);
  const auto f = [](const Tensor& v) { return avg_pool2d(sqrt(v), {.kernel = {1, 2}, .stride = {1, 4}}); };
  check_tensor(derivative(f, x), {1, 1, 1, 4}, {0.25, 0.125, 0, 0});
  const auto largest = [](const Tensor& v) { return max_pool2d(sqrt(v), {.kernel = {1, 4}}); };
  check_tensor(derivative(largest, x), {1, 1, 1, 4}, {0, 0, 0, 1.0 / 6});
  for (const int order : {2, 3}) {
    BOOST_TEST(numbers(derivative(f, x, order))[2] == 0);
    BOOST_TEST(numbers(derivative(largest, x, order))[2] == 0);
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({2, 3, 4, 5});
  BOOST_CHECK_EXCEPTION(avg_pool2d(x, 6), ShapeError, mentions("avg_pool2d: ", "spans 6", "would have size"));
  BOOST_CHECK_EXCEPTION(avg_pool2d(x, {.kernel = {2, 2}, .stride = {1, -1}}), ArgumentError,
                        mentions("avg_pool2d: the stride is -1 along axis 3"));
  BOOST_CHECK_EXCEPTION(avg_pool2d(x, {.kernel = {2, 3}, .padding = {2, 0}}), ArgumentError,
                        mentions("avg_pool2d: the padding is 2 along axis 2"));
  BOOST_CHECK_EXCEPTION(avg_pool2d(Tensor::ones({1, 1, 2, 2}, i64), 2), DtypeError,
                        mentions("avg_pool2d", "i64"));
  BOOST_CHECK_EXCEPTION(avg_pool1d(x, 2), ShapeError, mentions("avg_pool1d: ", "[n, c, l]"));
  BOOST_CHECK_EXCEPTION(avg_pool1d(Tensor(), 2), ArgumentError, mentions("avg_pool1d", "undefined"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(x, {0, 1}), ArgumentError,
                        mentions("adaptive_avg_pool2d: 0 x 1", "[2, 3, 4, 5]"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(Tensor::ones({3, 4, 5}), {1, 1}), ShapeError,
                        mentions("[n, c, h, w]"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(Tensor::ones({3, 4, 0, 5}), {1, 1}), ShapeError,
                        mentions("axis 2", "no elements"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(x, {std::int64_t{1} << 40, std::int64_t{1} << 40}), ShapeError,
                        mentions("adaptive_avg_pool2d", "too many elements"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(Tensor(), {1, 1}), ArgumentError, mentions("undefined"));
  BOOST_CHECK_EXCEPTION(adaptive_avg_pool2d(Tensor::ones({1, 1, 2, 2}, i64), {1, 1}), DtypeError,
                        mentions("i64"));
  BOOST_CHECK_EXCEPTION(global_avg_pool(Tensor::ones({3, 4})), ShapeError,
                        mentions("global_avg_pool: ", "[3, 4]", "[n, c, ...]"));
  BOOST_CHECK_EXCEPTION(global_avg_pool(Tensor::ones({3, 4, 0})), ShapeError,
                        mentions("axis 2", "no elements"));
  BOOST_CHECK_EXCEPTION(global_avg_pool(Tensor::ones({3, 4, 2}, i64)), DtypeError,
                        mentions("global_avg_pool"));
}

BOOST_AUTO_TEST_CASE(attributes) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({1, 1, 4, 4}, f64));
  const auto text_of = [&](const Tensor& y) {
    AttributeText text;
    const TapeView view(tape);
    view[*view.find(y)].describe(text);
    return text.text();
  };
  BOOST_TEST(text_of(avg_pool2d(x, {.kernel = {2, 2}, .count_include_pad = false})) ==
             "kernel=[2, 2], stride=[2, 2], padding=[0, 0, 0, 0], ceil_mode=false, "
             "count_include_pad=false");
  BOOST_TEST(text_of(adaptive_avg_pool2d(x, {2, 3})) == "size=[2, 3]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace avg_pool_test
