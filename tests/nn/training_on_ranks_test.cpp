// Trainers on several ranks, which are threads here: the same bits for any number of them.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "resume_support.h"
#include "support.h"
#include "trainer_support.h"

namespace training_on_ranks_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;
using nn::TrainerOptions;

OptimizerMaker adam() {
  return [](const nn::Sequential& net) { return optim::make_optimizer("adam", net.parameters(), 0.01); };
}

/// Runs train(communicator), which gives a state, on each rank, and gives that of rank 0; all must have the same.
template <class Train>
nn::State trained(int ranks, const Train& train) {
  std::vector<nn::State> states(static_cast<std::size_t>(ranks));
  nn::run_on_threads(
      ranks, [&](Communicator& comm) { states[static_cast<std::size_t>(comm.rank())] = train(comm); });
  for (const nn::State& state : states) check_equal(state, states[0]);
  return states[0];
}

/// Convolution, batch norm, dropout, transforms, clipping, a schedule and a plateau.
nn::State full(int ranks, const TrainerOptions& given = {.epochs = 3}) {
  return trained(ranks, [&](Communicator& comm) {
    TrainerOptions options = given;
    options.data_parallel.communicator = &comm;
    FullTraining t(adam(), options);
    t.fit();
    return all_of(t.trainer);
  });
}

/// A multi-layer net on points in the plane.
nn::State quarter(int ranks, const TrainerOptions& given) {
  return trained(ranks, [&](Communicator& comm) {
    TrainerOptions options = given;
    options.data_parallel.communicator = &comm;
    nn::MultiLayerNet net = quarter_net(1, {.hidden = {16, 8}});
    optim::SGD sgd(net, 0.1, {.momentum = 0.9});
    nn::Trainer trainer(net, sgd, options);
    trainer.fit(quarters(100));
    return all_of(trainer);
  });
}

BOOST_AUTO_TEST_SUITE(training_on_ranks)

BOOST_AUTO_TEST_CASE(strict_training_has_the_same_bits_for_any_number_of_ranks_and_threads) {
  const int before = threads();
  const nn::State expected = full(1);
  for (const int ranks : {2, 3, 4, 5, 8}) BOOST_TEST_CONTEXT(ranks << " ranks") {
      check_equal(full(ranks), expected);
    }
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    check_equal(full(2), expected);
  }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(so_it_has_for_other_numbers_of_micro_batches) {
  for (const std::int64_t micro_batches : {4, 6, 7}) {
    const TrainerOptions options{.epochs = 3, .batch = 20, .data_parallel = {.micro_batches = micro_batches}};
    const nn::State expected = quarter(1, options);
    for (const int ranks : {2, 3, 4})
      BOOST_TEST_CONTEXT(ranks << " ranks, " << micro_batches << " micro-batches") {
        check_equal(quarter(ranks, options), expected);
      }
  }
}

BOOST_AUTO_TEST_CASE(one_micro_batch_on_one_rank_is_a_training_without_ranks) {
  const TrainerOptions options{.epochs = 3, .batch = 20};
  nn::MultiLayerNet net = quarter_net(1, {.hidden = {16, 8}});
  optim::SGD sgd(net, 0.1, {.momentum = 0.9});
  nn::Trainer trainer(net, sgd, options);
  trainer.fit(quarters(100));
  TrainerOptions one = options;
  one.data_parallel.micro_batches = 1;
  check_equal(quarter(1, one), all_of(trainer));
}

BOOST_AUTO_TEST_CASE(micro_batches_change_rounding_alone) {
  // Without what looks at a whole batch, the mean over micro-batches is the gradient of the batch.
  nn::MultiLayerNet net = quarter_net(1, {.hidden = {16, 8}});
  optim::SGD sgd(net, 0.1, {.momentum = 0.9});
  nn::Trainer trainer(net, sgd, {.epochs = 3, .batch = 30});  // the last batch of 10 items
  trainer.fit(quarters(100));
  const std::vector<double> expected = values_of(net);
  for (const bool strict : {true, false})
    nn::run_on_threads(4, [&](Communicator& comm) {
      nn::MultiLayerNet other = quarter_net(1, {.hidden = {16, 8}});
      optim::SGD rule(other, 0.1, {.momentum = 0.9});
      nn::Trainer on_ranks(
          other, rule,
          {.epochs = 3, .batch = 30, .data_parallel = {.communicator = &comm, .strict = strict}});
      const nn::History& history = on_ranks.fit(quarters(100));
      const std::vector<double> values = values_of(other);
      for (std::size_t i = 0; i < values.size(); ++i)
        if (std::abs(values[i] - expected[i]) > 1e-4) throw std::logic_error("other weights");
      if (std::abs(history.epochs.back().training.loss - trainer.history().epochs.back().training.loss) >
          1e-4)
        throw std::logic_error("another loss");
    });
}

