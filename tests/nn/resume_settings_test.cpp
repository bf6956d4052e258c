// What may differ between a training and the one that is resumed from it, and is told.
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "resume_support.h"
#include "trainer_support.h"

namespace resume_settings_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(resume_settings)

namespace {

struct Named {
  static constexpr std::string_view name = "mine";
  Tensor operator()(const Tensor& y, const Tensor& t) const { return softmax_with_loss(y, t); }
};

}  // namespace

BOOST_AUTO_TEST_CASE(settings_that_must_stay_are_listed) {
  FullTraining first(kAdam, saving_at(5, files() / "run.npz", {.epochs = 1}));
  first.fit();
  const auto refused = [&](nn::TrainerOptions o, const OptimizerMaker& make, auto... parts) {
    FullTraining t(make);
    o.plateau = optim::ReduceOnPlateau();
    nn::Trainer trainer(t.net, *t.optimizer, o);
    const nn::State before = all_of(trainer);
    BOOST_CHECK_EXCEPTION(trainer.resume(files() / "run.npz"), ArgumentError, mentions(parts...));
    check_equal(all_of(trainer), before);
  };
  refused({.batch = 20, .drop_last = true, .seed = 3, .validation = 0.5, .transform_seed = 6}, kAdam,
          "run.npz' was saved with other settings", "batch is 20, was 10", "drop_last is yes, was no",
          "validation is 0.5, was 0", "transform is no, was yes", "transform_seed is 6, was 5");
  refused(
      {.batch = 10, .seed = 4, .monitor = nn::Monitor::metric, .evaluate_training = false},
      [](const nn::Sequential& net) { return std::make_unique<optim::SGD>(net, 0.1); }, "seed is 4, was 3",
      "monitor is metric, was loss", "evaluate_training is no, was yes", "optimizer is sgd, was adam");
  FullTraining t(kAdam);
  nn::Trainer without(t.net, *t.optimizer, {.batch = 10});
  BOOST_CHECK_EXCEPTION(without.resume(files() / "run.npz"), ArgumentError,
                        mentions("plateau is no, was yes"));
}

BOOST_AUTO_TEST_CASE(settings_that_may_change_are_listed_and_hold) {
  nn::TrainerOptions options{.epochs = 1, .settings = {{"model", "small"}, {"lr", "0.01"}, {"data", "here"}}};
  FullTraining first(kAdam, saving_at(5, files() / "run.npz", options));
  first.fit();
  options = {.epochs = 3,
             .iterations = 9,
             .schedule = 0.25,
             .clip_value = 2,
             .patience = 4,
             .settings = {{"model", "small"}, {"lr", "0.02"}, {"threads", "2"}}};
  FullTraining second(
      [](const nn::Sequential& net) {
        return std::make_unique<optim::Adam>(net, 0.02, optim::AdamOptions{.betas = {0.8, 0.999}});
      },
      options);
  const std::vector<std::string> changes = second.trainer.resume(files() / "run.npz").changes;
  BOOST_TEST(
      changes == std::vector<std::string>(
                     {"optimizer.beta1 is 0.8, was 0.9", "epochs is 3, was 1", "iterations is 9, was 0",
                      "patience is 4, was 0", "clip_value is 2, was 0", "lr is 0.02, was 0.01", changes.at(6),
                      "lr is 0.02, was 0.01", "threads is 2, was not given", "data is not given, was here"}),
      boost::test_tools::per_element());
  BOOST_TEST(changes.at(6).find("schedule is 0.25 in update 6, was 0.01") == 0U, changes.at(6));
  second.fit();
  BOOST_TEST(second.optimizer->steps() == 9);
  BOOST_TEST(second.optimizer->lr() == 0.25);
}

BOOST_AUTO_TEST_CASE(another_loss_is_told) {
  const auto lambda = [](const Tensor& y, const Tensor& t) { return softmax_with_loss(y, t); };
  const nn::TrainerOptions classes{.epochs = 1};
  FullTraining first(kAdam, saving_at(5, files() / "run.npz", classes));
  first.fit();
  const auto changes_of = [&](nn::Objective objective) {
    FullTraining second(kAdam, {.epochs = 1, .objective = std::move(objective)});
    return second.trainer.resume(files() / "run.npz").changes;
  };
  using Changes = std::vector<std::string>;
  struct Told {  // a name of each object is none of the class
    std::string name = "told";
    Tensor operator()(const Tensor& y, const Tensor& t) const { return softmax_with_loss(y, t); }
  };
  BOOST_TEST(nn::Objective(Told()).name() == "of the program");
  BOOST_TEST(changes_of({}).empty());
  BOOST_TEST(changes_of({nn::SoftmaxWithLoss(), nn::accuracy}).empty());
  BOOST_TEST(changes_of(Named()) ==
             Changes({"objective is mine, was softmax_with_loss", "metric is no, was yes"}));
  BOOST_TEST(changes_of({nn::MSELoss(), nn::accuracy}) ==
             Changes{"objective is mse_loss, was softmax_with_loss"});
  BOOST_TEST(changes_of({lambda, nn::accuracy}) ==
             Changes{"objective is of the program, was softmax_with_loss"});
}

// Without a schedule the rate is the optimizer's: the one that a callback has set, unless the program has another one.
BOOST_AUTO_TEST_CASE(the_rate_goes_on_or_is_the_new_one) {
  const std::string path = files() / "run.npz";
  const auto sgd = [](double lr) {
    return [lr](const nn::Sequential& net) { return std::make_unique<optim::SGD>(net, lr); };
  };
  FullTraining first(sgd(0.1));
  nn::Trainer trainer(
      first.net, *first.optimizer,
      {.iterations = 4, .batch = 10, .on_batch = [](nn::Trainer& t, const nn::BatchReport& b) {
         if (b.iteration == 2) t.optimizer().set_lr(0.05);
       }});
  trainer.fit(training_edges());
  trainer.save(path);
  for (const double lr : {0.1, 0.3}) {
    FullTraining second(sgd(lr));
    nn::Trainer other(second.net, *second.optimizer, {.iterations = 8, .batch = 10});
    const std::vector<std::string> changes = other.resume(path).changes;
    BOOST_TEST(changes.size() == (lr == 0.1 ? 1U : 2U));
    BOOST_TEST(second.optimizer->lr() == (lr == 0.1 ? 0.05 : lr));
  }
}

BOOST_AUTO_TEST_CASE(other_data_are_refused) {
  FullTraining first(kAdam, saving_at(5, files() / "run.npz", {.epochs = 1}));
  first.fit();
  FullTraining second(kAdam, {.epochs = 1});
  second.trainer.resume(files() / "run.npz");
  BOOST_CHECK_EXCEPTION(second.trainer.fit(training_edges()), ArgumentError,
                        mentions("had 63 items and 20 to validate; fit is given 63 and 0"));
  BOOST_CHECK_THROW(second.trainer.fit(edges(64, 1), validation_edges()), ArgumentError);
  second.fit();  // it can still go on
  check_equal(all_of(second.trainer), all_of(first.trainer));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace resume_settings_test
