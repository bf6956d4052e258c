// Convolutions beside sums over every image, channel and place of the kernel in long double, at random shapes and
// options.

#include <numeric>
#include <random>

#include <tapegrad/ops/loops/parallel.h>

#include "both_rules.h"
#include "kernel_support.h"
#include "op_support.h"

namespace conv_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// A convolution along two axes: sizes of x [n, groups in, ...], the weight [groups out, in, ...] and options.
struct Case {
  std::int64_t n, groups, in, out;
  std::array<std::int64_t, 2> size{}, kernel{}, stride{}, dilation{};
  std::array<Padding, 2> padding{};

  std::int64_t results(std::size_t i) const {
    const std::int64_t room =
        size[i] + padding[i].before + padding[i].after - (kernel[i] - 1) * dilation[i] - 1;
    return room < 0 ? 0 : room / stride[i] + 1;
  }
  Shape x() const { return {n, groups * in, size[0], size[1]}; }
  Shape weight() const { return {groups * out, in, kernel[0], kernel[1]}; }
  Shape y() const { return {n, groups * out, results(0), results(1)}; }
  Conv2dOptions options() const {
    return {.stride = {stride[0], stride[1]},
            .padding = padding,
            .dilation = {dilation[0], dilation[1]},
            .groups = groups};
  }

  /// f(index in x, in the weight, in y) for each term.
  template <class F>
  void for_each_term(const F& f) const {
    const Shape ys = y();
    for (std::int64_t image = 0; image < n; ++image)
      for (std::int64_t o = 0; o < groups * out; ++o)
        for (std::int64_t r = 0; r < ys[2]; ++r)
          for (std::int64_t q = 0; q < ys[3]; ++q)
            for (std::int64_t c = 0; c < in; ++c)
              for (std::int64_t k = 0; k < kernel[0]; ++k)
                for (std::int64_t l = 0; l < kernel[1]; ++l) {
                  const std::int64_t at = r * stride[0] + k * dilation[0] - padding[0].before;
                  const std::int64_t across = q * stride[1] + l * dilation[1] - padding[1].before;
                  if (at < 0 || at >= size[0] || across < 0 || across >= size[1]) continue;
                  const std::int64_t channel = o / out * in + c;
                  f(static_cast<std::size_t>(((image * groups * in + channel) * size[0] + at) * size[1] +
                                             across),
                    static_cast<std::size_t>(((o * in + c) * kernel[0] + k) * kernel[1] + l),
                    static_cast<std::size_t>(((image * groups * out + o) * ys[2] + r) * ys[3] + q));
                }
  }
};

std::string to_string(const Case& c) {
  std::string text = tapegrad::to_string(c.x()) + " * " + tapegrad::to_string(c.weight()) + " groups " +
                     std::to_string(c.groups);
  for (std::size_t i = 0; i < 2; ++i)
    text += "; stride " + std::to_string(c.stride[i]) + " dilation " + std::to_string(c.dilation[i]) +
            " padding " + std::to_string(c.padding[i].before) + ", " + std::to_string(c.padding[i].after);
  return text;
}

Case random_case(std::mt19937& random) {
  const auto from = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  Case c{.n = from(0, 3), .groups = from(1, 3), .in = from(1, 4), .out = from(1, 18)};
  do {
    for (std::size_t i = 0; i < 2; ++i) {
      c.size[i] = from(1, from(0, 3) ? 9 : 40);
      c.kernel[i] = from(1, 5);
      c.stride[i] = from(1, 4);
      c.dilation[i] = from(1, 3);
      c.padding[i] = {from(0, 4), from(0, 4)};
    }
  } while (c.results(0) == 0 || c.results(1) == 0);
  return c;
}

/// The numbers of one case, and what both functions and their gradients are.
struct Values {
  Tensor x, weight, bias, y_bias, g;
  Wide y, dx, dw, db;

