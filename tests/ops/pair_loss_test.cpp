// Losses of predictions and targets of one shape.
#include <functional>
#include <vector>

#include "both_rules.h"
#include "loss_support.h"

namespace pair_loss_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(pair_loss)

BOOST_AUTO_TEST_CASE(squared_error_known_values) {
  const Tensor t = Tensor::from({0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, f64);
  const Tensor right = Tensor::from({0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0}, f64);
  const Tensor wrong = Tensor::from({0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0}, f64);
  check_tensor(half_sum_squared_error(right, t), {}, {0.0975});
  check_tensor(half_sum_squared_error(wrong, t), {}, {0.5975});
  check_tensor(mse_loss(right, t), {}, {0.0195});
  check_tensor(mse_loss(Tensor::from({{1, 2}, {3, 4}}), Tensor::from({{1, 0}, {0, 4}})), {}, {13.0 / 4});
  check_tensor(half_sum_squared_error(Tensor::zeros({0}), Tensor::zeros({0})), {}, {0});
  check_tensor(huber_loss(Tensor::from({0, 1, 3, -4}, f64), Tensor::zeros({4}, f64), 2), {},
               {(0.5 + 4 + 6) / 4});
}

BOOST_AUTO_TEST_CASE(pair_losses_values_and_gradients) {
  struct Pair {
    const char* name;
    Tensor (*loss)(const Tensor&, const Tensor&);
    bool mean;
    long double (*value)(long double y, long double t);
    long double (*dy)(long double y, long double t);
    long double (*dt)(long double y, long double t);
  };
  using Real = long double;
  const std::vector<Pair> pairs{
      {"mse", mse_loss, true, [](Real y, Real t) { return (y - t) * (y - t); },
       [](Real y, Real t) { return 2 * (y - t); }, [](Real y, Real t) { return 2 * (t - y); }},
      {"half_sum", half_sum_squared_error, false, [](Real y, Real t) { return (y - t) * (y - t) / 2; },
       [](Real y, Real t) { return y - t; }, [](Real y, Real t) { return t - y; }},
      {"huber", [](const Tensor& y, const Tensor& t) { return huber_loss(y, t, 0.75); }, true,
       [](Real y, Real t) {
         const Real d = std::abs(y - t);
         return d <= 0.75L ? d * d / 2 : 0.75L * (d - 0.375L);
       },
       [](Real y, Real t) { return std::clamp(y - t, -0.75L, 0.75L); },
       [](Real y, Real t) { return std::clamp(t - y, -0.75L, 0.75L); }},
      {"bce", binary_cross_entropy_with_logits, true,
       [](Real x, Real t) {
         return -t * std::log(1 / (1 + std::exp(-x))) - (1 - t) * std::log(1 / (1 + std::exp(x)));
       },
       [](Real x, Real t) { return 1 / (1 + std::exp(-x)) - t; }, [](Real x, Real) { return -x; }},
  };
  const std::vector<Shape> shapes{{}, {1}, {7}, {3, 5}, {2, 3, 4}, {515}, {17000}};
  for (const Dtype dtype : {f32, f64})
    for (const Pair& pair : pairs)
      for (const Shape& shape : shapes)
        BOOST_TEST_CONTEXT(pair.name << " of " << to_string(shape) << " " << name_of(dtype)) {
          const Tensor y = random(shape, dtype, -2, 2, 1);
          const Tensor t = random(shape, dtype, 0, 1, 2);
          const Numbers yv = numbers(y), tv = numbers(t);
          const long double n = pair.mean ? static_cast<long double>(yv.size()) : 1;
          long double expected = 0;
          Wide dy, dt;
          for (std::size_t i = 0; i < yv.size(); ++i) {
            expected += pair.value(yv[i], tv[i]) / n;
            dy.push_back(2 * pair.dy(yv[i], tv[i]) / n);
            dt.push_back(2 * pair.dt(yv[i], tv[i]) / n);
          }
          check_tensor(pair.loss(y, t), {}, {static_cast<double>(expected)});
          with_both_rules([&] {
            Tape tape;
            const Tensor ly = tape.watch(y);
            const Tensor lt = tape.watch(t);
            const Gradients g = tape.backward(pair.loss(ly, lt) + pair.loss(ly, lt));
            check_tensor(g[ly], shape, rounded(dy));
            check_tensor(g[lt], shape, rounded(dt));
            tape.reset();
            const Tensor alone = tape.watch(t);
            check_tensor(tape.backward(pair.loss(y, alone) * 2)[alone], shape, rounded(dt));
          });
        }
}

BOOST_AUTO_TEST_CASE(pair_losses_second_order) {
  const auto second = [](auto&& loss, const Tensor& y, const Tensor& t) {
    Tape tape;
    const Tensor ly = tape.watch(y);
    const Tensor lt = tape.watch(t);
    const Tensor d = tape.grad(loss(ly, lt), ly, {.record = Record::yes});
    const std::vector<Tensor> h = tape.grad(sum(d), {ly, lt});
    return std::vector<Numbers>{numbers(h[0]), numbers(h[1])};
  };
  const Tensor y = Tensor::from({-3, -0.5, 0.25, 2}, f64);
  const Tensor t = Tensor::from({0, 0.5, 0, 0.75}, f64);
  BOOST_TEST((second([](auto& a, auto& b) { return mse_loss(a, b); }, y, t) ==
              std::vector<Numbers>{{0.5, 0.5, 0.5, 0.5}, {-0.5, -0.5, -0.5, -0.5}}));
  BOOST_TEST((second(half_sum_squared_error, y, t) == std::vector<Numbers>{{1, 1, 1, 1}, {-1, -1, -1, -1}}));
  const auto huber = [](const Tensor& a, const Tensor& b) { return huber_loss(a, b, 1.1); };
  BOOST_TEST((second(huber, y, t) == std::vector<Numbers>{{0, 0.25, 0.25, 0}, {0, -0.25, -0.25, 0}}));
  const std::vector<Numbers> bce =
      second([](auto& a, auto& b) { return binary_cross_entropy_with_logits(a, b); }, y, t);
  for (std::size_t i = 0; i < 4; ++i) {
    const double s = 1 / (1 + std::exp(-numbers(y)[i]));
    BOOST_TEST(near(bce[0][i], s * (1 - s) / 4, 1e-15));
    BOOST_TEST(bce[1][i] == -0.25);
  }
}

BOOST_AUTO_TEST_CASE(logits_of_any_size_are_stable) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor x = Tensor::from({-1e4, 1e4, -1e4, 1e4}, dtype);
    const Tensor t = Tensor::from({0, 1, 1, 0}, dtype);
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor loss = binary_cross_entropy_with_logits(leaf, t);
    check_tensor(loss, {}, {5e3});
    check_tensor(tape.backward(loss)[leaf], {4}, {0, 0, -0.25, 0.25});
    tape.reset();
    const Tensor scores = tape.watch(Tensor::from({{1e4, -1e4, 0}, {-1e4, 1e4, 1e4}}, dtype));
    const Tensor of_classes = softmax_with_loss(scores, Tensor::from({1, 2}, i64));
    check_tensor(of_classes, {}, {(2e4 + std::log(2)) / 2});
    check_tensor(tape.backward(of_classes)[scores], {2, 3}, {0.5, -0.5, 0, 0, 0.25, -0.25});
  }
}

