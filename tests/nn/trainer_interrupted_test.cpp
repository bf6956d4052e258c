// A training that is stopped, fails or is saved goes on as if it had not been.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace trainer_interrupted_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer_interrupted)

namespace {

/// A training whose order of items, dropout, running statistics, plateau and scores of epochs all count.
struct Training {
  explicit Training(nn::TrainerOptions options = {})
      : trainer(net, adam, with_defaults(std::move(options))) {}
  static nn::TrainerOptions with_defaults(nn::TrainerOptions o) {
    o.batch = 10;
    o.seed = 3;
    o.schedule = optim::cosine(0.05, 40);
    o.plateau = optim::ReduceOnPlateau({.patience = 0});
    o.evaluate_training = false;
    return o;
  }

  nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true, .dropout = 0.3});
  optim::Adam adam{net, 0.05};
  nn::Trainer trainer;
};

const nn::Dataset& data_of_63() {  // seven batches, the last one not full
  static const nn::Dataset data = quarters(63);
  return data;
}
const nn::Dataset& validation_of_20() {
  static const nn::Dataset data = quarters(20, 8);
  return data;
}

nn::Trainer& run(Training& t) {
  t.trainer.fit(data_of_63(), validation_of_20());
  return t.trainer;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_interrupted_epoch_goes_on_where_it_was) {
  Training whole({.epochs = 3});
  const std::vector<double> expected = values_of(run(whole).net());

  for (const std::int64_t at : {1, 4, 6, 7, 8, 20}) {
    // Epochs without end.
    Training endless({.epochs = std::numeric_limits<std::int64_t>::max(),
                      .on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
                        BOOST_TEST(b.last == std::numeric_limits<std::int64_t>::max());
                        if (b.iteration == at || b.iteration == 21) t.stop();
                      }});
    run(endless);
    BOOST_TEST(endless.adam.steps() == at);
    BOOST_TEST((endless.trainer.history().stop_reason == nn::StopReason::stopped));
    run(endless);
    BOOST_TEST(endless.adam.steps() == 21);
    BOOST_TEST(values_of(endless.net) == expected);
    BOOST_TEST(values_of(endless.adam.state()) == values_of(whole.adam.state()));
    BOOST_TEST(endless.trainer.history().epochs.back().epoch == 3);
  }
}

BOOST_AUTO_TEST_CASE(the_epochs_asked_for_follow_an_unfinished_one) {
  const nn::Dataset data = quarters(63);
  std::vector<std::int64_t> epochs;
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  nn::TrainerOptions options{.epochs = 2, .batch = 10};
  options.on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
    epochs.push_back(b.epoch);
    if (b.iteration == 3) t.stop();
  };
  nn::Trainer trainer(net, sgd, options);
  trainer.fit(data);
  trainer.fit(data);
  BOOST_TEST(epochs ==
             std::vector<std::int64_t>({1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3}));
  BOOST_TEST((trainer.history().stop_reason == nn::StopReason::completed));
  std::vector<std::int64_t> reported;
  for (const nn::EpochReport& e : trainer.history().epochs) reported.push_back(e.epoch);
  BOOST_TEST(reported == std::vector<std::int64_t>({1, 1, 2, 3}));
}

// In pieces of any number of updates, training sees the items that it sees in one.
BOOST_AUTO_TEST_CASE(iterations_in_pieces_are_those_of_the_whole) {
  const nn::Dataset data = quarters(63);
  const auto train = [&](std::int64_t pieces) {
    nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true, .dropout = 0.3});
    optim::Adam adam(net, 0.05);
    nn::Trainer trainer(net, adam, {.iterations = 24 / pieces, .batch = 10});
    for (std::int64_t i = 0; i < pieces; ++i) trainer.fit(data);
    BOOST_TEST(adam.steps() == 24);
    return values_of(net);
  };
  const std::vector<double> expected = train(1);
  for (const std::int64_t pieces : {2, 3, 6, 24}) BOOST_TEST(train(pieces) == expected);
}

BOOST_AUTO_TEST_CASE(numbers_of_updates_do_not_overflow) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const nn::TrainerOptions& o :
       {nn::TrainerOptions{.epochs = kMost}, nn::TrainerOptions{.epochs = kMost / 2},
        nn::TrainerOptions{.iterations = kMost}}) {
    nn::TrainerOptions options = o;
    options.batch = 20;
    options.on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
      BOOST_TEST(b.last > b.iteration);
      if (b.iteration % 5 == 0) t.stop();
    };
    nn::MultiLayerNet net = quarter_net();
    optim::SGD sgd(net, 0.1);
    nn::Trainer trainer(net, sgd, options);
    for (int i = 1; i <= 3; ++i) {
      trainer.fit(quarters(50));
      BOOST_TEST((trainer.history().stop_reason == nn::StopReason::stopped));
      BOOST_TEST(sgd.steps() == 5 * i);
    }
  }
}