  Values(const Case& c, Dtype dtype)
      : x(random(c.x(), dtype, -2, 2, 1)),
        weight(random(c.weight(), dtype, -2, 2, 2)),
        bias(random({c.groups * c.out}, dtype, -2, 2, 3)),
        y_bias(random({c.groups * c.in}, dtype, -2, 2, 5)),
        g(random(c.y(), dtype, -2, 2, 4)) {
    const auto xv = numbers(x), wv = numbers(weight), bv = numbers(bias), gv = numbers(g);
    y.resize(gv.size()), dx.resize(xv.size()), dw.resize(wv.size()), db.resize(bv.size());
    const std::size_t plane = gv.empty() ? 1 : static_cast<std::size_t>(c.results(0) * c.results(1));
    for (std::size_t i = 0; i < gv.size(); ++i) {
      y[i] = bv[i / plane % bv.size()];
      db[i / plane % bv.size()] += gv[i];
    }
    c.for_each_term([&](std::size_t i, std::size_t k, std::size_t j) {
      y[j] += static_cast<long double>(xv[i]) * wv[k];
      dx[i] += static_cast<long double>(gv[j]) * wv[k];
      dw[k] += static_cast<long double>(gv[j]) * xv[i];
    });
  }
};

/// first, first + 1, ...
Tensor counting(double first, const Shape& shape) {
  std::vector<double> v(static_cast<std::size_t>(shape.size()));
  std::iota(v.begin(), v.end(), first);
  return Tensor::from(v, shape);
}

/// f() by both rules, in each fourth case with every instruction set.
template <class F>
void with_kernels(int number, const F& f) {
  if (number % 4 == 0)
    for_each_isa([&] { with_both_rules(f); });
  else
    with_both_rules(f);
}

std::vector<double> times(Wide w, double factor) {
  for (long double& v : w) v *= static_cast<long double>(factor);
  return rounded(w);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(conv)

BOOST_AUTO_TEST_CASE(values_and_gradients_at_500_random_shapes) {
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const Case c = random_case(random);
    const Dtype dtype = i % 2 ? f32 : f64;
    const Values v(c, dtype);
    const double tolerance = 4 * product_tolerance(dtype);
    BOOST_TEST_CONTEXT(to_string(c) << " of " << name_of(dtype))
    with_kernels(i, [&] {
      for (const double uses : {1, 2}) {  // a second use adds to the gradients that are there
        Tape tape;
        const Tensor x = tape.watch(v.x), weight = tape.watch(v.weight), bias = tape.watch(v.bias);
        Tensor y = conv2d(x, weight, bias, c.options());
        check_tensor(y, c.y(), rounded(v.y), tolerance);
        if (uses == 2) y = y + conv2d(x, weight, bias, c.options());
        const Gradients grads = tape.backward(y, v.g);
        check_tensor(grads[x], c.x(), times(v.dx, uses), tolerance);
        check_tensor(grads[weight], c.weight(), times(v.dw, uses), tolerance);
        check_tensor(grads[bias], {c.groups * c.out}, times(v.db, uses), tolerance);
      }
    });
  }
}

BOOST_AUTO_TEST_CASE(with_a_relu_in_the_same_pass_it_is_relu_of_conv2d_to_the_bit) {
  std::mt19937 random_case_of(3);
  std::size_t kinks = 0;
  for (int i = 0; i < 200; ++i) {
    const Case c = random_case(random_case_of);
    const Dtype dtype = i % 2 ? f32 : f64;
    // Small whole numbers, whose sums are exact and often 0.
    const auto whole = [&](const Shape& shape, std::uint64_t seed) {
      return cast(cast(random(shape, dtype, -2, 2, seed), i64), dtype);
    };
    const Tensor x0 = whole(c.x(), 1), w0 = whole(c.weight(), 2), b0 = whole({c.groups * c.out}, 3);
    const Tensor g = whole(c.y(), 4);
    BOOST_TEST_CONTEXT(to_string(c) << " of " << name_of(dtype))
    with_kernels(i, [&] {
      const auto results = [&](auto&& layer) {
        Tape tape;
        const Tensor x = tape.watch(x0), w = tape.watch(w0), b = tape.watch(b0);
        const Tensor y = i % 3 ? layer(x, w, b) : layer(x, w, Tensor());
        const Gradients grads = tape.backward(y + y, g);
        return std::array{numbers(y), numbers(grads[x]), numbers(grads[w]),
                          i % 3 ? numbers(grads[b]) : std::vector<double>()};
      };
      const auto at_once = results([&](auto&&... in) { return conv2d_relu(in..., c.options()); });
      const auto expected = results([&](auto&&... in) { return relu(conv2d(in..., c.options())); });
      BOOST_TEST((at_once == expected));
      kinks += static_cast<std::size_t>(std::ranges::count(at_once[0], 0.0));
    });
  }
  BOOST_TEST(kinks > 1000);
  // A NaN is passed on, and an infinity.
  const Tensor x = Tensor::from(std::vector{kNan, kInf, -kInf, -1.0}, {1, 1, 1, 4});
  check_tensor(conv2d_relu(x, Tensor::ones({1, 1, 1, 1}, f64)), {1, 1, 1, 4}, {kNan, kInf, 0, 0});
  BOOST_CHECK_EXCEPTION(conv2d_relu(Tensor::zeros({2, 4, 5, 6}), Tensor::zeros({6, 3, 3, 3})), ShapeError,
                        mentions("conv2d_relu", "expects 3"));
}