BOOST_AUTO_TEST_CASE(pair_losses_errors) {
  const Tensor y = Tensor::zeros({4, 3});
  BOOST_CHECK_EXCEPTION(mse_loss(y, Tensor::zeros({4})), ShapeError,
                        mentions("mse_loss", "[4, 3]", "[4]", "not broadcast"));
  BOOST_CHECK_EXCEPTION(half_sum_squared_error(y, Tensor::zeros({4, 1})), ShapeError,
                        mentions("half_sum_squared_error"));
  BOOST_CHECK_EXCEPTION(huber_loss(y, Tensor::zeros({3, 4})), ShapeError, mentions("huber_loss"));
  BOOST_CHECK_EXCEPTION(mse_loss(y, Tensor::zeros({4, 3}, f64)), DtypeError, mentions("f32", "f64"));
  BOOST_CHECK_EXCEPTION(mse_loss(Tensor::zeros({4}, i64), Tensor::zeros({4}, i64)), DtypeError,
                        mentions("i64"));
  BOOST_CHECK_EXCEPTION(binary_cross_entropy_with_logits(y, Tensor::zeros({4, 3}, i64)), DtypeError,
                        mentions("i64"));
  BOOST_CHECK_EXCEPTION(mse_loss(Tensor::zeros({0, 3}), Tensor::zeros({0, 3})), ArgumentError,
                        mentions("[0, 3]"));
  for (const double delta : {0.0, -1.0, kNan, kInf})
    BOOST_CHECK_EXCEPTION(huber_loss(y, y, delta), ArgumentError, mentions("huber_loss", "delta"));
}

