// A trainer whose batches are prepared by threads ahead of it.
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "images_source.h"
#include "resume_support.h"
#include "support.h"
#include "trainer_support.h"

namespace trainer_workers_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Dataset;

BOOST_AUTO_TEST_SUITE(trainer_workers)

BOOST_AUTO_TEST_CASE(training_is_the_same_to_the_bit_however_many_workers_there_are) {
  const OptimizerMaker adam = all_optimizers()[5].second;
  FullTraining whole(adam, {.epochs = 3});
  whole.fit();
  const nn::State expected = all_of(whole.trainer);
  for (const std::int64_t workers : {1, 2, 4}) {
    FullTraining t(adam, {.epochs = 3, .workers = workers});
    t.fit();
    check_equal(all_of(t.trainer), expected);
  }
  // Stopped within an epoch, and gone on with by another number of workers.
  for (const auto& [before, after] : {std::pair{2, 0}, std::pair{0, 2}, std::pair{1, 4}})
    for (const std::int64_t stop : {3, 9}) {
      const TemporaryFolder folder;
      FullTraining first(adam,
                         {.epochs = 3, .workers = before, .on_batch = [&](nn::Trainer& t, const auto& b) {
                            if (b.iteration == stop) t.stop();
                          }});
      first.fit();
      first.trainer.save(folder / "stopped.safetensors");
      FullTraining second(adam, {.epochs = 3, .workers = after});
      const nn::Resumed resumed = second.trainer.resume(folder / "stopped.safetensors");
      BOOST_TEST(resumed.changes.empty());
      second.fit();
      BOOST_TEST(second.optimizer->steps() == whole.optimizer->steps());
      BOOST_TEST((values_of(second.net) == values_of(whole.net)));
    }
}

BOOST_AUTO_TEST_CASE(a_training_whose_data_threw_goes_on) {
  const auto train = [](std::int64_t workers, bool fails) {
    std::atomic<bool> failing = fails;
    const auto source = std::make_shared<Images>(30, [&](std::int64_t i) {
      if (i == 17 && failing.exchange(false)) throw FileError("the disk is away");
    });
    Generator rng(1);
    nn::Sequential net{nn::Affine(16, 30, rng)};
    optim::SGD sgd(net, 1e-4);
    nn::Trainer trainer(net, sgd, {.epochs = 3, .batch = 4, .workers = workers});
    if (fails) {
      BOOST_CHECK_EXCEPTION(trainer.fit(Dataset(source)), FileError, mentions("the disk is away"));
      BOOST_TEST(sgd.steps() < 8);
      nn::Trainer rest(net, sgd, {.iterations = 24 - sgd.steps(), .batch = 4, .workers = workers});
      rest.load_state(trainer.state());
      rest.fit(Dataset(source));
    } else {
      trainer.fit(Dataset(source));
    }
    return values_of(net);
  };
  const std::vector<double> expected = train(0, false);
  for (const std::int64_t workers : {0, 1, 3}) BOOST_TEST(train(workers, true) == expected);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_workers_test
