// Derivatives of functions without a tape in sight; beside one: derivatives_on_tape_test.cpp.
#include <cmath>
#include <numbers>

#include "derivatives_support.h"

namespace derivatives_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(derivatives)

namespace {

/// (x0 x1, sin x1, x0^2): J = [[x1, x0], [0, cos x1], [2 x0, 0]]
Tensor curve(const Tensor& x) {
  const Tensor a = select(x, 0, 0);
  const Tensor b = select(x, 0, 1);
  return stack({a * b, sin(b), square(a)});
}

/// Two inputs of different shapes, no symmetry, every second derivative different from zero.
Tensor two(const Tensor& a, const Tensor& b) {
  return sum(exp(matmul(a, b) * 0.3)) * sum(sin(b)) + sum(sin(a)) * sum(square(b) * b);
}
/// The same with a matrix as its result.
Tensor two_many(const Tensor& a, const Tensor& b) {
  return tanh(matmul(a, b)) * sum(b) + square(matmul(a, b));
}

Tensor flat_product(const Tensor& a, const Tensor& b) { return dot(flatten(a), flatten(b)); }

}  // namespace

// ---- against closed forms ----

BOOST_AUTO_TEST_CASE(gradient_of_one_tensor) {
  const Tensor x = vec({3, 4});
  const auto f = [](const Tensor& v) { return sum(square(v)); };
  const Tensor g = gradient(f, x);
  check(g, {2}, {6, 8});
  BOOST_TEST(!g.tracked());
  const ValueAndGradient both = value_and_gradient(f, x);
  BOOST_TEST(both.value.item() == 25);
  check(both.gradient, {2}, {6, 8});
  // x itself is as it was, and the results are ordinary values on a later tape.
  BOOST_TEST(!x.tracked());
  Tape tape;
  const Tensor w = tape.watch(x);
  check(tape.grad(sum(w * both.gradient) * both.value, w), {2}, {150, 200});
}

BOOST_AUTO_TEST_CASE(gradient_of_several_inputs_of_any_shape_and_dtype) {
  const Tensor a = Tensor::from({{1, 2}, {3, 4}}, f64);
  const Tensor b = vec({5, 6});
  const Tensor c = Tensor::from({2}, f32);
  const ValueAndGradients r =
      value_and_gradient([](const Tensor& p, const Tensor& q,
                            const Tensor& s) { return sum(p * q) * sum(square(cast(s, f64))); },
                         {a, b, c});
  BOOST_TEST(r.value.item() == 4 * (5 + 12 + 15 + 24));
  check(r.gradients[0], {2, 2}, {20, 24, 20, 24});
  check(r.gradients[1], {2}, {16, 24});
  check_tensor(r.gradients[2], {1}, {4 * 56});
  BOOST_TEST((r.gradients[2].dtype() == f32));
}

BOOST_AUTO_TEST_CASE(vjp_jvp_and_jacobian_of_a_curve) {
  const Tensor x = vec({2, 0.5});
  const double c = std::cos(0.5);
  check(jacobian(curve, x), {3, 2}, {0.5, 2, 0, c, 4, 0});
  const ValueAndGradient back = vjp(curve, x, vec({1, 10, 100}));
  check(back.value, {3}, {1, std::sin(0.5), 4});
  check(back.gradient, {2}, {0.5 + 400, 2 + 10 * c});
  const ValueAndTangent forward = jvp(curve, x, vec({1, -3}));
  check(forward.value, {3}, {1, std::sin(0.5), 4});
  check(forward.tangent, {3}, {0.5 - 6, -3 * c, 4});
  BOOST_TEST(!forward.value.tracked());
  BOOST_TEST(!forward.tangent.tracked());
}

