// Upsampling beside direct loops over the formulas of PyTorch's interpolate.

#include <algorithm>
#include <cmath>

#include <tapegrad/tapegrad.h>

#include "kernel_support.h"

namespace upsampling_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Size = Sizes<2>;

/// The weight of element k of `in` in element i of `out`.
long double weight(std::int64_t i, std::int64_t k, std::int64_t in, std::int64_t out,
                   const UpsampleOptions& o) {
  if (o.mode == UpsampleMode::nearest) return k == i * in / out;
  long double at = 0;
  if (o.align_corners)
    at = out > 1 ? static_cast<long double>(i * (in - 1)) / static_cast<long double>(out - 1) : 0;
  else
    at = std::max(0.0L, (static_cast<long double>(i) + 0.5L) * static_cast<long double>(in) /
                                static_cast<long double>(out) -
                            0.5L);
  at = std::min(at, static_cast<long double>(in - 1));
  return std::max(0.0L, 1 - std::abs(at - static_cast<long double>(k)));
}

/// Results for x, and for a gradient g of them that of x.
struct Reference {
  std::vector<double> y, dx;
  Reference(const Tensor& x, const Tensor& g, const UpsampleOptions& o) {
    const std::int64_t planes = x.dim(0) * x.dim(1), h = x.dim(2), w = x.dim(3), H = g.dim(2), W = g.dim(3);
    const std::vector<double> from = numbers(x), seed = numbers(g);
    std::vector<long double> values(seed.size()), gradients(from.size());
    for (std::int64_t p = 0; p < planes; ++p)
      for (std::int64_t i = 0; i < H; ++i)
        for (std::int64_t j = 0; j < W; ++j)
          for (std::int64_t k = 0; k < h; ++k)
            for (std::int64_t l = 0; l < w; ++l) {
              const long double share = weight(i, k, h, H, o) * weight(j, l, w, W, o);
              const auto in = static_cast<std::size_t>((p * h + k) * w + l);
              const auto out = static_cast<std::size_t>((p * H + i) * W + j);
              values[out] += share * static_cast<long double>(from[in]);
              gradients[in] += share * static_cast<long double>(seed[out]);
            }
    y.assign(values.begin(), values.end());
    dx.assign(gradients.begin(), gradients.end());
  }
};

