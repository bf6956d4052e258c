#include <cmath>

#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "tape_support.h"

namespace tape_grad_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_grad)

namespace {
const GradOptions kRecord{.record = Record::yes};
}

// ---- 5: grad ----

BOOST_AUTO_TEST_CASE(clause_5_derivatives_of_order_1_2_and_3_on_one_tape) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor y = pow(x, 5.0) + sin(x) * exp(x);
  const Tensor first = tape.grad(y, x, kRecord);
  const Tensor second = tape.grad(first, x, kRecord);
  const Tensor third = tape.grad(second, x, kRecord);
  const Tensor fourth = tape.grad(third, x);
  const double s = std::sin(2.0) * std::exp(2.0);
  const double c = std::cos(2.0) * std::exp(2.0);
  check_close(first, {5 * 16 + s + c});
  check_close(second, {20 * 8 + 2 * c});
  check_close(third, {60 * 4 + 2 * (c - s)});
  check_close(fourth, {120 * 2 - 4 * s});
  BOOST_TEST(!fourth.tracked());
  BOOST_TEST(!tape.spent());
  // The same by a backward over what was recorded.
  check_close(tape.backward(second)[p], {60 * 4 + 2 * (c - s)});
}

BOOST_AUTO_TEST_CASE(clause_5_mixed_partial_derivatives) {
  const Parameter a = parameter(2);
  const Parameter b = parameter(3);
  Tape tape;
  const Tensor y = a * a.value() * b * b.value() * b;  // a^2 b^3
  const std::vector<Tensor> d = tape.grad(y, {a, b}, kRecord);
  check_equal(d[0], {2 * 2 * 27});
  check_equal(d[1], {4 * 3 * 9});
  const std::vector<Tensor> da = tape.grad(d[0], {a, b}, kRecord);
  const std::vector<Tensor> db = tape.grad(d[1], {a, b}, kRecord);
  check_equal(da[0], {2 * 27});
  check_equal(da[1], {2 * 2 * 27});
  check_equal(db[0], {2 * 2 * 27});
  check_equal(db[1], {4 * 6 * 3});
  check_equal(tape.grad(da[1], b), {2 * 2 * 6 * 3});
}

BOOST_AUTO_TEST_CASE(clause_5_record_no_leaves_nothing_behind) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor y = exp(p);
  const std::size_t size = tape.size();
  const Tensor g = tape.grad(y, p);
  BOOST_TEST(!g.tracked());
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(unique(g));
  BOOST_TEST(!tape.spent());
  BOOST_TEST(tape.active());
}

BOOST_AUTO_TEST_CASE(clause_5_an_x_that_y_does_not_depend_on_gives_zeros) {
  const Parameter used = parameter({1, 2});
  const Parameter unused = Parameter(Tensor::from({{1, 2, 3}}, f32));
  Tape tape;
  const Tensor u = unused;
  const Tensor older = square(used);
  const Tensor y = older * older;
  const Tensor newer = exp(y);
  const GradOptions options{.cotangent = Tensor::ones({2}, f64)};
  const std::vector<Tensor> g = tape.grad(y, {u, used, newer}, options);
  BOOST_TEST((g[0].shape() == Shape{1, 3}));
  BOOST_TEST((g[0].dtype() == f32));
  BOOST_TEST(g[0].to_vector<float>() == std::vector<float>(3, 0.0F), boost::test_tools::per_element());
  check_equal(g[1], {4, 32});
  check_equal(g[2], {0, 0});
  check_equal(tape.grad(older, newer, options), {0, 0});
  // Also where y is a constant.
  check_equal(tape.grad(Tensor::ones({2}, f64), used, options), {0, 0});
  check_equal(tape.grad(y.detach(), used, {options.cotangent, Record::yes}), {0, 0});
}

BOOST_AUTO_TEST_CASE(clause_5_grad_of_intermediate_tensors) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor m = square(x);
  const Tensor y = m * m * x;  // x^5
  const std::vector<Tensor> g = tape.grad(y, {m, x});
  check_equal(g[0], {2 * 4 * 2});
  check_equal(g[1], {5 * 16});
  check_equal(tape.grad(m, x), {4});
}