BOOST_AUTO_TEST_CASE(hessian_and_hvp_of_the_rosenbrock_function) {
  // (1 - x)^2 + 100 (y - x^2)^2: H = [[2 - 400 y + 1200 x^2, -400 x], [-400 x, 200]]
  const auto f = [](const Tensor& p) {
    const Tensor x = select(p, 0, 0);
    const Tensor y = select(p, 0, 1);
    return square(1 - x) + 100 * square(y - square(x));
  };
  const Tensor at = vec({-1.2, 1});
  const double h00 = 2 - 400 + 1200 * 1.44;
  check(gradient(f, at), {2}, {-2 * 2.2 - 400 * -1.2 * (1 - 1.44), 200 * (1 - 1.44)});
  check(hessian(f, at), {2, 2}, {h00, 480, 480, 200});
  check(hvp(f, at, vec({2, -1})), {2}, {2 * h00 - 480, 960 - 200});
}

BOOST_AUTO_TEST_CASE(directional_derivatives_both_ways) {
  const Tensor at = vec({1, 1, 1});
  const Tensor direction = vec({2, 3, 3}) / std::sqrt(22.0);
  const auto f = [](const Tensor& p) { return log(sum(square(p))); };
  const double expected = 2.0 / 3 * 8 / std::sqrt(22.0);
  BOOST_TEST(near(jvp(f, at, direction).tangent.item(), expected, 1e-15));
  BOOST_TEST(near(dot(gradient(f, at), direction).item(), expected, 1e-15));
}

BOOST_AUTO_TEST_CASE(scalars_and_results_of_any_rank) {
  const Tensor x = Tensor::scalar(0.7, f64);
  check(jacobian([](const Tensor& v) { return exp(v); }, x), {}, {std::exp(0.7)});
  check(hessian([](const Tensor& v) { return exp(2 * v); }, x), {}, {4 * std::exp(1.4)});
  check(jacobian([](const Tensor& v) { return v * vec({1, 2}); }, x), {2}, {1, 2});
  // One element of any rank is a value to differentiate.
  check(gradient([](const Tensor& v) { return reshape(square(v), {1, 1}); }, x), {}, {1.4});
  const Tensor m = Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64);
  const Tensor j = jacobian([](const Tensor& v) { return transpose(v) * 2.0; }, m);
  BOOST_TEST_REQUIRE((j.shape() == Shape{3, 2, 2, 3}));
  const std::vector<double> elements = numbers(j);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t k = 0; k < 2; ++k)
      for (std::size_t p = 0; p < 2; ++p)
        for (std::size_t q = 0; q < 3; ++q)
          BOOST_TEST(elements[((i * 2 + k) * 2 + p) * 3 + q] == (p == k && q == i ? 2 : 0));
}

BOOST_AUTO_TEST_CASE(what_the_result_does_not_depend_on_gives_zeros) {
  const Tensor a = vec({1, 2});
  const Tensor b = Tensor::from({{1, 2, 3}}, f32);
  const auto f = [](const Tensor& x, const Tensor&) { return sum(x * x * x); };
  const std::vector<Tensor> g = gradient(f, {a, b});
  check(g[0], {2}, {3, 12});
  check(g[1], {1, 3}, {0, 0, 0});
  BOOST_TEST((g[1].dtype() == f32));
  const std::vector<std::vector<Tensor>> h = hessian(f, {a, b});
  check(h[0][0], {2, 2}, {6, 0, 0, 12});
  check(h[0][1], {2, 1, 3}, std::vector<double>(6, 0.0));
  check(h[1][0], {1, 3, 2}, std::vector<double>(6, 0.0));
  check(h[1][1], {1, 3, 1, 3}, std::vector<double>(9, 0.0));
  BOOST_TEST((h[0][1].dtype() == f32));
  BOOST_TEST((h[1][0].dtype() == f64));
  check(jvp(f, {a, b}, {vec({1, 1}), Tensor::ones({1, 3}, f32)}).tangent, {}, {15});
  check(hvp(f, {a, b}, {vec({1, 1}), Tensor::ones({1, 3}, f32)})[1], {1, 3}, {0, 0, 0});

  const auto constant = [](const Tensor&) { return vec({7, 8}); };
  check(jacobian(constant, a), {2, 2}, {0, 0, 0, 0});
  check(jvp(constant, a, vec({1, 1})).tangent, {2}, {0, 0});
  check(vjp(constant, a, vec({1, 1})).gradient, {2}, {0, 0});
  check(hessian([](const Tensor&) { return Tensor::scalar(1, f64); }, a), {2, 2}, {0, 0, 0, 0});
  check(hessian([](const Tensor& x) { return sum(x); }, a), {2, 2}, {0, 0, 0, 0});
  check(hvp([](const Tensor& x) { return sum(x); }, a, vec({1, 1})), {2}, {0, 0});
  // The function may give an input back.
  check(jacobian([](const Tensor& x) { return x; }, a), {2, 2}, {1, 0, 0, 1});
  check(jvp([](const Tensor& x) { return x; }, a, vec({5, 6})).tangent, {2}, {5, 6});
}

