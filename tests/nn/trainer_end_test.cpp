// How a training ends, what is left then, and how it goes on.
#include <cmath>
#include <limits>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace trainer_end_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer_end)

namespace {
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
}

namespace {

/// Trains with these validation scores, one an epoch, in place of real ones.
struct Scripted {
  std::vector<double> scores;
  std::size_t next = 0;
  nn::Objective objective() {
    return {nn::SoftmaxWithLoss(), [this](const Tensor& y, const Tensor&) {
              return y.dim(0) == 13 ? scores.at(next++) : 0.0;  // the validation data are thirteen
            }};
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(it_stops_early_and_keeps_the_best) {
  const test::TemporaryFolder folder;
  Scripted script{{0.3, kNaN, 0.5, 0.4, 0.5, 0.2, 0.9}};
  nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true});
  optim::SGD sgd(net, 0.5);
  std::vector<std::vector<double>> states;
  nn::Trainer trainer(net, sgd,
                      {.epochs = 7,
                       .batch = 20,
                       .objective = script.objective(),
                       .monitor = nn::Monitor::metric,
                       .patience = 3,
                       .best_file = folder / "best.safetensors",
                       .on_epoch = [&](nn::Trainer& t, const nn::EpochReport& e) {
                         states.push_back(values_of(t.net()));
                         BOOST_TEST(e.best == (e.epoch == 1 || e.epoch == 3));
                         BOOST_TEST(values_of(t.best_state()) == states[e.epoch < 3 ? 0 : 2]);
                       }});
  BOOST_CHECK_EXCEPTION(trainer.restore_best(), Error, mentions("no best state"));
  const nn::History& h = trainer.fit(quarters(60), quarters(13, 8));
  BOOST_TEST(h.epochs.size() == 6U);  // three epochs after the third, an equal one among them
  BOOST_TEST((h.stop_reason == nn::StopReason::early));
  BOOST_TEST(h.best()->epoch == 3);
  BOOST_TEST(values_of(net) == states[5]);
  trainer.restore_best();
  BOOST_TEST(values_of(net) == states[2]);
  BOOST_TEST(values_of(nn::load_state_file(folder / "best.safetensors").tensors) == states[2]);
}

BOOST_AUTO_TEST_CASE(the_rate_falls_on_a_plateau) {
  Scripted script{{0.1, 0.2, 0.2, 0.2, 0.3, 0.3}};
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  nn::Trainer trainer(net, sgd,
                      {.epochs = 6,
                       .batch = 60,
                       .objective = script.objective(),
                       .plateau = optim::ReduceOnPlateau({.factor = 0.5, .patience = 0}),
                       .monitor = nn::Monitor::metric});
  std::vector<double> rates;
  for (const nn::EpochReport& e : trainer.fit(quarters(60), quarters(13, 8)).epochs) rates.push_back(e.lr);
  BOOST_TEST(rates == std::vector<double>({0.5, 0.5, 0.5, 0.25, 0.125, 0.125}));
}

// What falls on a plateau is the rate as it is, also where a callback has set it.
BOOST_AUTO_TEST_CASE(a_plateau_keeps_the_rate_that_a_callback_sets) {
  Scripted script{{0.1, 0.2, 0.2, 0.2, 0.2}};
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  nn::TrainerOptions options{.epochs = 5,
                             .batch = 60,
                             .objective = script.objective(),
                             .plateau = optim::ReduceOnPlateau({.factor = 0.5, .patience = 1}),
                             .monitor = nn::Monitor::metric};
  options.on_epoch = [](nn::Trainer& t, const nn::EpochReport& e) {
    if (e.epoch == 1) t.optimizer().set_lr(0.25);
  };
  nn::Trainer trainer(net, sgd, options);
  std::vector<double> rates;
  for (const nn::EpochReport& e : trainer.fit(quarters(60), quarters(13, 8)).epochs) rates.push_back(e.lr);
  BOOST_TEST(rates == std::vector<double>({0.5, 0.25, 0.25, 0.25, 0.125}));
}

BOOST_AUTO_TEST_CASE(a_stop_keeps_what_was_reached) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  nn::Trainer trainer(net, sgd,
                      {.epochs = 50, .batch = 10, .on_batch = [](nn::Trainer& t, const nn::BatchReport& b) {
                         if (b.iteration == 14) t.stop();
                       }});
  const nn::History& h = trainer.fit(quarters(100));
  BOOST_TEST((h.stop_reason == nn::StopReason::stopped));
  BOOST_TEST(h.epochs.size() == 2U);
  BOOST_TEST(h.epochs.back().iteration == 14);
  BOOST_TEST(h.epochs.back().training.loss > 0);
  BOOST_TEST(sgd.steps() == 14);
  // From another thread.
  std::thread other;
  nn::Trainer waiting(
      net, sgd,
      {.epochs = 1'000'000'000, .batch = 10, .on_batch = [&](nn::Trainer& t, const nn::BatchReport&) {
         if (!other.joinable()) other = std::thread([&t] { t.stop(); });
       }});
  waiting.fit(quarters(100));
  other.join();
  BOOST_TEST((waiting.history().stop_reason == nn::StopReason::stopped));
}

