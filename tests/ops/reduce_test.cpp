#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include <tapegrad/ops/threads.h>

#include "both_rules.h"
#include "op_support.h"

namespace reduce_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

// ---- an independent reduction: the elements of each output, gathered by their index ----

struct Case {
  Shape shape;
  std::vector<std::int64_t> axes;
};
const std::vector<Case> kCases{{{}, {}},
                               {{7}, {0}},
                               {{1}, {0}},
                               {{3, 5}, {0}},
                               {{3, 5}, {1}},
                               {{3, 5}, {0, 1}},
                               {{3, 5}, {}},
                               {{4, 1, 3}, {1}},
                               {{1, 600}, {0}},
                               {{2000}, {0}},
                               {{3, 1030}, {1}},
                               {{1030, 3}, {0}},
                               {{2, 700, 3}, {1}},
                               {{130, 300}, {0}},
                               {{70, 2, 5}, {0, 2}},
                               {{2, 5, 3}, {1}},
                               {{2, 5, 3}, {0, 2}},
                               {{2, 3, 2, 3}, {1, 3}},
                               {{2, 3, 2, 3}, {0, 2}},
                               {{2, 3, 2, 3}, {0, 1, 2}},
                               {{2, 1, 2, 3, 1, 2, 2, 3}, {0, 3, 4, 6}}};

struct Groups {
  Shape shape;       // of the result
  Shape kept_shape;  // with the reduced axes
  std::vector<std::vector<std::size_t>> elements;
  std::vector<std::size_t> output;  // of each element

  explicit Groups(const Case& c) {
    std::vector<std::int64_t> dims, kept;
    for (std::size_t i = 0; i < c.shape.rank(); ++i) {
      const bool reduced = std::ranges::find(c.axes, static_cast<std::int64_t>(i)) != c.axes.end();
      kept.push_back(reduced ? 1 : c.shape[i]);
      if (!reduced) dims.push_back(c.shape[i]);
    }
    shape = Shape(std::span<const std::int64_t>(dims));
    kept_shape = Shape(std::span<const std::int64_t>(kept));
    output = broadcast_index(kept_shape, c.shape);
    elements.resize(static_cast<std::size_t>(shape.size()));
    for (std::size_t i = 0; i < output.size(); ++i) elements[output[i]].push_back(i);
  }
};

using Values = std::vector<double>;
double total(const Values& v) { return static_cast<double>(std::accumulate(v.begin(), v.end(), 0.0L)); }
double average(const Values& v) { return total(v) / static_cast<double>(v.size()); }
double squares(const Values& v, double from) {
  double s = 0;
  for (const double x : v) s += (x - from) * (x - from);
  return s;
}
double exponentials(const Values& v) {
  double s = 0;
  for (const double x : v) s += std::exp(x);
  return s;
}

template <class F>
Values each(const Values& v, F&& f) {
  Values result;
  for (const double x : v) result.push_back(f(x));
  return result;
}

struct Op {
  const char* name;
  Tensor (*op)(const Tensor&, const Axes&, KeepDims);
  double (*value)(const Values&);
  Values (*gradient)(const Values&);  // null: not differentiable
  bool integers = false;
  bool many = false;  // takes two elements or more
};

double product(const Values& v) { return std::accumulate(v.begin(), v.end(), 1., std::multiplies<>()); }
double largest(const Values& v) { return *std::ranges::max_element(v); }
double smallest(const Values& v) { return *std::ranges::min_element(v); }
double count(const Values& v) { return static_cast<double>(v.size()); }
template <int ddof>
double variance(const Values& v) {
  return squares(v, average(v)) / (count(v) - ddof);
}
template <int ddof>
Values variance_gradient(const Values& v) {
  return each(v, [m = average(v), n = count(v) - ddof](double x) { return 2 * (x - m) / n; });
}