BOOST_AUTO_TEST_CASE(empty_tensors) {
  const Tensor none = Tensor::zeros({0}, f64);
  const Tensor x = vec({1, 2});
  check(gradient([](const Tensor& v) { return sum(v); }, none), {0}, {});
  check(jacobian([&](const Tensor&) { return none; }, x), {0, 2}, {});
  check(jacobian([](const Tensor& v) { return v * 2.0; }, none), {0, 0}, {});
  check(jvp([](const Tensor& v) { return slice(v, 0, 2); }, x, x).tangent, {0}, {});
}

// ---- against each other ----

BOOST_AUTO_TEST_CASE(rows_columns_and_the_dot_product_identity) {
  const std::vector<Tensor> at{random({2, 3}), random({3, 4}, f64, -1, 1, 7)};
  const std::vector<Tensor> v{random({2, 3}, f64, -1, 1, 8), random({3, 4}, f64, -1, 1, 9)};
  const Tensor w = random({2, 4}, f64, -1, 1, 10);
  const ValueAndGradients back = vjp(two_many, at, w);
  const ValueAndTangent forward = jvp(two_many, at, v);
  check_same(back.value, two_many(at[0], at[1]));
  check_same(forward.value, back.value);
  const double wjv = flat_product(w, forward.tangent).item();
  BOOST_TEST(near(flat_product(back.gradients[0], v[0]).item() + flat_product(back.gradients[1], v[1]).item(),
                  wjv, 1e-12));
  const std::vector<Tensor> j = jacobian(two_many, at);
  BOOST_TEST_REQUIRE((j[0].shape() == Shape{2, 4, 2, 3}));
  BOOST_TEST_REQUIRE((j[1].shape() == Shape{2, 4, 3, 4}));
  const std::vector<Tensor> flat{reshape(j[0], {8, 6}), reshape(j[1], {8, 12})};
  for (std::int64_t row = 0; row < 8; ++row) {
    Tensor unit = Tensor::zeros({2, 4}, f64);
    unit.mutable_values<double>()[static_cast<std::size_t>(row)] = 1;
    const ValueAndGradients r = vjp(two_many, at, unit);
    for (std::size_t i = 0; i < 2; ++i) check_same(flatten(r.gradients[i]), select(flat[i], 0, row));
  }
  for (std::size_t i = 0; i < 2; ++i)
    for (std::int64_t column = 0; column < at[i].size(); ++column) {
      std::vector<Tensor> unit{Tensor::zeros({2, 3}, f64), Tensor::zeros({3, 4}, f64)};
      unit[i].mutable_values<double>()[static_cast<std::size_t>(column)] = 1;
      check_same(flatten(jvp(two_many, at, unit).tangent), select(flat[i], 1, column));
    }
}

