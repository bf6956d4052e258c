// What a trainer does in each iteration and epoch; how a training ends: trainer_end_test.cpp.
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace trainer_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer)

namespace {
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
}

BOOST_AUTO_TEST_CASE(it_does_what_a_loop_by_hand_does) {
  const nn::Dataset data = quarters(105);
  nn::MultiLayerNet net = quarter_net();
  optim::Momentum momentum(net, 0.3);
  const optim::Schedule schedule = optim::warm_up(5, optim::step_decay(0.2, 4, 0.5));
  std::vector<double> losses, rates, norms;
  nn::Trainer trainer(net, momentum,
                      {.epochs = 3,
                       .batch = 20,
                       .seed = 4,
                       .schedule = schedule,
                       .clip_norm = 0.5,
                       .clip_value = 0.2,
                       .on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
                         losses.push_back(b.loss);
                         rates.push_back(b.lr);
                         norms.push_back(b.gradient_norm);
                         BOOST_TEST(b.iteration == static_cast<std::int64_t>(losses.size()));
                         BOOST_TEST(b.epoch == (b.iteration - 1) / 6 + 1);
                         BOOST_TEST(b.last == 18);
                       }});
  const nn::History& history = trainer.fit(data);

  nn::MultiLayerNet other = quarter_net();
  optim::Momentum by_hand(other, 0.3);
  const nn::DataLoader loader(data, {.batch = 20, .seed = 4});
  std::size_t i = 0;
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    for (const nn::Batch& b : loader.epoch(epoch)) {
      by_hand.set_lr(schedule(static_cast<std::int64_t>(i)));
      Tape tape;
      const Tensor loss = softmax_with_loss(other(b.x), b.t);
      Gradients g = tape.backward(loss);
      clip_value(g, 0.2);
      BOOST_TEST(losses.at(i) == loss.item());
      BOOST_TEST(norms.at(i) == clip_global_norm(g, 0.5));
      BOOST_TEST(rates.at(i) == by_hand.lr());
      by_hand.step(g);
      ++i;
    }
    const nn::EpochReport& r = history.epochs.at(epoch - 1);
    const nn::Batch all = data.batch(0, data.size());
    BOOST_TEST(r.training.loss == softmax_with_loss(other(all.x), all.t).item(),
               boost::test_tools::tolerance(1e-6));
    BOOST_TEST(r.training.metric == nn::accuracy(other(all.x), all.t));
    BOOST_TEST(std::isnan(r.validation.loss));
    BOOST_TEST(r.epoch == static_cast<std::int64_t>(epoch));
    BOOST_TEST(r.iteration == static_cast<std::int64_t>(i));
    BOOST_TEST(r.lr == by_hand.lr());
    BOOST_TEST(r.seconds > 0);
  }
  BOOST_TEST(losses.size() == 18U);
  BOOST_TEST(values_of(net) == values_of(other));
  BOOST_TEST((history.stop_reason == nn::StopReason::completed));
}

// ---- any callable of a batch ----