UpsampleOptions sized(const Size& size, UpsampleMode mode, bool align = false) {
  return {.size = size, .mode = mode, .align_corners = align};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(upsampling)

BOOST_AUTO_TEST_CASE(values_and_gradients_are_those_of_direct_loops) {
  const std::vector<std::pair<Shape, Size>> sizes{
      {{2, 3, 4, 5}, {8, 10}},  {{1, 2, 3, 5}, {7, 19}}, {{2, 1, 7, 9}, {3, 4}},    {{1, 1, 1, 6}, {5, 1}},
      {{1, 1, 1, 1}, {3, 3}},   {{1, 2, 6, 6}, {6, 6}},  {{1, 1, 5, 17}, {11, 40}}, {{1, 1, 2, 19}, {6, 57}},
      {{1, 2, 3, 18}, {3, 72}}, {{1, 1, 2, 9}, {8, 50}}, {{1, 1, 2, 40}, {2, 80}},  {{1, 1, 3, 33}, {4, 41}}};
  const std::pair<UpsampleMode, bool> modes[] = {
      {UpsampleMode::nearest, false}, {UpsampleMode::bilinear, false}, {UpsampleMode::bilinear, true}};
  for_each_isa([&] {
    for (const Dtype dtype : {f64, f32})
      for (const auto& [shape, size] : sizes)
        for (const auto& [mode, align] : modes)
          BOOST_TEST_CONTEXT(to_string(shape) << " as " << size[0] << " x " << size[1] << ", mode "
                                              << static_cast<int>(mode) << align) {
            const UpsampleOptions o = sized(size, mode, align);
            const Tensor x = random(shape, dtype, -2, 2, 1);
            const Tensor g = random(shape.with(2, size[0]).with(3, size[1]), dtype, -2, 2, 2);
            const Reference expected(x, g, o);
            Tape tape;
            const Tensor watched = tape.watch(x), y = upsample(watched, o);
            const double tolerance = dtype == f64 ? 1e-13 : 2e-6;
            check_tensor(y, g.shape(), expected.y, tolerance);
            check_tensor(tape.backward(y, g)[watched], shape, expected.dx, tolerance);
          }
  });
}

BOOST_AUTO_TEST_CASE(values_of_pytorch) {
  const Tensor x = Tensor::from({1, 2, 3, 4}, {1, 1, 2, 2}, f64);
  check_tensor(upsample(x, 2), {1, 1, 4, 4}, {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  // The example of torch.nn.Upsample.
  check_tensor(upsample(x, {.scale = 2, .mode = UpsampleMode::bilinear}), {1, 1, 4, 4},
               {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4});
  const double t = 1. / 3;
  check_tensor(upsample(x, {.scale = 2, .mode = UpsampleMode::bilinear, .align_corners = true}), {1, 1, 4, 4},
               {1, 1 + t, 1 + 2 * t, 2, 1 + 2 * t, 2, 2 + t, 2 + 2 * t, 2 + t, 2 + 2 * t, 3, 3 + t, 3, 3 + t,
                3 + 2 * t, 4});
}

BOOST_AUTO_TEST_CASE(scales_are_rounded_down) {
  const Tensor x = Tensor::ones({1, 2, 5, 3});
  BOOST_TEST((upsample(x, 1.5).shape() == Shape{1, 2, 7, 4}));
  BOOST_TEST((upsample(x, 0.5).shape() == Shape{1, 2, 2, 1}));
  BOOST_TEST((upsample(Tensor::ones({0, 2, 5, 3}), 2).shape() == Shape{0, 2, 10, 6}));
  // Nothing is made for images that are not there.
  constexpr std::int64_t kFar = std::int64_t{1} << 50;
  const Tensor none =
      upsample(Tensor::ones({0, 1, 2, 2}), {.size = {kFar, 1}, .mode = UpsampleMode::bilinear});
  BOOST_TEST((none.shape() == Shape{0, 1, kFar, 1}));
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  for (const auto mode : {UpsampleMode::nearest, UpsampleMode::bilinear})
    check_bits_for_threads([&] {
      const Tensor x = random({6, 5, 40, 41}, f32);
      Tape tape;
      const Tensor watched = tape.watch(x), y = upsample(watched, sized({90, 77}, mode));
      return std::vector<Tensor>{y.detach(), tape.backward(y, random({6, 5, 90, 77}, f32))[watched]};
    });
}

BOOST_AUTO_TEST_CASE(an_element_of_no_weight_is_not_read) {
  const Tensor x = Tensor::from({1, kNan, 2, kInf}, {1, 1, 1, 4}, f64);
  const std::vector<double> y = numbers(upsample(x, sized({1, 7}, UpsampleMode::bilinear, true)));
  BOOST_TEST(y[0] == 1);
  BOOST_TEST(y[4] == 2);
  for (const std::size_t i : {1, 2, 3}) BOOST_TEST(std::isnan(y[i]));
  BOOST_TEST(y[6] == kInf);
}

BOOST_AUTO_TEST_CASE(a_gradient_reaches_no_element_without_a_share) {
  // For each of the loops over columns: of steps 1 to 4, and any.
  for (const std::int64_t width : {11, 20, 27, 36, 45, 61}) {
    constexpr std::int64_t kElements = 9;
    for (const auto& [mode, align] : {std::pair{UpsampleMode::nearest, false},
                                      {UpsampleMode::bilinear, false},
                                      {UpsampleMode::bilinear, true}})
      BOOST_TEST_CONTEXT(width << " wide, mode " << static_cast<int>(mode) << align) {
        const UpsampleOptions o = sized({4, width}, mode, align);
        for (std::int64_t j = 0; j < width; ++j) {
          Tensor g = Tensor::ones({1, 1, 4, width}, f64);
          g.mutable_values<double>()[static_cast<std::size_t>(width + j)] = kInf;
          Tape tape;
          const Tensor x = tape.watch(Tensor::zeros({1, 1, 2, kElements}, f64));
          const std::vector<double> dx = numbers(tape.backward(upsample(x, o), g)[x]);
          for (std::int64_t k = 0; k < 2 * kElements; ++k) {
            const bool shared = weight(1, k / kElements, 2, 4, o) > 0 &&
                                weight(j, k % kElements, kElements, width, o) > 1e-15L;
            const double at = dx[static_cast<std::size_t>(k)];
            BOOST_REQUIRE((shared ? at == kInf : std::isfinite(at)));
          }
        }
      }
  }
}

BOOST_AUTO_TEST_CASE(the_layer_computes_what_the_operation_does) {
  const Tensor x = random({2, 3, 4, 5}, f32);
  const UpsampleOptions options{.size = {9, 7}, .mode = UpsampleMode::bilinear, .align_corners = true};
  nn::Upsample by_scale(2), by_options(options);
  check_tensor(by_scale(x), {2, 3, 8, 10}, numbers(upsample(x, 2)), 0);
  check_tensor((*by_options.clone())(x), {2, 3, 9, 7}, numbers(upsample(x, options)), 0);
  BOOST_TEST(by_scale.options().scale == 2);
  nn::Sequential net{nn::named("up", nn::Upsample(2))};
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({3, 4})), ShapeError,
                        mentions("upsample 'up'", "[3, 4]", "[n, c, h, w]"));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const Tensor x = Tensor::ones({1, 1, 3, 4});
  const auto refused = [&](const UpsampleOptions& o, auto&&... words) {
    BOOST_CHECK_EXCEPTION(upsample(x, o), ArgumentError, mentions("upsample", words...));
  };
  refused({}, "neither size nor scale");
  refused({.size = {2, 2}, .scale = 2}, "both size and scale");
  refused({.size = {2, 0}}, "2 x 0", "[1, 1, 3, 4]");
  refused({.size = {std::int64_t{1} << 60, 2}}, "1152921504606846976 x 2", "at most 2^53");
  refused({.scale = 2, .align_corners = true}, "align_corners is of bilinear");
  for (const double scale : {-1.0, kNan, kInf}) refused({.scale = scale}, "scale is", "positive and finite");
  refused({.scale = 0.3}, "axis 2", "[1, 1, 3, 4]", "at least 1");
  refused({.scale = 1e300}, "at most 2^53");
  BOOST_CHECK_EXCEPTION(upsample(Tensor::ones({1, 1, 0, 4}), 2), ShapeError, mentions("[1, 1, 0, 4]"));
  BOOST_CHECK_EXCEPTION(upsample(Tensor::ones({1, 1, 2, 2}, i64), 2), DtypeError,
                        mentions("upsample", "i64"));
  BOOST_CHECK_EXCEPTION(upsample(Tensor(), 2), ArgumentError, mentions("undefined"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace upsampling_test