BOOST_AUTO_TEST_CASE(the_hessian_is_symmetric_the_jacobian_of_the_gradient_and_gives_hvp) {
  const std::vector<Tensor> at{random({2, 3}), random({3, 4}, f64, -1, 1, 7)};
  const std::vector<Tensor> v{random({2, 3}, f64, -1, 1, 8), random({3, 4}, f64, -1, 1, 9)};
  const std::vector<std::vector<Tensor>> h = hessian(two, at);
  const std::vector<std::int64_t> n{6, 12};
  std::vector<std::vector<Tensor>> m(2, std::vector<Tensor>(2));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) m[i][j] = reshape(h[i][j], {n[i], n[j]});
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) check_same(m[i][j], transpose(m[j][i]));
  const std::vector<Tensor> product = hvp(two, at, v);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST((product[i].shape() == at[i].shape()));
    check_same(flatten(product[i]), matmul(m[i][0], flatten(v[0])) + matmul(m[i][1], flatten(v[1])));
    const std::vector<Tensor> j = jacobian(
        [&](std::span<const Tensor> x) {
          return gradient(two, {x[0], x[1]})[i];
        },
        at);
    for (std::size_t k = 0; k < 2; ++k) check_same(j[k], h[i][k]);
  }
}

BOOST_AUTO_TEST_CASE(orders_compose) {
  // f = sum x^4; its jvp along v is sum 4 x^3 v, whose Hessian is diag(24 x v).
  const auto f = [](const Tensor& x) { return sum(square(square(x))); };
  const Tensor x = vec({1, 2});
  const Tensor v = vec({3, 5});
  check(hessian([&](const Tensor& y) { return jvp(f, y, v).tangent; }, x), {2, 2}, {72, 0, 0, 240});
  // ... whose derivative by v is 4 x^3.
  check(gradient([&](const Tensor& t) { return jvp(f, x, t).tangent; }, v), {2}, {4, 32});
  // jvp of a gradient, gradient of <gradient, v> and hvp are one thing; so are jvp of jvp and v^T H v.
  check(jvp([&](const Tensor& y) { return gradient(f, y); }, x, v).tangent, {2}, {36, 240});
  check(hvp(f, x, v), {2}, {36, 240});
  check(jvp([&](const Tensor& y) { return jvp(f, y, v).tangent; }, x, v).tangent, {}, {36 * 3 + 240 * 5});
  check(gradient([&](const Tensor& y) { return dot(hvp(f, y, v), v); }, x), {2}, {24 * 9, 48 * 25});
  check(jacobian([&](const Tensor& y) { return hessian(f, y); }, x), {2, 2, 2}, {24, 0, 0, 0, 0, 0, 0, 48});
  check(hessian([&](const Tensor& y) { return sum(jacobian(f, y)); }, x), {2, 2}, {24, 0, 0, 48});
  check(gradient([&](const Tensor& w) { return sum(vjp(curve, x, w).gradient); }, vec({1, 1, 1})), {3},
        {2 + 1, std::cos(2.0), 2});
}

BOOST_AUTO_TEST_CASE(the_sixth_derivative_by_nesting) {
  const auto d = [](auto&& f) { return [=](const Tensor& x) { return gradient(f, x); }; };
  const auto f = [](const Tensor& x) { return sin(2 * x); };
  check(d(d(d(d(d(d(f))))))(Tensor::scalar(0.3, f64)), {}, {-64 * std::sin(0.6)});
}

// ---- how functions are given ----

namespace {
Tensor plain_function(const Tensor& x) { return sum(exp(x)); }
struct Counting {
  int calls = 0;
  Tensor operator()(const Tensor& x) {
    ++calls;
    return square(x);
  }
};
}  // namespace

BOOST_AUTO_TEST_CASE(any_callable_will_do) {
  const Tensor x = vec({0, 1});
  check(gradient(plain_function, x), {2}, {1, std::numbers::e});
  check(gradient(&plain_function, x), {2}, {1, std::numbers::e});
  check(jvp(tapegrad::tanh, x, vec({1, 0})).tangent, {2}, {1, 0});
  check(gradient([](auto v) { return sum(v * v); }, x), {2}, {0, 2});
  check(gradient([](auto a, auto b) { return sum(a * b); }, {x, x + 1})[1], {2}, {0, 1});
  check(
      gradient([](std::span<const Tensor> v) { return sum(v[0] * v[1] * v[2] * v[3] * v[4] * v[5] * v[6]); },
               std::vector<Tensor>(7, x))[6],
      {2}, {0, 1});
  Counting counting;
  check(jacobian(counting, x), {2, 2}, {0, 0, 0, 2});
  BOOST_TEST(counting.calls == 1);
  const Parameter p(x);
  check(gradient(plain_function, p), {2}, {1, std::numbers::e});
}