namespace {

/// A network of two inputs: the halves of what a batch has as one.
struct TwoTowers final : nn::Layer<Tensor(const Tensor&, const Tensor&)> {
  explicit TwoTowers(Generator rng) : left(1, 4, rng), right(1, 4, rng), head(4, 4, rng) {}
  void visit(nn::Visitor& v) override {
    v("left", left);
    v("right", right);
    v("drop", drop);
    v("head", head);
  }
  Tensor forward(const Tensor& a, const Tensor& b) override {
    return head(drop(tapegrad::tanh(left(a) * right(b))));
  }
  nn::Affine left, right;
  nn::Dropout drop{0.1, 3};
  nn::Affine head;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_network_of_several_inputs_is_trained_by_a_callable) {
  const nn::Dataset data = quarters(200);
  const auto train = [&](TwoTowers& net) {
    const auto forward = [&](const nn::Batch& b) { return net(slice(b.x, 1, 0, 1), slice(b.x, 1, 1, 2)); };
    const double before = nn::evaluate(net, forward, data).loss;
    optim::Adam adam(net, 0.05);
    nn::Trainer trainer(net, forward, adam, {.epochs = 10, .batch = 20, .validation = 0.2});
    const nn::History& h = trainer.fit(data);
    BOOST_TEST(h.epochs.back().training.loss < before / 2);
    BOOST_TEST(h.epochs.back().validation.metric > 0.8);
    BOOST_TEST(net.training());
    BOOST_TEST(net.drop.training());  // evaluate has put every mode back
    trainer.restore_best();
    BOOST_TEST(values_of(net.state()) == values_of(trainer.best_state()));
    BOOST_TEST(&trainer.net() == &net);
  };
  TwoTowers net(Generator(1)), again(Generator(1));
  train(net);
  train(again);
  BOOST_TEST(values_of(net.state()) == values_of(again.state()));
  optim::SGD sgd(net, 0.1);
  BOOST_CHECK_EXCEPTION(nn::Trainer(net, nn::Forward(), sgd), ArgumentError, mentions("no function"));
}

BOOST_AUTO_TEST_CASE(a_module_is_the_callable_that_calls_it) {
  const nn::Dataset data = quarters(60);
  nn::MultiLayerNet one = quarter_net(), other = quarter_net();
  optim::SGD first(one, 0.1), second(other, 0.1);
  const auto forward = [&](const nn::Batch& b) { return other(b.x); };
  nn::Trainer(one, first, {.epochs = 2, .batch = 16}).fit(data);
  nn::Trainer(other, forward, second, {.epochs = 2, .batch = 16}).fit(data);
  BOOST_TEST(values_of(one) == values_of(other));
  BOOST_TEST(nn::evaluate(one, data).loss == nn::evaluate(other, forward, data).loss);
}

// ---- between backward and the update ----

BOOST_AUTO_TEST_CASE(gradients_are_seen_and_changed_before_they_are_clipped) {
  const nn::Dataset data = quarters(60);
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  std::vector<double> found, reported, losses, batch_losses;
  nn::TrainerOptions options{.epochs = 1, .batch = 20, .clip_norm = 1e9};
  options.on_gradients = [&](nn::Trainer& trainer, const nn::BatchReport& b, Gradients& g) {
    BOOST_TEST(&trainer.net() == &net);
    BOOST_TEST(b.epoch == 1);
    BOOST_TEST(b.last == 3);
    BOOST_TEST(b.iteration == static_cast<std::int64_t>(found.size()));  // updates so far
    BOOST_TEST(b.lr == 0.1);
    BOOST_TEST(std::isnan(b.gradient_norm));
    losses.push_back(b.loss);
    Gradients copy = g;
    found.push_back(clip_global_norm(copy, 1e9));
    for (auto& [key, gradient] : g) gradient = gradient * 0.5;
  };
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
    reported.push_back(b.gradient_norm);
    batch_losses.push_back(b.loss);
    BOOST_TEST(b.iteration == static_cast<std::int64_t>(reported.size()));
  };
  nn::Trainer(net, sgd, options).fit(data);
  BOOST_TEST_REQUIRE(found.size() == 3U);
  BOOST_TEST(losses == batch_losses);
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(reported[i] == found[i] / 2, boost::test_tools::tolerance(1e-6));

  // Halved gradients are those of half the rate.
  nn::MultiLayerNet plain = quarter_net();
  optim::SGD half(plain, 0.05);
  nn::Trainer(plain, half, {.epochs = 1, .batch = 20}).fit(data);
  const std::vector<double> a = values_of(net), b = values_of(plain);
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(std::abs(a[i] - b[i]) < 1e-6);
}

BOOST_AUTO_TEST_CASE(the_result_depends_on_the_seed_and_not_on_the_threads) {
  const auto train = [](std::uint64_t seed, int threads) {
    const int before = tapegrad::threads();
    set_threads(threads);
    nn::MultiLayerNet net = quarter_net(seed, {.hidden = {64, 64}, .batch_norm = true, .dropout = 0.2});
    optim::Adam adam(net, 0.01);
    nn::Trainer trainer(net, adam, {.epochs = 3, .batch = 250, .seed = seed, .validation = 0.25});
    trainer.fit(quarters(2000));
    set_threads(before);
    return values_of(net);
  };
  const std::vector<double> once = train(1, 1);
  BOOST_TEST(once == train(1, 2));
  BOOST_TEST(once != train(2, 1));
}

