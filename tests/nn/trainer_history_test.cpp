// What the history says beside the scores: the gradient's norm, and how fast items were trained on.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "resume_support.h"
#include "trainer_support.h"

namespace trainer_history_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer_history)

namespace {

const OptimizerMaker kSgd = [](const nn::Sequential& net) { return std::make_unique<optim::SGD>(net, 0.1); };

bool is_later(const std::string& name) {
  return name == "history.gradient_norm" || name == "history.items_per_second" ||
         name == "fit.epoch_seconds" || name == "fit.gradient_norm";
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_epoch_has_the_mean_of_its_gradients_norms) {
  const nn::Dataset data = quarters(63);
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  std::vector<double> norms;
  nn::TrainerOptions options{.epochs = 2, .batch = 10, .gradient_norm = true};
  options.on_gradients = [&](nn::Trainer&, const nn::BatchReport& b, const Gradients& g) {
    BOOST_TEST(std::isnan(b.gradient_norm));  // not known yet
    norms.push_back(global_norm(g));
  };
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
    BOOST_TEST(b.gradient_norm == norms.back());
  };
  const nn::History history = nn::Trainer(net, sgd, options).fit(data);
  BOOST_REQUIRE(norms.size() == 14U);
  for (std::size_t epoch = 0; epoch < 2; ++epoch) {
    double sum = 0;
    for (std::size_t i = 0; i < 7; ++i) sum += norms[7 * epoch + i];
    BOOST_TEST(history.epochs[epoch].gradient_norm == sum / 7);
  }

  // Asked for or not, the weights are the same; not asked for, nothing is measured.
  nn::MultiLayerNet other = quarter_net();
  optim::SGD other_sgd(other, 0.1);
  const nn::History without = nn::Trainer(other, other_sgd, {.epochs = 2, .batch = 10}).fit(data);
  BOOST_TEST(std::isnan(without.epochs[1].gradient_norm));
  BOOST_TEST(values_of(other) == values_of(net));
}

BOOST_AUTO_TEST_CASE(a_norm_that_is_clipped_is_known_and_one_that_is_not_finite_shows) {
  const nn::Dataset data = quarters(30);
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  nn::Trainer clipped(net, sgd, {.epochs = 1, .batch = 10, .clip_norm = 1e-3});
  BOOST_TEST(clipped.fit(data).epochs[0].gradient_norm > 1e-3);  // before it was clipped

  nn::TrainerOptions options{.epochs = 1, .batch = 10, .gradient_norm = true};
  options.on_gradients = [&](nn::Trainer&, const nn::BatchReport&, Gradients& g) {
    g *= std::numeric_limits<double>::infinity();
  };
  nn::Trainer infinite(net, sgd, options);
  BOOST_CHECK_THROW(infinite.fit(data), nn::Diverged);
  BOOST_TEST(!std::isfinite(infinite.history().epochs.at(0).gradient_norm));
}

BOOST_AUTO_TEST_CASE(evaluation_is_no_part_of_the_time_of_training) {
  const nn::Dataset data = quarters(63);
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  nn::TrainerOptions options{.epochs = 2, .batch = 10};
  const auto wait = [](double seconds) {
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::duration<double>(seconds)) {
    }
  };
  options.on_epoch = [&](nn::Trainer&, const nn::EpochReport&) { wait(0.1); };
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport&) { wait(0.01); };
  const nn::Forward forward = [&](const nn::Batch& b) {
    if (!net.training()) wait(0.1);
    return net(b.x);
  };
  const nn::History history = nn::Trainer(net, forward, sgd, options).fit(data);
  for (const nn::EpochReport& e : history.epochs) {
    // Six callbacks lie between the first update and the last: at most 63 items in 0.06 seconds.
    BOOST_TEST(e.items_per_second > 0);
    BOOST_TEST(e.items_per_second < 63 / 0.06);
  }
  // Between two reports lie the callback of the first epoch, the updates of the second, and its evaluation.
  const double between = history.epochs[1].seconds - history.epochs[0].seconds;
  BOOST_TEST(63 / history.epochs[1].items_per_second <= between - 0.1 - 0.1);
}

