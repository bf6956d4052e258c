#include <functional>
#include <vector>

#include <tapegrad/ops/neural/class_targets.h>

#include "both_rules.h"
#include "op_support.h"

namespace zero_gradient_test {

using namespace tapegrad;
using namespace tapegrad::test;

// An element of a result whose incoming gradient is exactly 0 contributes nothing to any input, at any order, whatever
// the derivative there is; where a gradient comes in, what is not finite shows.
namespace {

using Function = std::function<Tensor(const Tensor&)>;

/// Expects that row 1 of [rows, columns], where f has no finite derivative, gets 0 from a cotangent that is 0 in
/// result 1, that other rows get what they get without it, and that row 1 is not finite where the cotangent is 1.
void check_masked_row(const Function& f, const Tensor& x, bool shows = true) {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  const auto others = [&](const Tensor& t) { return concat({slice(t, 0, 0, 1), slice(t, 0, 2)}, 0); };
  constexpr std::size_t kOrders = 3;
  const auto derivatives = [&](const Tensor& at, bool masked) {
    Tape tape;
    const Tensor leaf = tape.watch(at);
    const Tensor y = f(leaf);
    Tensor cotangent = random(y.shape(), f64, 0.5, 2);
    if (masked) {
      Tensor mask = Tensor::ones(y.shape().with(0, 1), f64);
      cotangent = concat({slice(cotangent, 0, 0, 1), mask * 0, slice(cotangent, 0, 2)}, 0);
    }
    std::vector<Tensor> of_order{tape.grad(y, leaf, {.cotangent = cotangent, .record = Record::yes})};
    while (of_order.size() < kOrders) {
      cotangent = random(x.shape(), f64, 0.5, 2, of_order.size());
      of_order.push_back(tape.grad(of_order.back(), leaf, {.cotangent = cotangent, .record = Record::yes}));
    }
    for (Tensor& t : of_order) t = t.detach();
    return of_order;
  };
  const std::vector<Tensor> masked = derivatives(x, true);
  // The same with ordinary numbers in row 1, which other rows do not depend on.
  const std::vector<Tensor> ordinary =
      derivatives(concat({slice(x, 0, 0, 1), random({1, columns}, f64, 0.5, 2, 7), slice(x, 0, 2)}, 0), true);
  for (std::size_t order = 0; order < kOrders; ++order) BOOST_TEST_CONTEXT("order " << order + 1) {
      check_tensor(slice(masked[order], 0, 1, 2), {1, columns},
                   std::vector<double>(static_cast<std::size_t>(columns)));
      check_tensor(others(masked[order]), {rows - 1, columns}, numbers(others(ordinary[order])), 1e-12);
    }
  if (!shows) return;
  bool finite = true;
  for (const Tensor& of_order : derivatives(x, false))
    for (const double v : numbers(slice(of_order, 0, 1, 2))) finite = finite && std::isfinite(v);
  BOOST_TEST(!finite, "a derivative that is not finite does not show");
}

Tensor rows_with(const std::vector<double>& second) {
  const Tensor row = Tensor::from(second, {1, static_cast<std::int64_t>(second.size())});
  return concat({random({1, row.dim(1)}, f64, 0.5, 2, 3), row, random({2, row.dim(1)}, f64, 0.5, 2, 4)}, 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(zero_gradient)

BOOST_AUTO_TEST_CASE(rows_that_are_masked) {
  const std::vector<std::pair<const char*, Function>> functions{
      {"norm", [](const Tensor& x) { return norm(x, 1); }},
      {"std", [](const Tensor& x) { return stddev(x, 1); }},
      {"var", [](const Tensor& x) { return var(x, 1); }},
      {"logsumexp", [](const Tensor& x) { return logsumexp(x, 1); }},
      {"logsumexp, kept", [](const Tensor& x) { return logsumexp(x, 1, KeepDims::yes); }},
      {"prod", [](const Tensor& x) { return prod(x, 1); }},
      {"softmax", [](const Tensor& x) { return softmax(x, 1); }},
      {"log_softmax", [](const Tensor& x) { return log_softmax(x, 1); }},
      {"affine",
       [](const Tensor& x) {
         return square(affine(x, random({3, 2}, f64), random({2}, f64)));
       }},
      {"matmul",
       [](const Tensor& x) {
         return square(matmul(x, random({3, 2}, f64)));
       }},
      {"conv2d",
       [](const Tensor& x) {
         const Tensor y = conv2d(reshape(x, {4, 1, 1, 3}), random({2, 1, 1, 2}, f64), random({2}, f64));
         return reshape(square(y), {4, 4});
       }},
      {"conv_transpose2d",
       [](const Tensor& x) {
         const Tensor y =
             conv_transpose2d(reshape(x, {4, 1, 1, 3}), random({1, 2, 1, 2}, f64), Tensor(), {.stride = 2});
         return reshape(square(y), {4, 12});
       }},
      {"transposed matmul",
       [](const Tensor& x) {
         return transpose(square(square(matmul(random({2, 3}, f64), x, {.transpose_b = true}))));
       }},
  };
  with_both_rules([&] {
    for (const std::vector<double>& row : std::vector<std::vector<double>>{
             {kNan, 1, 2}, {kInf, 1, -kInf}, {kNan, kNan, kNan}, {kInf, kInf, 1}})
      for (const auto& [name, f] : functions) BOOST_TEST_CONTEXT(name << " of " << row[0] << " " << row[1])
    check_masked_row(f, rows_with(row));
    // Lengths of 0 have no second derivative.
    for (std::size_t i = 0; i < 2; ++i) BOOST_TEST_CONTEXT(functions[i].first << " of 0")
    check_masked_row(functions[i].second, rows_with({0, 0, 0}));
    // The product of others is infinite beside a product of 0.
    BOOST_TEST_CONTEXT("prod that overflows")
    check_masked_row(functions[5].second, rows_with({0, 1e200, 1e200}));
    for (const auto& extreme : {Function([](const Tensor& x) { return max(x, 1); }),
                                Function([](const Tensor& x) { return min(x, 1); })})
      check_masked_row(extreme, rows_with({kNan, 1, 2}), false);
  });
}

BOOST_AUTO_TEST_CASE(a_length_that_is_selected_away) {
  // where(n > 0, norm(x), 0), of rows that are all 0.
  const Tensor x = Tensor::from({{3, 4}, {0, 0}}, f64);
  const Function f = [](const Tensor& t) {
    const Tensor n = norm(t, 1);
    return sum(where(n > 0, n, 0));
  };
  with_both_rules([&] {
    check_tensor(derivative(f, x), {2, 2}, {0.6, 0.8, 0, 0});
    check_tensor(derivative(f, x, 2), {2, 2}, {(0.64 - 0.48) / 5, (0.36 - 0.48) / 5, 0, 0});
  });
}

BOOST_AUTO_TEST_CASE(rows_of_a_product_reach_neither_factor) {
  // Row 1 of the input is not finite, and sliced away behind the layer.
  const Tensor x = Tensor::from({{1, 2}, {kNan, kInf}, {3, 4}}, f64);
  with_both_rules([&] {
    for (const bool twice : {false, true}) {  // a weight that is used twice has its gradients added in place
      Tape tape;
      const Tensor input = tape.watch(x), weight = tape.watch(random({2, 2}, f64));
      const auto layer = [&] { return slice(affine(input, weight), 0, 2); };
      const Gradients g = tape.backward(sum(twice ? layer() + 2 * layer() : layer()));
      const double factor = twice ? 3 : 1;
      check_tensor(g[weight], {2, 2}, {3 * factor, 3 * factor, 4 * factor, 4 * factor});
      const std::vector<double> dx = numbers(g[input]);
      for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(dx[i] == 0);
    }
    // A weight that is not finite belongs to an output without a gradient.
    Tape tape;
    const Tensor w = Tensor::from({{1, kNan}, {2, kInf}}, f64);
    const Tensor input = tape.watch(Tensor::ones({3, 2}, f64));
    const Gradients g = tape.backward(sum(slice(matmul(input, w), 1, 0, 1)));
    check_tensor(g[input], {3, 2}, {1, 2, 1, 2, 1, 2});
    // A batch that shares one factor.
    Tape second;
    const Tensor batch = Tensor::from(std::vector{1.0, 2.0, kNan, 1.0, 3.0, 4.0, kInf, kInf}, {2, 1, 2, 2});
    const Tensor shared = second.watch(random({2, 2, 2}, f64));
    const Tensor y = matmul(batch, shared);
    const Gradients h = second.backward(sum(slice(y, 2, 0, 1)));
    const std::vector<double> dw = numbers(h[shared]);
    for (const double v : dw) BOOST_TEST(std::isfinite(v));
    BOOST_TEST(dw[0] == 4);
    BOOST_TEST(dw[2] == 6);
  });
}

BOOST_AUTO_TEST_CASE(a_feature_without_a_gradient) {
  const Tensor x = Tensor::from({{1, kNan}, {2, 1}, {4, kInf}}, f64);
  with_both_rules([&] {
    Tape tape;
    const Tensor input = tape.watch(x), gamma = tape.watch(Tensor::ones({2}, f64)),
                 beta = tape.watch(Tensor::zeros({2}, f64));
    const Tensor y = batch_norm(input, gamma, beta).y;
    const Gradients g = tape.backward(sum(square(slice(y, 1, 0, 1))));
    for (const Tensor& of : {g[input], g[gamma], g[beta]})
      for (const double v : numbers(of)) BOOST_TEST(std::isfinite(v));
    for (const std::size_t i : {1u, 3u, 5u}) BOOST_TEST(numbers(g[input])[i] == 0);
    BOOST_TEST(numbers(g[gamma])[1] == 0);
  });
}

BOOST_AUTO_TEST_CASE(samples_without_a_target) {
  const Tensor logits = Tensor::from({{1, 2, 3}, {kNan, 1, 2}, {0, 1, 0}}, f64);
  const Tensor targets = Tensor::from({{0, 1, 0}, {0, 0, 0}, {1, 0, 0}}, f64);
  const Tensor probabilities = Tensor::from({{0.2, 0.3, 0.5}, {kNan, -1e-7, 0.1}, {0.3, 0.3, 0.4}}, f64);
  with_both_rules([&] {
    for (const int order : {1, 2}) {
      const std::vector<double> a = numbers(derivative(
          [&](const Tensor& x) { return detail::weighed_softmax_with_loss(x, targets); }, logits, order));
      const std::vector<double> b = numbers(derivative(
          [&](const Tensor& x) { return detail::weighed_cross_entropy(x, targets); }, probabilities, order));
      for (std::size_t i = 0; i < 9; ++i) {
        BOOST_TEST(std::isfinite(a[i]));
        BOOST_TEST(std::isfinite(b[i]));
        if (i / 3 == 1) BOOST_TEST((a[i] == 0 && b[i] == 0));
      }
    }
    // A loss that is not taken.
    const std::vector<Function> losses{
        [&](const Tensor& x) { return detail::weighed_softmax_with_loss(x, targets); },
        [&](const Tensor& x) { return mse_loss(x, targets); },
        [&](const Tensor& x) { return huber_loss(x, targets); },
        [&](const Tensor& x) { return binary_cross_entropy_with_logits(x, targets); }};
    for (const Function& loss : losses)
      for (const int order : {1, 2})
        for (const double v : numbers(derivative(
                 [&](const Tensor& x) { return where(Tensor::scalar(0, f64), loss(x), 0); }, logits, order)))
          BOOST_TEST(v == 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace zero_gradient_test