BOOST_AUTO_TEST_CASE(clause_5_xs_may_include_y_itself_and_repeat) {
  const Parameter p = parameter({2, 3});
  Tape tape;
  const Tensor y = square(p);
  const Tensor cotangent = Tensor::from({1, 10}, f64);
  for (const Record record : {Record::no, Record::yes}) {
    const std::vector<Tensor> g = tape.grad(y, {y, p, y, p}, {cotangent, record});
    check_equal(g[0], {1, 10});
    check_equal(g[1], {4, 60});
    check_equal(g[2], {1, 10});
    check_equal(g[3], {4, 60});
  }
  check_equal(tape.grad(y, y, {.cotangent = cotangent}), {1, 10});
  const Tensor leaf = p;
  check_equal(tape.grad(leaf, leaf, {.cotangent = cotangent}), {1, 10});
}

BOOST_AUTO_TEST_CASE(clause_5_results_may_be_changed_in_place) {
  const Parameter a = parameter({1, 2});
  const Parameter b = parameter({3, 4});
  const Tensor cotangent = Tensor::ones({2}, f64);
  Tape tape;
  const Tensor y = a + b.value();
  std::vector<Tensor> g = tape.grad(y, {a, b, a, y}, {.cotangent = cotangent});
  for (Tensor& t : g) {
    t.mutable_values<double>()[0] *= 10;
    check_equal(t, {10, 1});
  }
  check_equal(cotangent, {1, 1});
}

BOOST_AUTO_TEST_CASE(clause_5_only_what_lies_between_is_differentiated) {
  const Parameter p = parameter(1);
  Tensor saved = scalar(3);
  Tape tape;
  const Tensor side = saved * p;  // its gradient for p would read `saved`
  const Tensor m = exp(p);
  const Tensor y = m * m + side;
  saved.mutable_values<double>()[0] = 4;
  BOOST_CHECK_THROW(tape.grad(y, p), MutatedSaved);
  check_close(tape.grad(y, m), {2 * m.item()});
  BOOST_CHECK_THROW(tape.backward(y, RetainGraph::yes), MutatedSaved);
  check_close(tape.grad(m * m, p), {2 * m.item() * m.item()});
}

BOOST_AUTO_TEST_CASE(clause_5_marks_of_one_call_do_not_leak_into_the_next) {
  const Parameter a = parameter(2);
  const Parameter b = parameter(3);
  Tape tape;
  const Tensor m = a * b.value();
  const Tensor y = m * a;
  check_equal(tape.grad(y, m), {2});
  check_equal(tape.grad(y, b), {4});
  check_equal(tape.grad(y, a), {12});
  check_equal(tape.grad(m, m), {1});
  const Gradients g = tape.backward(y);
  check_equal(g[a], {12});
  check_equal(g[b], {4});
}

BOOST_AUTO_TEST_CASE(clause_5_jvp_is_a_double_vjp_with_a_tracked_seed) {
  const std::vector<double> at{0.5, 1.5, -1};
  const std::vector<double> direction{1, -2, 0.25};
  Tape tape;
  const Tensor x = tape.watch(Tensor::from(at));
  const Tensor u = tape.watch(Tensor::ones({3}, f64));  // any value: the vjp is linear in it
  const Tensor y = sin(x) * x;
  const Tensor vjp = tape.grad(y, x, {u, Record::yes});
  const Tensor jvp = tape.grad(vjp, u, {Tensor::from(direction), Record::yes});
  std::vector<double> expected;
  for (std::size_t i = 0; i < at.size(); ++i)
    expected.push_back((std::cos(at[i]) * at[i] + std::sin(at[i])) * direction[i]);
  check_close(jvp, expected);
  // And the jvp can be differentiated again.
  std::vector<double> second;
  for (std::size_t i = 0; i < at.size(); ++i)
    second.push_back((2 * std::cos(at[i]) - at[i] * std::sin(at[i])) * direction[i]);
  check_close(tape.grad(jvp, x, {.cotangent = Tensor::ones({3}, f64)}), second);
}

BOOST_AUTO_TEST_CASE(clause_5_a_product_with_the_hessian) {
  const Parameter p = parameter({1, 2});
  const Tensor v = Tensor::from({3, -1}, f64);
  const Tensor ones = Tensor::ones({2}, f64);
  Tape tape;
  const Tensor x = p;
  const Tensor g = tape.grad(x * x * x, x, {ones, Record::yes});
  check_equal(tape.grad(g, x, {.cotangent = v}), {6 * 1 * 3, 6 * 2 * -1});
  // Through the gradient of (g . v), with the product as part of the graph.
  check_equal(tape.backward(g * v, ones)[p], {6 * 1 * 3, 6 * 2 * -1});
}