const std::array kOps{
    Op{"sum", sum, total, [](const Values& v) { return Values(v.size(), 1); }, true},
    Op{"mean", mean, average, [](const Values& v) { return Values(v.size(), 1 / count(v)); }},
    Op{"prod", prod, product,
       [](const Values& v) { return each(v, [p = product(v)](double x) { return p / x; }); }, true},
    Op{"max", max, largest,
       [](const Values& v) { return each(v, [m = largest(v)](double x) { return x == m ? 1. : 0.; }); },
       true},
    Op{"min", min, smallest,
       [](const Values& v) { return each(v, [m = smallest(v)](double x) { return x == m ? 1. : 0.; }); },
       true},
    Op{"argmax", argmax,
       [](const Values& v) { return static_cast<double>(std::ranges::max_element(v) - v.begin()); }, nullptr,
       true},
    Op{"argmin", argmin,
       [](const Values& v) { return static_cast<double>(std::ranges::min_element(v) - v.begin()); }, nullptr,
       true},
    Op{"var", [](const Tensor& x, const Axes& a, KeepDims k) { return var(x, a, k); }, variance<0>,
       variance_gradient<0>},
    Op{"var ddof 1", [](const Tensor& x, const Axes& a, KeepDims k) { return var(x, a, k, 1); }, variance<1>,
       variance_gradient<1>, false, true},
    Op{"std", [](const Tensor& x, const Axes& a, KeepDims k) { return stddev(x, a, k); },
       [](const Values& v) { return std::sqrt(variance<0>(v)); },
       [](const Values& v) {
         const double s = std::sqrt(variance<0>(v));
         return each(variance_gradient<0>(v), [s](double d) { return s > 0 ? d / (2 * s) : 0; });
       }},
    Op{"logsumexp", logsumexp, [](const Values& v) { return std::log(exponentials(v)); },
       [](const Values& v) { return each(v, [s = exponentials(v)](double x) { return std::exp(x) / s; }); }},
    Op{"norm", norm, [](const Values& v) { return std::sqrt(squares(v, 0)); },
       [](const Values& v) { return each(v, [n = std::sqrt(squares(v, 0))](double x) { return x / n; }); }},
};

Values at(const Values& all, const std::vector<std::size_t>& where) {
  Values v;
  for (const std::size_t i : where) v.push_back(all[i]);
  return v;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reduce)

BOOST_AUTO_TEST_CASE(values_and_gradients_over_all_kinds_of_axes) {
  for (const Op& op : kOps)
    for (const Case& c : kCases) {
      const Groups groups(c);
      if (op.many && groups.elements[0].size() < 2) continue;
      for (const Dtype dtype : {f32, f64, i64}) {
        if (dtype == i64 && !op.integers) continue;
        BOOST_TEST_CONTEXT(op.name << " of " << name_of(dtype) << " " << to_string(c.shape) << " over "
                                   << to_string(Shape(std::span<const std::int64_t>(c.axes)))) {
          const bool product = op.name == std::string_view("prod");
          const Tensor x = dtype == i64 ? random(c.shape, i64, product ? -1 : -9, product ? 1 : 9)
                                        : random(c.shape, dtype, product ? 0.9 : -2, product ? 1.1 : 2);
          const Axes axes{std::span<const std::int64_t>(c.axes)};
          const Values in = numbers(x);
          Values expected;
          for (const auto& e : groups.elements) expected.push_back(op.value(at(in, e)));
          const double tolerance = tolerance_of(dtype, 2e-5, 1e-12);
          check_tensor(op.op(x, axes, KeepDims::no), groups.shape, expected, tolerance);
          check_tensor(op.op(x, axes, KeepDims::yes), groups.kept_shape, expected, tolerance);
          if (dtype == i64 || !op.gradient) continue;

          // The gradient by the fused rule, and by the recorded one, added to one that is there already.
          const Tensor seed = random(groups.shape, dtype, 0.5, 1.5, 7);
          Values slope(in.size());
          for (std::size_t o = 0; o < groups.elements.size(); ++o) {
            const Values g = op.gradient(at(in, groups.elements[o]));
            const double s = numbers(select(flatten(seed), 0, static_cast<std::int64_t>(o)))[0];
            for (std::size_t i = 0; i < g.size(); ++i) slope[groups.elements[o][i]] = s * g[i];
          }
          for (const Record record : {Record::no, Record::yes}) {
            Tape tape;
            const Tensor leaf = tape.watch(x);
            const Tensor y = op.op(leaf, axes, KeepDims::no);
            check_tensor(tape.grad(y, leaf, {seed, record}), c.shape, slope, tolerance);
            const Tensor twice =
                sum(y * seed) + sum(op.op(leaf, axes, KeepDims::yes) * reshape(seed, groups.kept_shape));
            Values doubled = slope;
            for (double& v : doubled) v *= 2;
            check_tensor(tape.grad(twice, leaf, {.record = record}), c.shape, doubled, tolerance);
          }
        }
      }
    }
}