BOOST_AUTO_TEST_CASE(not_strict_all_ranks_have_the_same_weights) {
  for (const int ranks : {1, 2, 3}) full(ranks, {.epochs = 2, .data_parallel = {.strict = false}});
}

BOOST_AUTO_TEST_CASE(values_of_rank_0_hold_for_all) {
  const auto train = [](int ranks, bool others) {
    return trained(ranks, [&](Communicator& comm) {
      nn::MultiLayerNet net =
          quarter_net(others && comm.rank() > 0 ? 99 : 1, {.hidden = {8}, .batch_norm = true});
      optim::SGD sgd(net, 0.1);
      nn::Trainer trainer(net, sgd, {.epochs = 1, .batch = 40, .data_parallel = {.communicator = &comm}});
      trainer.fit(quarters(80));
      return all_of(trainer);
    });
  };
  check_equal(train(3, true), train(1, false));
}

BOOST_AUTO_TEST_CASE(running_statistics_are_the_mean_over_micro_batches) {
  // Of two micro-batches with means 1 and 3: 0.9 * 0 + 0.1 * 2.
  for (const int ranks : {1, 2})
    nn::run_on_threads(ranks, [&](Communicator& comm) {
      nn::Sequential net{nn::BatchNorm(1)};
      optim::SGD sgd(net, 0.0);
      nn::Trainer trainer(net, sgd,
                          {.epochs = 0,
                           .iterations = 1,
                           .batch = 4,
                           .objective = nn::MSELoss(),
                           .data_parallel = {.communicator = &comm, .micro_batches = 2}});
      const Tensor x = Tensor::from({0, 2, 2, 4}, Shape{4, 1});
      trainer.fit(nn::Dataset(x, x));
      for (const auto& [name, t] : net.buffers())
        if (name == "0.running_mean" && std::abs(t.item() - 0.2) > 1e-12)
          throw std::logic_error("another mean");
    });
}

BOOST_AUTO_TEST_CASE(parameters_of_one_micro_batch_alone_are_trained_and_unused_ones_stay) {
  // A net that uses its second parameter in some micro-batches only, and its third never.
  struct Net final : nn::Module {
    void visit(nn::Visitor& v) override {
      v("a", a);
      v("b", b);
      v("c", c);
    }
    Tensor forward(const Tensor& x) override {
      Tensor y = x * a;
      if (x.values<float>()[0] > 5) y = y * b;
      return y;
    }
    Parameter a{Tensor::ones({1})}, b{Tensor::ones({1})}, c{Tensor::ones({1})};
  };
  const auto train = [](int ranks) {
    return trained(ranks, [](Communicator& comm) {
      Net net;
      optim::SGD sgd({{.parameters = net, .weight_decay = 0.1}}, 0.01);
      nn::Trainer trainer(net, sgd,
                          {.epochs = 2,
                           .batch = 8,
                           .objective = nn::MSELoss(),
                           .data_parallel = {.communicator = &comm, .micro_batches = 4}});
      const Tensor x = reshape(Tensor::arange(0, 16, 1), {16, 1});
      trainer.fit(nn::Dataset(x, 2 * x));
      if (net.c.values<float>()[0] != 1) throw std::logic_error("what has no gradient has changed");
      if (net.b.values<float>()[0] == 1) throw std::logic_error("what has a gradient has not changed");
      return all_of(trainer);
    });
  };
  const nn::State expected = train(1);
  for (const int ranks : {2, 4}) check_equal(train(ranks), expected);
}