BOOST_AUTO_TEST_CASE(binary_targets_are_probabilities) {
  const Tensor y = Tensor::full({2}, 0.5, f64);
  const auto of = [](double t) { return Tensor::from({1, t}, f64); };
  const BinaryLossOptions weighed{.pos_weight = Tensor::scalar(2, f64)};
  for (const double t : {2.0, -1.0, 1.02})
    for (const auto& loss : std::vector<std::function<Tensor(const Tensor&)>>{
             [&](const Tensor& v) { return binary_cross_entropy_with_logits(y, v); },
             [&](const Tensor& v) {
               return binary_cross_entropy_with_logits(y, v, {.reduction = Reduction::none});
             },
             [&](const Tensor& v) { return binary_cross_entropy_with_logits(y, v, weighed); },
             [&](const Tensor& v) { return binary_cross_entropy(y, v); }}) {
      BOOST_CHECK_EXCEPTION(loss(of(t)), ArgumentError,
                            mentions("binary_cross_entropy", "element 1", "targets [2]", "mse_loss"));
      BOOST_TEST(sum(loss(of(1 + 1e-4))).item() > 0);
    }
}

BOOST_AUTO_TEST_CASE(infinite_logits) {
  const Tensor x = Tensor::from({kInf, -kInf, kInf, -kInf, kNan, 2}, f64);
  const Tensor t = Tensor::from({1, 0, 0.5, 1, 0, 1}, f64);
  const auto loss_at = [&](std::int64_t i) {
    return binary_cross_entropy_with_logits(slice(x, 0, i, i + 1), slice(t, 0, i, i + 1)).item();
  };
  BOOST_TEST(loss_at(0) == 0);
  BOOST_TEST(loss_at(1) == 0);
  BOOST_TEST(loss_at(2) == kInf);
  BOOST_TEST(loss_at(3) == kInf);
  BOOST_TEST(std::isnan(loss_at(4)));
  with_both_rules([&] {
    const auto loss = [&](const Tensor& v) { return 6 * binary_cross_entropy_with_logits(v, t); };
    const double s = 1 / (1 + std::exp(2.0));
    check_tensor(derivative(loss, x), {6}, {0, 0, 0.5, -1, kNan, -s});
    check_tensor(derivative(loss, x, 2), {6}, {0, 0, 0, 0, kNan, s * (1 - s)});
  });
}

BOOST_AUTO_TEST_CASE(a_mean_whose_sum_leaves_the_range) {
  BOOST_TEST(mse_loss(Tensor::full({100}, 1e19), Tensor::zeros({100})).item() == 1e38,
             boost::test_tools::tolerance(1e-6));
  BOOST_TEST(mse_loss(Tensor::full({100}, 1e154, f64), Tensor::zeros({100}, f64)).item() == 1e308,
             boost::test_tools::tolerance(1e-14));
  BOOST_TEST(mse_loss(Tensor::full({100}, 1e20), Tensor::zeros({100})).item() == kInf);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace pair_loss_test