BOOST_AUTO_TEST_CASE(validation_data_are_given_or_split_off) {
  const nn::Dataset data = quarters(100);
  const nn::Dataset::Split parts = data.split(20, 9);
  const auto train = [&](double share, const nn::Dataset& training, const nn::Dataset& validation) {
    nn::MultiLayerNet net = quarter_net();
    optim::SGD sgd(net, 0.5);
    nn::Trainer trainer(net, sgd, {.epochs = 2, .batch = 16, .seed = 9, .validation = share});
    return trainer.fit(training, validation);
  };
  const nn::History split = train(0.2, data, {});
  const nn::History given = train(0, parts.training, parts.validation);
  const nn::History both = train(0.5, parts.training, parts.validation);  // what is given counts
  for (std::size_t e = 0; e < 2; ++e) {
    BOOST_TEST(split.epochs[e].validation.loss == given.epochs[e].validation.loss);
    BOOST_TEST(split.epochs[e].training.loss == given.epochs[e].training.loss);
    BOOST_TEST(both.epochs[e].validation.metric == given.epochs[e].validation.metric);
    BOOST_TEST(split.epochs[e].iteration == static_cast<std::int64_t>(5 * (e + 1)));
    BOOST_TEST(split.epochs[e].training.loss != split.epochs[e].validation.loss);
  }
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  nn::Trainer little(net, sgd, {.validation = 0.001});
  BOOST_CHECK_EXCEPTION(little.fit(data), ArgumentError, mentions("0.001 of 100 items is none"));
  nn::Trainer much(net, sgd, {.validation = 0.999});
  BOOST_CHECK_EXCEPTION(much.fit(data), ArgumentError, mentions("0.999 of 100 items is all"));
}

BOOST_AUTO_TEST_CASE(a_loss_and_a_metric_of_ones_own) {
  Generator rng(3);
  const Tensor x = randn({64, 3}, rng);
  const nn::Dataset data(x, sum(x, 1, KeepDims::yes) * 2);
  nn::Sequential net{nn::Affine(3, 1, rng)};
  optim::SGD sgd(net, 0.1);
  const auto largest = [](const Tensor& y, const Tensor& t) { return -max(abs(y - t)).item(); };
  nn::Trainer trainer(
      net, sgd,
      {.epochs = 30, .batch = 8, .objective = {nn::MSELoss(), largest}, .monitor = nn::Monitor::metric});
  const nn::History& h = trainer.fit(data);
  BOOST_TEST(h.epochs.back().training.loss < 1e-6);
  BOOST_TEST(h.epochs.back().training.metric == largest(net(x), sum(x, 1, KeepDims::yes) * 2));
  BOOST_TEST(h.epochs.back().training.metric > -0.01);

  nn::Sequential again{nn::Affine(3, 1, rng)};
  optim::SGD other(again, 0.1);
  const auto loss = [](const Tensor& y, const Tensor& t) { return mean(abs(y - t)); };
  nn::Trainer plain(again, other, {.epochs = 1, .batch = 64, .objective = loss});
  const double before = loss(again(x), sum(x, 1, KeepDims::yes) * 2).item();
  BOOST_TEST(plain.fit(data).epochs[0].training.loss < before);
  BOOST_TEST(std::isnan(plain.history().epochs[0].training.metric));  // accuracy has no meaning here
}

BOOST_AUTO_TEST_CASE(a_loss_is_one_number) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  const auto each = [](const Tensor& y, const Tensor& t) {
    return softmax_with_loss(y, t, {.reduction = Reduction::none});
  };
  nn::Trainer trainer(net, sgd, {.epochs = 1, .batch = 20, .objective = each});
  BOOST_CHECK_EXCEPTION(trainer.fit(quarters(40)), ShapeError,
                        mentions("objective", "of shape [20]", "one number", "mean(loss)"));
}

BOOST_AUTO_TEST_CASE(a_callback_does_not_fit_the_trainer_at_work) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  const nn::Dataset data = quarters(40);
  nn::Trainer trainer(net, sgd,
                      {.epochs = 2, .batch = 20, .on_epoch = [&](nn::Trainer& t, const nn::EpochReport&) {
                         BOOST_CHECK_EXCEPTION(t.fit(data), ArgumentError, mentions("fit", "callback"));
                       }});
  BOOST_TEST(trainer.fit(data).epochs.size() == 2U);
}