BOOST_AUTO_TEST_CASE(reports_are_the_same_on_all_ranks) {
  std::mutex mutex;
  std::map<int, std::vector<double>> reports;
  nn::run_on_threads(3, [&](Communicator& comm) {
    std::vector<double> own;
    FullTraining t(adam(), {.epochs = 2,
                            .gradient_norm = true,
                            .evaluate_training = false,
                            .data_parallel = {.communicator = &comm},
                            .on_batch =
                                [&](nn::Trainer&, const nn::BatchReport& r) {
                                  own.insert(own.end(), {r.loss, r.lr, r.gradient_norm});
                                },
                            .on_epoch =
                                [&](nn::Trainer&, const nn::EpochReport& r) {
                                  own.insert(own.end(), {r.training.loss, r.training.metric,
                                                         r.validation.loss, r.validation.metric});
                                }});
    t.fit();
    const std::lock_guard lock(mutex);
    reports[comm.rank()] = own;
  });
  BOOST_TEST(reports[0].size() == 2 * (7 * 3 + 4));
  BOOST_TEST(reports[1] == reports[0]);
  BOOST_TEST(reports[2] == reports[0]);
}

BOOST_AUTO_TEST_CASE(scores_of_shared_evaluation_have_the_bits_of_one_rank) {
  Generator rng(3);
  nn::MultiLayerNet net = quarter_net();
  const nn::Dataset data = quarters(105);
  const nn::Score expected = nn::evaluate(net, data, {}, 10);
  for (const int ranks : {1, 2, 3, 12})
    nn::run_on_threads(ranks, [&](Communicator& comm) {
      nn::MultiLayerNet own = quarter_net();
      const auto score = nn::evaluate_unless(nullptr, comm, own, nn::forward_of(own), data, {}, 10);
      if (!score || score->loss != expected.loss || score->metric != expected.metric)
        throw std::logic_error("another score");
      const std::atomic<bool> interrupted = comm.rank() == 0;
      if (nn::evaluate_unless(&interrupted, comm, own, nn::forward_of(own), data, {}, 10))
        throw std::logic_error("one rank was interrupted");
    });
}

BOOST_AUTO_TEST_CASE(each_rank_reads_its_share_of_the_items) {
  std::mutex mutex;
  std::map<std::int64_t, int> read;
  nn::run_on_threads(4, [&](Communicator& comm) {
    nn::MultiLayerNet net = quarter_net();
    optim::SGD sgd(net, 0.1);
    std::int64_t items = 0;
    nn::Trainer trainer(net, sgd,
                        {.epochs = 1,
                         .batch = 16,
                         .item_transform =
                             [&](const nn::Item& item, Generator&) {
                               ++items;
                               return item;
                             },
                         .data_parallel = {.communicator = &comm}});
    trainer.fit(quarters(64));
    const std::lock_guard lock(mutex);
    read[items]++;
  });
  BOOST_TEST((read == std::map<std::int64_t, int>{{16, 4}}));
}

BOOST_AUTO_TEST_CASE(more_ranks_than_micro_batches_are_refused) {
  BOOST_CHECK_EXCEPTION(quarter(3, {.batch = 20, .data_parallel = {.micro_batches = 2}}), ArgumentError,
                        mentions("2 micro-batches for 3 ranks; give at least as many"));
  BOOST_CHECK_EXCEPTION(quarter(1, {.batch = 20, .data_parallel = {.micro_batches = 0}}), ArgumentError,
                        mentions("trainer: micro_batches is 0; it must be at least 1"));
}

BOOST_AUTO_TEST_CASE(a_gradient_that_the_network_does_not_list_is_refused) {
  nn::OneRank one;
  nn::Affine net = [] {
    Generator rng(1);
    return nn::Affine(2, 4, rng);
  }();
  Parameter beside(Tensor::ones({4}));
  optim::SGD sgd(net, 0.1);
  nn::Trainer trainer(net, [&](const nn::Batch& b) { return net(b.x) * beside; }, sgd,
                      {.epochs = 1, .batch = 20, .data_parallel = {.communicator = &one}});
  BOOST_CHECK_EXCEPTION(trainer.fit(quarters(80)), ArgumentError,
                        mentions("rank 0 has gradients of 3 parameters, of which 2 are listed"));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace training_on_ranks_test