BOOST_AUTO_TEST_CASE(clause_5_a_gradient_penalty_reaches_the_parameters) {
  const Parameter w = parameter(1.5);
  Tape tape;
  const Tensor x = tape.watch(scalar(2));
  const Tensor y = w * x * x;
  const Tensor gx = tape.grad(y, x, kRecord);  // 2 w x
  const Tensor loss = y + square(gx - 1);      // d/dw = x^2 + 2 (2 w x - 1) 2 x
  BOOST_TEST(tape.backward(loss)[w].item() == 4 + 2 * (2 * 1.5 * 2 - 1) * 2 * 2);
}

BOOST_AUTO_TEST_CASE(clause_5_the_second_derivative_of_a_linear_function_is_zero) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor x = p;
  const Tensor g = tape.grad(x * 3.0, x, kRecord);
  check_equal(g, {3});
  check_equal(tape.grad(g, x, kRecord), {0});
}

BOOST_AUTO_TEST_CASE(clause_5_broadcast_and_kinked_ops_are_differentiable_twice) {
  const Parameter a = parameter({1, -2, 3});
  const Parameter b = parameter(2);
  Tape tape;
  const Tensor x = a;
  const Tensor s = b;
  const Tensor y = relu(x) * s * s;
  const Tensor gs = tape.grad(y, s, {Tensor::ones({3}, f64), Record::yes});  // 2 s sum relu(x)
  check_equal(gs, {16});
  check_equal(tape.grad(gs, s), {8});
  check_equal(tape.grad(gs, x), {4, 0, 4});
}

BOOST_AUTO_TEST_CASE(clause_5_grad_refuses_what_has_no_gradient) {
  const Parameter p = parameter(2);
  Tape tape;
  const Tensor y = square(p);
  BOOST_CHECK_EXCEPTION(tape.grad(y, scalar(1)), NotTracked, mentions("grad", "watch"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, p.data()), NotTracked, mentions("grad", "watch"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, Tensor()), ArgumentError, mentions("grad", "undefined"));
  BOOST_CHECK_EXCEPTION(tape.grad(Tensor(), p), ArgumentError, mentions("grad", "undefined"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, Tensor::arange(2)), DtypeError, mentions("grad", "an x", "i64"));
  BOOST_CHECK_EXCEPTION(tape.grad(Tensor::arange(1), p), DtypeError, mentions("grad", "i64"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, p, {.cotangent = Tensor::arange(1)}), ShapeError, mentions("cotangent"));
  BOOST_CHECK_EXCEPTION(tape.grad(y, p, {.cotangent = Tensor::scalar(1, i64)}), DtypeError,
                        mentions("cotangent", "i64"));
  BOOST_TEST(tape.grad(y, std::span<const Tensor>{}).empty());
  const Tensor x = p;
  {
    Tape inner;
    BOOST_CHECK_EXCEPTION(inner.grad(y, inner.watch(scalar(1))), ForeignTape, mentions("grad", "outer"));
    BOOST_CHECK_EXCEPTION(inner.grad(inner.watch(scalar(1)), x), ForeignTape, mentions("grad", "outer"));
    BOOST_CHECK_EXCEPTION(tape.grad(y, x, kRecord), Error, mentions("Record::yes", "active"));
    BOOST_TEST(tape.grad(y, x).item() == 4);
  }
  tape.reset();
  BOOST_CHECK_EXCEPTION(tape.grad(y, p), StaleTensor, mentions("grad", "reset", "compute it again"));
  BOOST_CHECK_EXCEPTION(tape.grad(square(p), x), StaleTensor, mentions("grad"));
}

BOOST_AUTO_TEST_CASE(clause_5_a_seed_that_is_stale_is_refused_where_it_would_be_recorded) {
  const Parameter p = parameter(2);
  Tensor cotangent;
  {
    Tape gone;
    cotangent = gone.watch(scalar(1)) * 3.0;
  }
  Tape tape;
  const Tensor x = p;
  const Tensor y = square(x);
  BOOST_CHECK_EXCEPTION(tape.grad(y, x, {cotangent, Record::yes}), StaleTensor, mentions("grad", "detach()"));
  check_equal(tape.grad(y, x, {.cotangent = cotangent}), {12});
  check_equal(tape.grad(y, x), {4});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_grad_test