BOOST_AUTO_TEST_CASE(divergence_is_told_and_leaves_finite_weights) {
  for (const double clip : {0.0, 1e30}) {
    Generator rng(3);
    const Tensor x = randn({64, 3}, rng);
    const nn::Dataset data(x, sum(x, 1, KeepDims::yes));
    nn::Sequential net{nn::Affine(3, 1, rng)};
    optim::SGD sgd(net, 1000);
    nn::Trainer trainer(net, sgd, {.epochs = 100, .batch = 8, .objective = nn::MSELoss(), .clip_norm = clip});
    BOOST_CHECK_EXCEPTION(trainer.fit(data), nn::Diverged,
                          mentions("trainer: diverged in epoch ", "updates", "rate"));
    BOOST_TEST((trainer.history().stop_reason == nn::StopReason::diverged));
    BOOST_TEST(trainer.history().epochs.size() < 100U);
    for (const double v : values_of(net)) BOOST_TEST(std::isfinite(v));
  }
  {
    // By the last update of all, which no further batch finds out.
    Generator rng(3);
    const Tensor x = 1e6 * randn({64, 3}, rng);
    nn::Sequential net{nn::Affine(3, 1, rng)};
    optim::SGD sgd(net, 1e30);
    nn::Trainer trainer(net, sgd, {.iterations = 1, .batch = 64, .objective = nn::MSELoss()});
    BOOST_CHECK_EXCEPTION(trainer.fit(nn::Dataset(x, sum(x, 1, KeepDims::yes))), nn::Diverged,
                          mentions("after 1 updates", "the loss of the training data is"));
    BOOST_TEST((trainer.history().stop_reason == nn::StopReason::diverged));
    BOOST_TEST(std::isnan(trainer.history().epochs.back().training.loss));
    for (const double v : values_of(net)) BOOST_TEST(std::isfinite(v));
  }
  {
    // The same where nothing is evaluated any more.
    Generator rng(3);
    nn::Sequential net{nn::Affine(3, 1, rng)};
    optim::SGD sgd(net, 0.1);
    const auto root = [](const Tensor& y, const Tensor& t) { return sqrt(mean(square(y - t))); };
    nn::Trainer trainer(net, sgd, {.epochs = 1, .batch = 10, .objective = root, .evaluate_training = false});
    BOOST_CHECK_EXCEPTION(trainer.fit(nn::Dataset(Tensor::zeros({10, 3}), Tensor::zeros({10, 1}))),
                          nn::Diverged,
                          mentions("after 1 updates", "parameter '0.weight' has values that are not finite"));
    BOOST_TEST(trainer.best_state().empty());
    for (const double v : values_of(net)) BOOST_TEST(std::isfinite(v));
  }
  {
    // By a gradient that is not finite although the loss is.
    nn::MultiLayerNet net = quarter_net();
    const std::vector<double> before = values_of(net);
    optim::Adam adam(net, 0.1);
    nn::TrainerOptions options{.epochs = 2};
    options.on_gradients = [](nn::Trainer&, const nn::BatchReport&, Gradients& g) { g *= HUGE_VAL; };
    nn::Trainer trainer(net, adam, options);
    BOOST_CHECK_EXCEPTION(trainer.fit(quarters(200)), nn::Diverged, mentions("epoch 1, after 1 updates"));
    BOOST_TEST((trainer.history().stop_reason == nn::StopReason::diverged));
    BOOST_TEST(values_of(net) == before);
  }
  {
    // By what it began with: no rate is at fault.
    Generator rng(3);
    nn::Sequential net{nn::Affine(3, 1, rng, {.init = nn::Init::normal(1e30)})};
    optim::SGD sgd(net, 0.1);
    nn::Trainer trainer(net, sgd, {.batch = 10, .objective = nn::MSELoss()});
    BOOST_CHECK_EXCEPTION(trainer.fit(nn::Dataset(Tensor::ones({10, 3}), Tensor::ones({10, 1}))),
                          nn::Diverged, mentions("after 0 updates", "look at the initial weights"));
  }
  {
    // By data that were never finite.
    Tensor x = Tensor::ones({10, 3});
    x.mutable_values<float>()[3 * 7 + 1] = static_cast<float>(kNaN);
    Generator rng(3);
    nn::Sequential net{nn::Affine(3, 1, rng)};
    optim::SGD sgd(net, 0.1);
    nn::Trainer trainer(net, sgd, {.batch = 10, .objective = nn::MSELoss()});
    BOOST_CHECK_EXCEPTION(
        trainer.fit(nn::Dataset(x, Tensor::ones({10, 1}))), nn::Diverged,
        mentions("the loss of a batch is nan", "'x' of the batch has nan at [", ", 1]", "the data"));
  }
  {
    // By validation data that were never finite: no epoch would be the best, and training would end in silence.
    Tensor x = Tensor::ones({10, 3});
    x.mutable_values<float>()[4] = static_cast<float>(kNaN);
    Generator rng(3);
    nn::Sequential net{nn::Affine(3, 1, rng)};
    optim::SGD sgd(net, 0.1);
    nn::Trainer trainer(net, sgd, {.epochs = 5, .batch = 10, .objective = nn::MSELoss()});
    const Tensor t = Tensor::ones({10, 1});
    BOOST_CHECK_EXCEPTION(trainer.fit(nn::Dataset(Tensor::ones({10, 3}), t), nn::Dataset(x, t)), nn::Diverged,
                          mentions("epoch 1", "the loss of the validation data is nan", "not finite"));
    BOOST_TEST(nn::is_finite(net.state()));
  }
  // Before anything was learned there is nothing to report.
  nn::MultiLayerNet net = quarter_net();
  net.parameters()[0].second.assign(Tensor::full({2, 8}, kNaN));
  optim::SGD sgd(net, 0.1);
  nn::Trainer trainer(net, sgd);
  BOOST_CHECK_THROW(trainer.fit(quarters(200)), nn::Diverged);
  BOOST_TEST(trainer.history().epochs.empty());
  BOOST_TEST((trainer.history().best() == nullptr));
}