BOOST_AUTO_TEST_CASE(second_derivatives_match_closed_forms) {
  const Tensor x = Tensor::from({0.5, -1, 2}, f64), w = Tensor::from({1, 3, -2}, f64);
  const Values v = numbers(x), u = numbers(w);
  // The Hessian times w, from the derivative of <gradient, w>.
  const auto product = [&](auto&& f) {
    Tape tape;
    const Tensor leaf = tape.watch(x);
    return tape.grad(sum(tape.grad(f(leaf), leaf, {.record = Record::yes}) * w), leaf);
  };
  const double mean_w = average(u);
  check_tensor(product([](const Tensor& t) { return var(t); }), {3},
               {2 * (u[0] - mean_w) / 3, 2 * (u[1] - mean_w) / 3, 2 * (u[2] - mean_w) / 3});
  check_tensor(product([](const Tensor& t) { return prod(t); }), {3},
               {v[2] * u[1] + v[1] * u[2], v[2] * u[0] + v[0] * u[2], v[1] * u[0] + v[0] * u[1]});
  const double n = std::sqrt(squares(v, 0));
  const double along = (v[0] * u[0] + v[1] * u[1] + v[2] * u[2]) / (n * n);
  check_tensor(product([](const Tensor& t) { return norm(t); }), {3},
               {(u[0] - along * v[0]) / n, (u[1] - along * v[1]) / n, (u[2] - along * v[2]) / n});
  Values softmax;
  for (const double e : v) softmax.push_back(std::exp(e) / exponentials(v));
  const double expectation = softmax[0] * u[0] + softmax[1] * u[1] + softmax[2] * u[2];
  check_tensor(product([](const Tensor& t) { return logsumexp(t); }), {3},
               {softmax[0] * (u[0] - expectation), softmax[1] * (u[1] - expectation),
                softmax[2] * (u[2] - expectation)});
  check_tensor(product([](const Tensor& t) { return square(stddev(t)); }), {3},
               {2 * (u[0] - mean_w) / 3, 2 * (u[1] - mean_w) / 3, 2 * (u[2] - mean_w) / 3});
}

BOOST_AUTO_TEST_CASE(axes_count_from_the_end_and_in_any_order) {
  const Tensor x = random({2, 3, 4}, f64);
  check_tensor(sum(x, -1), {2, 3}, numbers(sum(x, 2)));
  check_tensor(sum(x, {0, -1}), {3}, numbers(sum(x, {2, 0})));
  check_tensor(sum(x), {}, numbers(sum(x, {0, 1, 2})));
  check_tensor(sum(x, Axes{}), {2, 3, 4}, numbers(x));
  check_tensor(sum(x, Axes::all(), KeepDims::yes), {1, 1, 1}, numbers(sum(x)));
}

BOOST_AUTO_TEST_CASE(ties_share_the_gradient) {
  const Tensor x = Tensor::from({{3, 1, 3}, {2, 2, 2}}, f64);
  check_tensor(derivative([](const Tensor& t) { return max(t, 1); }, x), {2, 3},
               {0.5, 0, 0.5, 1 / 3., 1 / 3., 1 / 3.});
  check_tensor(derivative([](const Tensor& t) { return min(t); }, x), {2, 3}, {0, 1, 0, 0, 0, 0});
  check_tensor(argmax(x, 1), {2}, {0, 0});
  check_tensor(argmin(x, 0), {3}, {1, 0, 1});
  check_tensor(argmax(Tensor::from({{1, 5}, {5, 1}})), {}, {1});
}

BOOST_AUTO_TEST_CASE(prod_with_zeros_at_three_orders) {
  const Tensor x = Tensor::from({2, 0, 3, 5}, f64);
  const auto f = [](const Tensor& t) { return prod(t); };
  check_tensor(derivative(f, x, 1), {4}, {0, 30, 0, 0});
  // d/dx_i sum_j prod_{k != j}: the sum over j != i of the product of the others.
  check_tensor(derivative(f, x, 2), {4}, {15, 31, 10, 6});
  check_tensor(derivative(f, x, 3), {4}, {2 * (3 + 5), 2 * (2 + 3 + 5), 2 * (2 + 5), 2 * (2 + 3)});
  check_tensor(derivative(f, Tensor::from({0, 7, 0}, f64)), {3}, {0, 0, 0});
}

BOOST_AUTO_TEST_CASE(conventions_at_zero) {
  const Tensor zeros = Tensor::zeros({4}, f64);
  with_both_rules([&] {
    check_tensor(derivative([](const Tensor& t) { return norm(t); }, zeros), {4}, {0, 0, 0, 0});
    check_tensor(derivative([](const Tensor& t) { return stddev(t); }, zeros + 3), {4}, {0, 0, 0, 0});
  });
}