BOOST_AUTO_TEST_CASE(scores_of_the_batches_cost_no_evaluation) {
  const nn::Dataset data = quarters(50);
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  double sum = 0;
  nn::Trainer trainer(net, sgd,
                      {.epochs = 1,
                       .batch = 20,
                       .evaluate_training = false,
                       .on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
                         sum += b.loss * (b.iteration < 3 ? 20 : 10);
                       }});
  int calls = 0;
  const nn::Hook hook(
      [&](std::string_view path, const nn::Module&, const Tensor&) { calls += path.empty(); });
  const nn::History& h = trainer.fit(data);
  BOOST_TEST(calls == 3);
  BOOST_TEST(h.epochs[0].training.loss == sum / 50, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(h.epochs[0].training.metric > 0);
  BOOST_TEST(h.epochs[0].training.metric < 1);
}

BOOST_AUTO_TEST_CASE(every_module_keeps_its_mode) {
  Generator rng(1);
  nn::Sequential net;
  net.append("fc1", nn::Affine(2, 8, rng));
  net.append("norm", nn::BatchNorm(8));
  net.append("dropout", nn::Dropout(0.5, rng));
  net.append("fc2", nn::Affine(8, 4, rng));
  net["norm"].eval();  // its statistics are to stay
  optim::SGD sgd(net, 0.1);
  nn::Trainer trainer(net, sgd, {.epochs = 2, .batch = 20});
  trainer.fit(quarters(100));
  BOOST_TEST(!net["norm"].training());
  BOOST_TEST(net.training());
  BOOST_TEST(net["dropout"].training());
  BOOST_TEST(net.buffers()[0].second.to_vector<double>() == std::vector<double>(8, 0));
  // In evaluation the dropout is off: twice the same.
  const nn::Dataset data = quarters(30);
  BOOST_TEST(nn::evaluate(net, data).loss == nn::evaluate(net, data).loss);
  // In any batches, under a tape that is left alone.
  Tape tape;
  BOOST_TEST(nn::evaluate(net, data, {}, 7).loss == nn::evaluate(net, data).loss,
             boost::test_tools::tolerance(1e-6));
  BOOST_TEST(tape.size() == 0U);
  BOOST_CHECK_EXCEPTION(nn::evaluate(net, {}), ArgumentError, mentions("no items"));
  net.eval();
  trainer.fit(data);
  BOOST_TEST(net["norm"].training());
}

BOOST_AUTO_TEST_CASE(what_a_trainer_takes_is_checked) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  const auto make = [&](const nn::TrainerOptions& o) { nn::Trainer(net, sgd, o); };
  BOOST_CHECK_EXCEPTION(make({.epochs = -1}), ArgumentError, mentions("trainer", "epochs is -1"));
  BOOST_CHECK_EXCEPTION(make({.iterations = -1}), ArgumentError, mentions("iterations"));
  BOOST_CHECK_EXCEPTION(make({.batch = 0}), ArgumentError, mentions("batch is 0", "at least 1"));
  for (const double bad : {-0.1, 1.0, kNaN})
    BOOST_CHECK_EXCEPTION(make({.validation = bad}), ArgumentError, mentions("validation", "share"));
  for (const double bad : {-0.1, kNaN}) {
    BOOST_CHECK_EXCEPTION(make({.clip_norm = bad}), ArgumentError, mentions("clip_norm"));
    BOOST_CHECK_EXCEPTION(make({.clip_value = bad}), ArgumentError, mentions("clip_value"));
  }
  BOOST_CHECK_EXCEPTION(make({.patience = -1}), ArgumentError, mentions("patience"));
  BOOST_CHECK_EXCEPTION(make({.objective = nn::MSELoss(), .monitor = nn::Monitor::metric}), ArgumentError,
                        mentions("metric", "has none"));
  BOOST_CHECK_EXCEPTION(make({.best_file = "/missing/best.npz"}), FileError, mentions("/missing/best.npz"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_test