BOOST_AUTO_TEST_CASE(it_goes_on_where_it_ended) {
  const auto train = [](std::vector<std::int64_t> parts) {
    nn::MultiLayerNet net = quarter_net();
    optim::Adam adam(net, 0.01);
    nn::History h;
    const nn::Dataset data = quarters(90);
    nn::Trainer trainer(net, adam, {.epochs = parts[0], .batch = 20, .schedule = optim::cosine(0.05, 20)});
    for (std::size_t i = 0; i < parts.size(); ++i) h = trainer.fit(data);
    BOOST_TEST(h.epochs.size() == 4U);
    BOOST_TEST(h.epochs.back().epoch == 4);
    BOOST_TEST(h.epochs.back().iteration == 20);
    return values_of(net);
  };
  BOOST_TEST(train({4}) == train({2, 2}));
}

BOOST_AUTO_TEST_CASE(iterations_may_end_within_an_epoch) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.5);
  nn::Trainer trainer(net, sgd, {.epochs = 1, .iterations = 13, .batch = 30, .drop_last = true});
  const nn::History& h = trainer.fit(quarters(170));
  BOOST_TEST(h.epochs.size() == 3U);  // 5, 5 and 3
  BOOST_TEST(h.epochs.back().iteration == 13);
  BOOST_TEST((h.stop_reason == nn::StopReason::completed));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_end_test