BOOST_AUTO_TEST_CASE(a_relu_leaves_the_gradient_behind_it_as_it_is) {
  // Both layers get one and the same gradient, that of their sum.
  Tape tape;
  const Tensor a = tape.watch(random({2, 1, 6, 6}, f32, -1, 1, 1)),
               b = tape.watch(random({2, 1, 6, 6}, f32, -1, 1, 2));
  const Tensor w = random({3, 1, 3, 3}, f32, -1, 1, 3), g = random({2, 3, 4, 4}, f32, -1, 1, 4);
  const std::vector<double> before = numbers(g);
  const Tensor y = conv2d_relu(a, w) + conv2d_relu(b, w);
  const Gradients at_once = tape.backward(y, g, RetainGraph::yes);
  BOOST_TEST((numbers(g) == before));
  const detail::GeneralRules general(true);
  const Gradients expected = tape.backward(y, g);
  check_tensor(at_once[a], a.shape(), numbers(expected[a]), product_tolerance(f32));
  check_tensor(at_once[b], b.shape(), numbers(expected[b]), product_tolerance(f32));
}

BOOST_AUTO_TEST_CASE(a_transposed_convolution_is_the_gradient_of_one) {
  std::mt19937 random(2);
  int padded = 0;
  for (int i = 0; i < 200; ++i) {
    Case c = random_case(random);
    const Dtype dtype = i % 2 ? f32 : f64;
    // Of the sizes whose results are as many, output_padding names the one meant.
    std::array<std::int64_t, 2> output_padding{};
    for (std::size_t a = 0; a < 2; ++a) {
      c.size[a] = (c.results(a) - 1) * c.stride[a] + (c.kernel[a] - 1) * c.dilation[a] + 1 -
                  c.padding[a].before - c.padding[a].after;
      output_padding[a] = c.stride[a] - 1 - i % 2 * (c.stride[a] - 1);
      c.size[a] += output_padding[a];
    }
    if (c.size[0] < 1 || c.size[1] < 1) continue;
    padded += output_padding[0] > 0;
    const Values v(c, dtype);
    const double tolerance = 4 * product_tolerance(dtype);
    BOOST_TEST_CONTEXT(to_string(c) << " of " << name_of(dtype))
    with_kernels(i, [&] {
      Tape tape;
      const Tensor y = tape.watch(v.g), weight = tape.watch(v.weight), bias = tape.watch(v.y_bias);
      const Tensor x = conv_transpose2d(y, weight, bias,
                                        {.stride = {c.stride[0], c.stride[1]},
                                         .padding = c.padding,
                                         .output_padding = {output_padding[0], output_padding[1]},
                                         .dilation = {c.dilation[0], c.dilation[1]},
                                         .groups = c.groups});
      Wide expected = v.dx;
      const auto b = numbers(v.y_bias);
      for (std::size_t k = 0; k < expected.size(); ++k)
        expected[k] += b[k / static_cast<std::size_t>(c.size[0] * c.size[1]) % b.size()];
      check_tensor(x, c.x(), rounded(expected), tolerance);
      // The gradient with respect to y is a convolution, without its bias.
      const Gradients grads = tape.backward(x, v.x);
      check_tensor(grads[y], c.y(), numbers(conv2d(v.x, v.weight, Tensor(), c.options())), tolerance);
      check_tensor(grads[weight], c.weight(), rounded(v.dw), tolerance);
      check_tensor(grads[bias], {c.groups * c.in}, numbers(sum(v.x, {0, 2, 3})), tolerance);
    });
  }
  BOOST_TEST(padded > 20);
}