// As after the update before: the network, the optimizer, the position.
BOOST_AUTO_TEST_CASE(an_exception_of_a_callback_leaves_the_training_to_go_on) {
  Training whole({.epochs = 2});
  run(whole);
  struct Interruption {};
  enum class Place { gradients, batch, epoch, forward };
  for (const Place place : {Place::gradients, Place::batch, Place::epoch, Place::forward}) {
    int left = 3;
    const auto interrupt = [&](Place here) {
      if (here == place && left > 0 && --left % 2 == 0) throw Interruption();
    };
    nn::TrainerOptions options{.epochs = 1'000'000};
    options.on_gradients = [&](nn::Trainer&, const nn::BatchReport&, Gradients&) {
      interrupt(Place::gradients);
    };
    options.on_batch = [&](nn::Trainer&, const nn::BatchReport&) { interrupt(Place::batch); };
    options.on_epoch = [&](nn::Trainer& t, const nn::EpochReport& e) {
      if (e.epoch == 2) t.stop();
      interrupt(Place::epoch);
    };
    options.objective = nn::Objective(
        [&](const Tensor& y, const Tensor& t) {
          interrupt(Place::forward);
          return softmax_with_loss(y, t);
        },
        nn::accuracy);
    Training t(options);
    int thrown = 0;
    for (bool done = false; !done;) {
      try {
        run(t);
        done = true;
      } catch (const Interruption&) {
        ++thrown;
        BOOST_TEST(Tape::current() == nullptr);
        BOOST_TEST(t.net.training());
        if (place == Place::epoch && t.trainer.history().epochs.size() == 2) done = true;
      }
    }
    BOOST_TEST(thrown >= 1);
    BOOST_TEST(values_of(t.net) == values_of(whole.net));
    BOOST_TEST(values_of(t.adam.state()) == values_of(whole.adam.state()));
    BOOST_REQUIRE(t.trainer.history().epochs.size() == 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      BOOST_TEST(t.trainer.history().epochs[i].training.loss ==
                 whole.trainer.history().epochs[i].training.loss);
      BOOST_TEST(t.trainer.history().epochs[i].validation.loss ==
                 whole.trainer.history().epochs[i].validation.loss);
    }
  }
}

// ---- a state that is saved and loaded ----

BOOST_AUTO_TEST_CASE(a_saved_training_goes_on_to_the_bit) {
  const test::TemporaryFolder folder;
  for (const char* file : {"run.safetensors", "run.npz"})
    for (const std::int64_t at : {10, 14}) {
      Training whole({.iterations = 2 * at});
      run(whole);
      Training first({.iterations = at});
      run(first);
      nn::save_state(folder / file, first.trainer.state());

      Training second({.iterations = at});  // as a new process makes it
      second.trainer.load_state(nn::load_state_file(folder / file).tensors);
      BOOST_TEST(values_of(second.trainer.state()) == values_of(first.trainer.state()));
      run(first);
      run(second);
      BOOST_TEST(values_of(second.trainer.state()) == values_of(first.trainer.state()));
      BOOST_TEST(values_of(second.net) == values_of(whole.net));
      BOOST_TEST(values_of(second.adam.state()) == values_of(whole.adam.state()));
      // In one piece the epoch at work in between is not evaluated, and so is not the best one.
      if (at == 14) BOOST_TEST(values_of(second.trainer.state()) == values_of(whole.trainer.state()));
      second.trainer.restore_best();
      first.trainer.restore_best();
      BOOST_TEST(values_of(second.net) == values_of(first.net));
      BOOST_TEST(second.trainer.history().epochs.front().epoch == at / 7 + 1);
    }
}

BOOST_AUTO_TEST_CASE(a_state_that_does_not_fit_changes_nothing) {
  Training t({.iterations = 9});
  run(t);
  const nn::State good = t.trainer.state();
  Training other({.iterations = 9});
  const std::vector<double> before = values_of(other.trainer.state());
  const auto refused = [&](auto change, auto... parts) {
    nn::State bad = good;
    change(bad);
    BOOST_CHECK_EXCEPTION(other.trainer.load_state(bad), Error, mentions(parts...));
    BOOST_TEST(values_of(other.trainer.state()) == before);
  };
  const auto at = [](nn::State& s, std::string_view name) -> Tensor& {
    for (auto& [known, tensor] : s)
      if (known == name) return tensor;
    BOOST_FAIL("no " << name);
    return s.front().second;
  };
  refused([](nn::State& s) { s.erase(s.begin()); }, "missing: epoch");
  refused([](nn::State& s) { s.emplace_back("epochs", Tensor::zeros({})); }, "unexpected: epochs");
  refused([](nn::State& s) { s.emplace_back("loader.x", Tensor::zeros({})); }, "'loader.x' is unexpected");
  refused([&](nn::State& s) { at(s, "batch") = Tensor::full({}, -1, i64); }, "'batch' is -1");
  refused([&](nn::State& s) { at(s, "optimizer.step") = Tensor::full({}, -1, i64); }, "'step' is -1");
  refused([](nn::State& s) { std::erase_if(s, [](auto& e) { return e.first == "optimizer.lr"; }); },
          "missing: lr");
  refused([](nn::State& s) { std::erase_if(s, [](auto& e) { return e.first.starts_with("plateau."); }); },
          "reduce on plateau", "missing: scale");
  refused([](nn::State& s) { std::erase_if(s, [](auto& e) { return e.first == "best.affine1.weight"; }); },
          "missing: affine1.weight");
  other.trainer.load_state(good);
  BOOST_TEST(values_of(other.trainer.state()) == values_of(good));
  nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true, .dropout = 0.3});
  optim::Adam adam(net, 0.05);
  nn::Trainer without(net, adam, {.batch = 10});
  BOOST_CHECK_EXCEPTION(without.load_state(good), ArgumentError, mentions("the trainer has no plateau"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_interrupted_test