BOOST_AUTO_TEST_CASE(single_precision_stays_single) {
  const Tensor x = Tensor::from({1, 2});
  for (const Tensor& t :
       {gradient([](const Tensor& v) { return sum(square(v)); }, x), jacobian(curve, x),
        jvp(curve, x, x).tangent, hessian([](const Tensor& v) { return sum(square(v)); }, x),
        hvp([](const Tensor& v) { return sum(square(v)); }, x, x)})
    BOOST_TEST((t.dtype() == f32));
}

// ---- refusals ----

BOOST_AUTO_TEST_CASE(errors_name_what_is_wrong) {
  const Tensor x = vec({1, 2});
  const auto f = [](const Tensor& v) { return sum(square(v)); };
  const auto pair = [](const Tensor& a, const Tensor& b) { return sum(a * b); };
  BOOST_CHECK_EXCEPTION(gradient(f, Tensor()), ArgumentError, mentions("gradient", "input 0", "undefined"));
  BOOST_CHECK_EXCEPTION(gradient(f, std::vector<Tensor>{}), ArgumentError, mentions("gradient", "no inputs"));
  BOOST_CHECK_EXCEPTION(gradient(pair, x), ArgumentError, mentions("takes 2 tensors", "1 was given"));
  BOOST_CHECK_EXCEPTION(gradient(f, {x, x}), ArgumentError, mentions("takes 1 tensor,", "2 were given"));
  BOOST_CHECK_EXCEPTION(jvp(pair, {x, Tensor::arange(2)}, {x, x}), DtypeError,
                        mentions("jvp", "input 1", "i64", "capture"));
  BOOST_CHECK_EXCEPTION(gradient([](const Tensor&) { return Tensor(); }, x), ArgumentError,
                        mentions("gradient", "returned an undefined tensor"));
  BOOST_CHECK_EXCEPTION(jacobian([](const Tensor& v) { return argmax(v); }, x), DtypeError,
                        mentions("jacobian", "result", "i64"));
  BOOST_CHECK_EXCEPTION(gradient(curve, x), ShapeError,
                        mentions("gradient", "[3]", "one element", "jacobian"));
  BOOST_CHECK_EXCEPTION(value_and_gradient(curve, x), ShapeError, mentions("value_and_gradient", "[3]"));
  BOOST_CHECK_EXCEPTION(hessian(curve, x), ShapeError, mentions("hessian", "[3]", "one element"));
  BOOST_CHECK_EXCEPTION(hvp(curve, x, x), ShapeError, mentions("hvp", "[3]", "one element"));
  BOOST_CHECK_EXCEPTION(vjp(curve, x, x), ShapeError,
                        mentions("vjp", "the cotangent", "[2]", "result", "[3]"));
  BOOST_CHECK_EXCEPTION(vjp(curve, x, Tensor::ones({3})), DtypeError,
                        mentions("vjp", "the cotangent", "f32", "f64"));
  BOOST_CHECK_EXCEPTION(vjp(curve, x, Tensor()), ArgumentError,
                        mentions("vjp", "the cotangent", "undefined", "assign"));
  BOOST_CHECK_EXCEPTION(jvp(curve, x, vec({1, 2, 3})), ShapeError,
                        mentions("jvp", "tangent 0", "[3]", "[2]"));
  BOOST_CHECK_EXCEPTION(jvp(pair, {x, x}, {x, Tensor::ones({2})}), DtypeError,
                        mentions("jvp", "tangent 1", "f32", "f64"));
  BOOST_CHECK_EXCEPTION(jvp(pair, {x, x}, {x}), ArgumentError, mentions("jvp", "2 inputs", "1 tangent"));
  BOOST_CHECK_EXCEPTION(hvp(f, x, vec({1})), ShapeError, mentions("hvp", "vector 0", "[1]", "[2]"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace derivatives_test