BOOST_AUTO_TEST_CASE(along_one_axis) {
  // By hand.
  const Tensor x = counting(1, {1, 2, 3});
  const Tensor w = counting(0, {2, 2, 2});
  const Tensor b = Tensor::from(std::vector{1.0, -1.0}, {2});
  check_tensor(conv1d(x, w, b, {.padding = 1}), {1, 2, 4}, {14, 26, 32, 13, 32, 72, 94, 47});
  check_tensor(conv1d(x, w, Tensor(), {.stride = 2, .dilation = 2}), {1, 2, 1}, {29, 85});
  check_tensor(conv_transpose1d(x, w, b, {.stride = 2, .output_padding = 1}), {1, 2, 7},
               {17, 22, 21, 28, 25, 34, 1, 25, 30, 33, 40, 41, 50, -1});
}

BOOST_AUTO_TEST_CASE(padding_in_words) {
  const Tensor x = random({1, 1, 5, 6}), w = random({1, 1, 3, 4});
  BOOST_TEST(tapegrad::to_string(conv2d(x, w, Tensor(), {.padding = "same"}).shape()) == "[1, 1, 5, 6]");
  BOOST_TEST(tapegrad::to_string(conv2d(x, w, Tensor(), {.padding = "valid"}).shape()) == "[1, 1, 3, 3]");
  // The odd one of an odd number stands at the end.
  check_tensor(conv2d(x, w, Tensor(), {.padding = "same"}), {1, 1, 5, 6},
               numbers(conv2d(x, w, Tensor(), {.padding = std::array<Padding, 2>{{{1, 1}, {1, 2}}}})));
  check_tensor(conv2d(x, w, Tensor(), {.padding = {1, 2}}), {1, 1, 5, 7},
               numbers(conv2d(pad(x, {{}, {}, {1, 1}, {2, 2}}), w)));
}

BOOST_AUTO_TEST_CASE(equal_bits_for_any_number_of_threads) {
  const Tensor x = random({5, 6, 33, 35}, f32), w = random({20, 3, 3, 3}, f32);
  const auto results = [&](int threads) {
    const detail::ThreadLimit limit(threads);
    Tape tape;
    const Tensor leaf = tape.watch(x), weight = tape.watch(w);
    const Tensor y = conv2d(leaf, weight, Tensor(), {.stride = {1, 2}, .padding = 1, .groups = 2});
    const Gradients g = tape.backward(y, random(y.shape(), f32, -1, 1, 7));
    return std::array{numbers(y), numbers(g[leaf]), numbers(g[weight])};
  };
  const auto one = results(1);
  for (const int threads : {2, 4}) BOOST_TEST((results(threads) == one), threads << " threads");
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_stays_where_it_is_met) {
  // An image that is masked behind the layer reaches neither weights nor other images; a weight of infinity no element
  // beyond its reach.
  with_both_rules([&] {
    Tensor x = random({3, 1, 4, 4});
    x = concat({slice(x, 0, 0, 1), Tensor::full({1, 1, 4, 4}, kNan, f64), slice(x, 0, 2)}, 0);
    for (const bool twice : {false, true}) {
      Tape tape;
      const Tensor leaf = tape.watch(x), w = tape.watch(random({2, 1, 2, 2}));
      const auto layer = [&] { return square(slice(conv2d(leaf, w, Tensor(), {.padding = 1}), 0, 2)); };
      const Gradients g = tape.backward(sum(twice ? layer() + layer() : layer()));
      for (const double v : numbers(g[w])) BOOST_TEST(std::isfinite(v));
      for (const double v : numbers(slice(g[leaf], 0, 0, 2))) BOOST_TEST(v == 0);
      for (const double v : numbers(slice(g[leaf], 0, 2))) BOOST_TEST(v != 0);
    }
    // y = x * w with w = [inf, 1]: result 0 alone has a gradient, so element 0 alone meets the infinity.
    Tape tape;
    const Tensor leaf = tape.watch(Tensor::ones({1, 1, 1, 3}, f64));
    const Tensor y = conv2d(leaf, Tensor::from(std::vector{kInf, 1.0}, {1, 1, 1, 2}));
    check_tensor(tape.grad(y, leaf, {.cotangent = Tensor::from(std::vector{1.0, 0.0}, {1, 1, 1, 2})}),
                 {1, 1, 1, 3}, {kInf, 1, 0});
  });
  // So does that of a transposed convolution.
  check_tensor(
      conv_transpose1d(Tensor::from(std::vector{1.0, 2.0}, {1, 1, 2}),
                       Tensor::from(std::vector{1.0, kInf, 1.0}, {1, 1, 3}), Tensor(), {.stride = 2}),
      {1, 1, 5}, {1, kInf, 3, kInf, 2});
}