// In the middle of an epoch, sums and seconds are part of the checkpoint.
BOOST_AUTO_TEST_CASE(what_is_measured_goes_on_with_the_training) {
  const TemporaryFolder folder;
  FullTraining whole(kSgd, {.epochs = 3, .gradient_norm = true});
  whole.fit();
  for (const std::int64_t at : {3, 7, 12}) {
    nn::TrainerOptions options{.epochs = 3, .gradient_norm = true};
    options.on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
      if (b.iteration == at) t.save(folder / "run.npz");
    };
    FullTraining first(kSgd, options);
    first.fit();
    nn::Checkpoint checkpoint = nn::load_checkpoint(folder / "run.npz");
    for (auto& [name, tensor] : checkpoint.tensors)
      if (name == "fit.epoch_seconds") {
        BOOST_TEST(tensor.item() > 0);
        tensor = Tensor::scalar(1000, f64);
      }
    FullTraining second(kSgd, {.epochs = 3, .gradient_norm = true});
    second.trainer.resume(checkpoint);
    second.fit();
    const std::vector<nn::EpochReport>& epochs = second.trainer.history().epochs;
    BOOST_REQUIRE(epochs.size() == 3U);
    for (std::size_t i = 0; i < 3; ++i)
      BOOST_TEST(epochs[i].gradient_norm == whole.trainer.history().epochs[i].gradient_norm);
    const auto interrupted = static_cast<std::size_t>((at - 1) / 7);
    BOOST_TEST(epochs[interrupted].items_per_second <= 0.063);  // of 63 items in a thousand seconds
    BOOST_TEST(epochs[2].items_per_second > 0.063);
  }
}

BOOST_AUTO_TEST_CASE(a_checkpoint_from_before_is_read) {
  const TemporaryFolder folder;
  nn::TrainerOptions options{.epochs = 3};
  options.on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
    if (b.iteration == 10) t.save(folder / "run.npz");
  };
  FullTraining first(kSgd, options);
  first.fit();
  nn::Checkpoint before = nn::load_checkpoint(folder / "run.npz");
  BOOST_TEST(std::erase_if(before.tensors, [](const auto& named) { return is_later(named.first); }) == 4U);
  FullTraining second(kSgd, {.epochs = 3, .gradient_norm = true});
  second.trainer.resume(before);
  second.fit();
  BOOST_TEST(values_of(second.net) == values_of(first.net));
  const std::vector<nn::EpochReport>& epochs = second.trainer.history().epochs;
  BOOST_REQUIRE(epochs.size() == 3U);
  BOOST_TEST(std::isnan(epochs[0].gradient_norm));
  BOOST_TEST(std::isnan(epochs[0].items_per_second));
  BOOST_TEST(std::isnan(epochs[1].gradient_norm));  // those of its first updates are not known
  BOOST_TEST(std::isnan(epochs[1].items_per_second));
  BOOST_TEST(epochs[2].gradient_norm > 0);
  BOOST_TEST(epochs[2].items_per_second > 0);
}

BOOST_AUTO_TEST_CASE(numbers_that_cannot_be_are_refused) {
  const TemporaryFolder folder;
  FullTraining first(kSgd, {.epochs = 1});
  first.fit();
  first.trainer.save(folder / "run.npz");
  const nn::Checkpoint good = nn::load_checkpoint(folder / "run.npz");
  FullTraining t(kSgd, {.epochs = 1});
  const auto refused = [&](const char* name, const Tensor& tensor, auto... parts) {
    nn::Checkpoint bad = good;
    for (auto& [known, value] : bad.tensors)
      if (known == name) value = tensor;
    BOOST_CHECK_EXCEPTION(t.trainer.resume(bad), Error, mentions(parts...));
  };
  refused("fit.epoch_seconds", Tensor::scalar(-1, f64), "'fit.epoch_seconds' is -1");
  refused("fit.epoch_seconds", Tensor::scalar(1e9, f64), "'fit.epoch_seconds' is 1000000000");
  refused("history.gradient_norm", Tensor::zeros({2}, f64), "'gradient_norm' is [2]");
  refused("history.items_per_second", Tensor::zeros({1}, i64), "'items_per_second' is [1] of i64");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_history_test