BOOST_AUTO_TEST_CASE(no_second_derivative_at_zero_is_a_plausible_zero) {
  // The third and fourth are smooth: their Hessians are 2 I and -I, which a gradient of 0 by convention cannot know.
  const std::vector<std::function<Tensor(const Tensor&)>> functions{
      [](const Tensor& x) { return norm(x); }, [](const Tensor& x) { return stddev(x + 0.1); },
      [](const Tensor& x) { return square(norm(x)); },
      [](const Tensor& x) { return pow(1 + square(norm(x)), -0.5); },
      [](const Tensor& x) {
        return sum(norm(reshape(x, {1, 2}), 1));
      }};
  for (const auto& f : functions)
    for (const double h : numbers(hessian(f, Tensor::zeros({2}, f64)))) BOOST_TEST(std::isnan(h));
  // Another row of the same op has its own.
  const Tensor rows = Tensor::from({{3, 4}, {0, 0}}, f64);
  Tape tape;
  const Tensor x = tape.watch(rows);
  const Tensor g = tape.grad(sum(norm(x, 1)), x, {.record = Record::yes});
  const std::vector<double> second =
      numbers(tape.grad(g, x, {.cotangent = Tensor::from({{1, 0}, {0, 0}}, f64)}));
  BOOST_TEST(near(second[0], 0.128, 1e-14));
  BOOST_TEST(near(second[1], -0.096, 1e-14));
}

BOOST_AUTO_TEST_CASE(nothing_to_reduce) {
  const Tensor none = Tensor::zeros({0, 3}), empty_rows = Tensor::zeros({3, 0}, f64);
  check_tensor(sum(none, 0), {3}, {0, 0, 0});
  check_tensor(sum(empty_rows, 1), {3}, {0, 0, 0});
  check_tensor(sum(none, 1), {0}, {});
  check_tensor(prod(none), {}, {1});
  check_tensor(norm(empty_rows, 1), {3}, {0, 0, 0});
  check_tensor(logsumexp(none, 0), {3}, {-kInf, -kInf, -kInf});
  check_tensor(max(none, 1), {0}, {});
  check_tensor(argmax(none, 1), {0}, {});
  check_tensor(mean(empty_rows, 0), {0}, {});
  check_tensor(cumsum(none, 0), {0, 3}, {});
  BOOST_CHECK_EXCEPTION(max(none, 0), ArgumentError, mentions("max", "[0, 3]"));
  BOOST_CHECK_EXCEPTION(min(none), ArgumentError, mentions("min", "[0, 3]"));
  BOOST_CHECK_EXCEPTION(argmax(none), ArgumentError, mentions("argmax", "[0, 3]"));
  BOOST_CHECK_EXCEPTION(mean(none), ArgumentError, mentions("mean", "[0, 3]"));
  BOOST_CHECK_EXCEPTION(var(empty_rows, 1), ArgumentError, mentions("var", "[3, 0]"));
  for (const Op& op : kOps)
    if (op.gradient && !op.many)
      check_tensor(
          derivative([&](const Tensor& t) { return op.op(t, 0, KeepDims::no); }, Tensor::zeros({2, 0})),
          {2, 0}, {});
  check_tensor(derivative([](const Tensor& t) { return prod(t, 0); }, none), {0, 3}, {});
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_pass) {
  const Tensor x = Tensor::from({{1, kNan, 3}, {1, 2, -kInf}}, f64);
  check_tensor(sum(x, 1), {2}, {kNan, -kInf});
  check_tensor(max(x, 1), {2}, {kNan, 2});
  check_tensor(min(x, 1), {2}, {kNan, -kInf});
  check_tensor(min(x, 0), {3}, {1, kNan, -kInf});
  check_tensor(argmax(x, 1), {2}, {1, 1});
  check_tensor(argmin(x, 0), {3}, {0, 0, 1});
  check_tensor(logsumexp(x, 1), {2}, {kNan, std::log(std::exp(1.) + std::exp(2.))});
  check_tensor(logsumexp(Tensor::from({{-kInf, -kInf}, {kInf, 0}}, f64), 1), {2}, {-kInf, kInf});
  check_tensor(derivative([](const Tensor& t) { return logsumexp(t); }, Tensor::from({-kInf, -kInf}, f64)),
               {2}, {0, 0});
  check_tensor(logsumexp(Tensor::from({1e4, 1e4}, f32)), {}, {1e4 + std::log(2.)}, 1e-7);
  std::vector<float> long_row(5000, 1.f);
  long_row[4321] = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(std::isnan(max(Tensor::from(long_row)).item()));
  BOOST_TEST(argmax(Tensor::from(long_row)).item() == 4321);
}