BOOST_AUTO_TEST_CASE(errors_name_shapes_and_cure) {
  const Tensor x = Tensor::zeros({2, 4, 5, 6}), w = Tensor::zeros({6, 4, 3, 3});
  BOOST_CHECK_EXCEPTION(conv2d(Tensor::zeros({4, 5, 6}), w), ShapeError,
                        mentions("conv2d", "[4, 5, 6]", "[n, c, h, w]"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 4, 3})), ShapeError,
                        mentions("conv2d", "[6, 4, 3]", "kh"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 3, 3, 3})), ShapeError,
                        mentions("[2, 4, 5, 6]", "4 channels", "[6, 3, 3, 3]", "expects 3"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor::zeros({4})), ShapeError, mentions("bias [4]", "expects [6]"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor::zeros({6}, f64)), DtypeError, mentions("bias"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 4, 3, 3}, f64)), DtypeError, mentions("weight"));
  BOOST_CHECK_EXCEPTION(conv2d(Tensor::zeros({2, 4, 5, 6}, i64), Tensor::zeros({6, 4, 3, 3}, i64)),
                        DtypeError, mentions("conv2d"));
  BOOST_CHECK_EXCEPTION(conv2d(Tensor(), w), ArgumentError, mentions("the input"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor()), ArgumentError, mentions("the weight"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 4, 7, 3})), ShapeError,
                        mentions("7", "axis 2", "smaller", "padding"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 4, 0, 3})), ArgumentError, mentions("kernel is 0"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.stride = 0}), ArgumentError, mentions("stride is 0"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.padding = -1}), ArgumentError, mentions("padding", "-1"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.dilation = 0}), ArgumentError, mentions("dilation is 0"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.groups = 0}), ArgumentError, mentions("groups is 0"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.groups = 3}), ShapeError,
                        mentions("4 channels", "3 groups"));
  BOOST_CHECK_EXCEPTION(conv2d(x, Tensor::zeros({6, 1, 3, 3}), Tensor(), {.groups = 4}), ShapeError,
                        mentions("the weight", "6 channels", "4 groups"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.padding = "full"}), ArgumentError,
                        mentions("full", "same", "valid"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.stride = 2, .padding = "same"}), ArgumentError,
                        mentions("same", "stride of 2"));
  constexpr std::int64_t kHuge = std::int64_t{1} << 60;
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.padding = kHuge}), ArgumentError, mentions("padding"));
  BOOST_CHECK_EXCEPTION(conv2d(x, w, Tensor(), {.dilation = kHuge}), ArgumentError, mentions("dilation"));
  BOOST_CHECK_THROW(conv2d(x, w, Tensor(), {.padding = std::int64_t{1} << 40}), Error);
  BOOST_CHECK_EXCEPTION(conv_transpose2d(x, Tensor::zeros({4, 6, 3, 3}), Tensor(), {.output_padding = 1}),
                        ArgumentError, mentions("output_padding is 1", "stride 1"));
  BOOST_CHECK_EXCEPTION(
      conv_transpose2d(x, Tensor::zeros({4, 6, 3, 3}), Tensor(), {.stride = 2, .output_padding = -1}),
      ArgumentError, mentions("output_padding is -1"));
  BOOST_CHECK_EXCEPTION(conv_transpose2d(x, Tensor::zeros({4, 6, 1, 1}), Tensor(), {.padding = 4}),
                        ShapeError, mentions("size -3", "padding smaller"));
  BOOST_CHECK_EXCEPTION(conv_transpose2d(x, Tensor::zeros({5, 6, 3, 3})), ShapeError,
                        mentions("4 channels", "expects 5"));
  BOOST_CHECK_EXCEPTION(conv_transpose2d(x, Tensor::zeros({4, 6, 3, 3}), Tensor(), {.stride = kHuge}),
                        ArgumentError, mentions("stride"));
  BOOST_CHECK_EXCEPTION(conv1d(x, w), ShapeError, mentions("conv1d", "[n, c, l]"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace conv_test