BOOST_AUTO_TEST_CASE(long_sums_in_f32_keep_their_digits) {
  constexpr std::int64_t n = 1 << 20;
  const Tensor x = random({n}, f32, 0, 1);
  const Values v = numbers(x);
  const double exact = total(v);
  const double variance = squares(v, exact / n) / n;
  for (const Shape& shape : {Shape{n}, Shape{n, 1}, Shape{n / 4, 4}, Shape{n / 64, 64}, Shape{64, n / 64}}) {
    const Tensor t = reshape(x, shape);
    for (const Axes& first : {Axes(0), Axes(-1)}) {
      BOOST_TEST(near(sum(sum(t, first)).item() / exact, 1, 4e-7), to_string(shape));
      BOOST_TEST(near(mean(mean(t, first)).item() * n / exact, 1, 4e-7), to_string(shape));
    }
    BOOST_TEST(near(var(t).item() / variance, 1, 1e-6));
  }
  BOOST_TEST(near(cumsum(x, 0).to_vector<float>()[n - 1] / exact, 1, 1e-7));
}

BOOST_AUTO_TEST_CASE(bits_do_not_depend_on_the_number_of_threads) {
  const int before = threads();
  const Tensor x = random({1 << 18}, f32);
  for (const Shape& shape :
       {Shape{1 << 18}, Shape{1 << 16, 4}, Shape{4, 1 << 16}, Shape{512, 512}, Shape{8, 64, 512}})
    for (const std::int64_t axis : {0, -1}) {
      const auto run = [&](const Tensor& t) {
        return concat({flatten(sum(t, axis)), flatten(stddev(t, axis)), flatten(t)});
      };
      set_threads(1);
      const Values alone = numbers(run(reshape(x, shape)));
      const Values slope = numbers(derivative(run, reshape(x, shape)));
      set_threads(4);
      BOOST_TEST((alone == numbers(run(reshape(x, shape)))));
      BOOST_TEST((slope == numbers(derivative(run, reshape(x, shape)))));
    }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(cumsum_along_each_axis) {
  const Tensor x = Tensor::from({{1, 2, 3}, {10, 20, 30}}, f64);
  check_tensor(cumsum(x, 0), {2, 3}, {1, 2, 3, 11, 22, 33});
  check_tensor(cumsum(x, -1), {2, 3}, {1, 3, 6, 10, 30, 60});
  check_tensor(cumsum(cast(x, i64), 1), {2, 3}, {1, 3, 6, 10, 30, 60});
  check_tensor(derivative([](const Tensor& t) { return cumsum(t, 1); }, x), {2, 3}, {3, 2, 1, 3, 2, 1});
  const Tensor wide = random({3, 5, 130}, f64);
  Values expected = numbers(wide);
  for (std::size_t i = 130; i < expected.size(); ++i)
    if (i % 650 >= 130) expected[i] += expected[i - 130];
  check_tensor(cumsum(wide, 1), {3, 5, 130}, expected);
  check_tensor(
      derivative([](const Tensor& t) { return square(cumsum(t, 0)); }, Tensor::from({1, 2, 3}, f64), 2), {3},
      {12, 10, 6});
  BOOST_CHECK_EXCEPTION(cumsum(Tensor::scalar(1), 0), ArgumentError, mentions("cumsum", "scalar"));
}

BOOST_AUTO_TEST_CASE(errors_name_the_op_and_the_cure) {
  const Tensor x = Tensor::zeros({2, 3});
  for (const Op& op : kOps) {
    const std::string_view label(op.name);
    const std::string_view name = label.substr(0, label.find(' '));
    const auto call = [&](const Tensor& t, const Axes& axes) { return op.op(t, axes, KeepDims::no); };
    BOOST_CHECK_EXCEPTION(call(x, 2), ArgumentError, mentions(name, "axis 2", "[-2, 1]"));
    BOOST_CHECK_EXCEPTION(call(x, {0, -2}), ArgumentError, mentions(name, "axis -2", "twice"));
    BOOST_CHECK_EXCEPTION(call(Tensor(), 0), ArgumentError, mentions(name, "undefined"));
    if (!op.integers)
      BOOST_CHECK_EXCEPTION(call(Tensor::zeros({2}, i64), 0), DtypeError, mentions(name, "i64", "cast"));
  }
  BOOST_CHECK_EXCEPTION(var(x, 0, KeepDims::no, 2), ArgumentError,
                        mentions("var", "ddof 2", "[2, 3]", "[0, 1]"));
  BOOST_CHECK_THROW(var(x, 0, KeepDims::no, -1), ArgumentError);
  BOOST_CHECK_THROW(Axes({0, 1, 2, 3, 4, 5, 6, 7, 8}), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace reduce_test
