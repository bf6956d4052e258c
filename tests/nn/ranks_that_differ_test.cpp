// What trainers on several ranks hear, before the first update, where they were not given the same.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace ranks_that_differ_test {

using namespace tapegrad;
using namespace tapegrad::test;

/// What a rank is given.
struct Given {
  std::int64_t hidden = 8;
  const char* activation = "relu";
  bool frozen = false;
  double lr = 0.1;
  optim::Schedule schedule{};
  nn::Objective objective{};
  nn::Dataset data = quarters(80);
  bool strict = true;
  std::string folder{};
  Callback<void(nn::Trainer&, const nn::BatchReport&)> on_batch{};
  Callback<void(nn::Trainer&, const nn::BatchReport&, Gradients&)> on_gradients{};
  nn::Dataset validation{};
};

/// What each of three ranks hears, of which the last one is given something else.
std::vector<std::string> heard_with(const Given& other, const Given& all = {}) {
  std::vector<std::string> heard(3);
  nn::run_on_threads(3, [&](nn::Communicator& comm) {
    const Given& given = comm.rank() == 2 ? other : all;
    Generator rng(1);
    nn::Sequential net;
    net.append(nn::Affine(2, given.hidden, rng));
    net.append(nn::make_activation(given.activation));
    net.append(nn::Affine(given.hidden, 4, rng));
    if (given.frozen) net.freeze();
    optim::SGD sgd(net, given.lr);
    nn::Trainer trainer(net, sgd,
                        {.epochs = 5,
                         .batch = 20,
                         .objective = given.objective,
                         .schedule = given.schedule,
                         .checkpoint_folder = given.folder,
                         .data_parallel = {.communicator = &comm, .strict = given.strict},
                         .on_gradients = given.on_gradients,
                         .on_batch = given.on_batch});
    try {
      trainer.fit(given.data, given.validation);
    } catch (const ArgumentError& e) {
      heard[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    comm.barrier();
  });
  return heard;
}

void check_all(const std::vector<std::string>& heard, const std::string& text) {
  for (const std::string& own : heard)
    BOOST_TEST(own.find(text) != std::string::npos, own << " without " << text);
}

BOOST_AUTO_TEST_SUITE(ranks_that_differ)

BOOST_AUTO_TEST_CASE(the_same_is_trained) {
  for (const std::string& text : heard_with({})) BOOST_TEST(text == "");
}

BOOST_AUTO_TEST_CASE(other_networks_settings_and_numbers_of_items) {
  check_all(
      heard_with({.hidden = 9}),
      "trainer: the ranks differ: parameter '0.weight' is f32 [2, 8] on ranks 0, 1, f32 [2, 9] on rank 2");
  check_all(heard_with({.data = quarters(81)}),
            "the number of items of the training data is 80 on ranks 0, 1, 81 on rank 2");
  check_all(heard_with({.lr = 0.2}), "lr is 0.1 on ranks 0, 1, 0.2 on rank 2");
  check_all(heard_with({.objective = nn::Objective(nn::SoftmaxWithLoss())}, {}),
            "metric is yes on ranks 0, 1, no on rank 2");
  check_all(heard_with({.objective = nn::MSELoss()}, {.objective = nn::Objective(nn::SoftmaxWithLoss())}),
            "objective is softmax_with_loss on ranks 0, 1, mse_loss on rank 2");
  check_all(heard_with({.frozen = true}), "f32 [2, 8] on ranks 0, 1, f32 [2, 8], frozen on rank 2");
}

BOOST_AUTO_TEST_CASE(rates_that_come_to_differ) {
  for (const bool strict : {true, false})
    check_all(heard_with({.schedule = optim::step_decay(0.1, 13), .strict = strict},
                         {.schedule = 0.1, .strict = strict}),
              "the rate of an update is 0.1 on rank 0, 0.010000000000000002 on rank 2");
  check_all(
      heard_with({.on_batch = [](nn::Trainer& t, const nn::BatchReport&) { t.optimizer().set_lr(0.2); }}),
      "the rate of an update is 0.1 on rank 0, 0.2 on rank 2");
}

BOOST_AUTO_TEST_CASE(weights_that_a_callback_changes_on_one_rank) {
  const auto change = [](nn::Trainer& t, const nn::BatchReport&, Gradients& g) {
    const Parameter weight = t.net().parameters()[0].second;
    *g.find(weight) = 2 * *g.find(weight);
  };
  check_all(heard_with({.on_gradients = change}),
            "trainer: after update 4: the ranks differ: parameter '0.weight' is one of the fingerprint ");
}

BOOST_AUTO_TEST_CASE(gradients_that_a_callback_spoils_on_one_rank) {
  std::vector<std::string> heard(3);
  nn::run_on_threads(3, [&](nn::Communicator& comm) {
    nn::MultiLayerNet net = quarter_net();
    optim::SGD sgd(net, 0.1);
    nn::Trainer trainer(net, sgd,
                        {.batch = 20,
                         .clip_norm = 1,
                         .data_parallel = {.communicator = &comm},
                         .on_gradients = [&](nn::Trainer& t, const nn::BatchReport&, Gradients& g) {
                           if (comm.rank() == 1)
                             for (auto& [name, parameter] : t.net().parameters())
                               *g.find(parameter) = Tensor::full(parameter.shape(), std::nan(""));
                         }});
    try {
      trainer.fit(quarters(80));
    } catch (const ArgumentError& e) {
      heard[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    comm.barrier();
  });
  check_all(heard, "the ranks differ: a gradient is not finite on 1 of 3");
}

BOOST_AUTO_TEST_CASE(files_that_one_rank_alone_is_to_write) {
  check_all(heard_with({.folder = "no-such-folder"}),
            "the ranks differ: checkpoint_folder is not given on ranks 0, 1, given on rank 2");
}

BOOST_AUTO_TEST_CASE(a_network_that_threads_share) {
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  BOOST_CHECK_EXCEPTION(nn::run_on_threads(2,
                                           [&](nn::Communicator& comm) {
                                             nn::Trainer trainer(
                                                 net, sgd,
                                                 {.batch = 20, .data_parallel = {.communicator = &comm}});
                                             trainer.fit(quarters(80));
                                           }),
                        ArgumentError, mentions("another thread trains this network"));
  nn::Trainer(net, sgd, {.epochs = 1, .batch = 20}).fit(quarters(80));  // it is free again
}

BOOST_AUTO_TEST_CASE(ranks_with_other_data) {
  const std::string item = "of the training data is one of the fingerprint ";
  for (const std::string& text : heard_with({.data = quarters(80, 3)})) {
    BOOST_TEST(text.find("the ranks differ: item 0 " + item) != std::string::npos, text);
    BOOST_TEST(text.find(" on ranks 0, 1, ") != std::string::npos, text);
  }
  check_all(heard_with({.data = quarters(80, 3), .strict = false}, {.strict = false}), "item 0 " + item);
  check_all(heard_with({.validation = quarters(8, 3)}, {.validation = quarters(8)}),
            "item 0 of the validation data is one of the fingerprint ");
  // Of 80 items, 16 from the first to the last are compared.
  const nn::Dataset data = quarters(80);
  nn::Batch all = data.batch(0, 80);
  all.x = all.x.copy();
  all.x.mutable_values<float>()[2 * 79] += 1;
  check_all(heard_with({.data = nn::Dataset(all.x, all.t)}), "item 79 " + item);
}

BOOST_AUTO_TEST_CASE(strict_ranks_that_compute_something_else) {
  check_all(heard_with({.activation = "tanh"}), "the ranks differ: the loss of the first 16 items is ");
  const auto half = [](const Tensor& y, const Tensor& t) { return nn::accuracy(y, t) / 2; };
  check_all(heard_with({.objective = nn::Objective(nn::SoftmaxWithLoss(), half)}, {}),
            "the ranks differ: the metric of the first 16 items is ");
}

BOOST_AUTO_TEST_CASE(a_part_of_a_batch_that_a_layer_refuses_is_named) {
  // 9 items in 8 micro-batches: all but the last one have one.
  std::string heard;
  try {
    nn::OneRank one;
    Generator rng(1);
    nn::Sequential net{nn::Affine(2, 8, rng), nn::BatchNorm(8), nn::Affine(8, 4, rng)};
    optim::SGD sgd(net, 0.1);
    nn::Trainer(net, sgd, {.epochs = 1, .batch = 9, .data_parallel = {.communicator = &one}})
        .fit(quarters(80));
  } catch (const ArgumentError& e) {
    heard = e.what();
  }
  BOOST_TEST(heard.find("a batch of 1 in training") != std::string::npos, heard);
  BOOST_TEST(
      heard.find("; this was micro-batch 1 of 8, with 1 of the 9 items of a batch") != std::string::npos,
      heard);
}

/// y = x + noise, in training and in evaluation, and a count of its calls.
struct Noisy final : nn::Module {
  void visit(nn::Visitor& v) override {
    v("weight", weight);
    v("calls", calls);
    v("generator", generator);
  }
  Tensor forward(const Tensor& x) override {
    calls = nn::Buffer(calls + 1);
    return x * weight + randn(x.shape(), generator);
  }
  Parameter weight{Tensor::ones({4})};
  nn::Buffer calls{Tensor::zeros({})};
  Generator generator{5};
};

BOOST_AUTO_TEST_CASE(what_evaluation_draws_does_not_depend_on_the_number_of_ranks) {
  std::vector<std::vector<double>> all;
  for (const int ranks : {1, 2, 3})
    nn::run_on_threads(ranks, [&](nn::Communicator& comm) {
      Noisy net;
      optim::SGD sgd(net, 0.1);
      nn::Trainer trainer(net, sgd, {.epochs = 3, .batch = 16, .data_parallel = {.communicator = &comm}});
      const Tensor x = Tensor::ones({2100, 4});
      trainer.fit(nn::Dataset(x, Tensor::zeros({2100}, i64)), nn::Dataset(x, Tensor::zeros({2100}, i64)));
      if (!comm.is_root()) return;
      std::vector<double> found = cast(net.weight.data(), f64).to_vector<double>();
      for (const nn::EpochReport& e : trainer.history().epochs) found.push_back(e.validation.loss);
      all.push_back(found);
    });
  BOOST_TEST(all[0] == all[1]);
  BOOST_TEST(all[0] == all[2]);
  Noisy net;
  const nn::Dataset data(Tensor::ones({8, 4}), Tensor::zeros({8}, i64));
  BOOST_TEST(nn::evaluate(net, data).loss != nn::evaluate(net, data).loss);  // each draws something else
}

BOOST_AUTO_TEST_CASE(evaluation_of_other_numbers_of_items) {
  std::vector<std::string> heard(2);
  nn::run_on_threads(2, [&](nn::Communicator& comm) {
    nn::MultiLayerNet net = quarter_net();
    try {
      nn::evaluate_unless(nullptr, comm, net, nn::forward_of(net), quarters(comm.is_root() ? 80 : 90));
    } catch (const ArgumentError& e) {
      heard[static_cast<std::size_t>(comm.rank())] = e.what();
    }
  });
  check_all(heard, "evaluate: the ranks differ: the number of items is 80 on rank 0, 90 on rank 1");
}

/// A buffer of as many elements as the batch has.
struct Shrinking final : nn::Module {
  void visit(nn::Visitor& v) override {
    v("affine", affine);
    v("last", last);
  }
  Tensor forward(const Tensor& x) override {
    if (training()) last = nn::Buffer(Tensor::zeros({x.dim(0)}));
    return affine(x);
  }
  nn::Affine affine = [] {
    Generator rng(1);
    return nn::Affine(2, 4, rng);
  }();
  nn::Buffer last{Tensor::zeros({20})};
};

BOOST_AUTO_TEST_CASE(a_buffer_that_changes_its_shape_is_refused) {
  for (const int ranks : {1, 2})
    BOOST_CHECK_EXCEPTION(nn::run_on_threads(ranks,
                                             [&](nn::Communicator& comm) {
                                               Shrinking net;
                                               optim::SGD sgd(net, 0.1);
                                               nn::Trainer trainer(
                                                   net, sgd,
                                                   {.batch = 20, .data_parallel = {.communicator = &comm}});
                                               trainer.fit(quarters(80));
                                             }),
                          ArgumentError, mentions("a buffer of f32 [20] is f32 [2] behind forward"));
}

BOOST_AUTO_TEST_CASE(an_exchange_that_no_layer_declares_is_refused) {
  BOOST_CHECK_EXCEPTION(
      nn::run_on_threads(
          2,
          [&](nn::Communicator& comm) {
            nn::MultiLayerNet net = quarter_net();
            optim::SGD sgd(net, 0.1);
            const nn::Objective objective = [&](const Tensor& y, const Tensor& t) {
              const Tensor loss = nn::SoftmaxWithLoss()(y, t);
              return Tape::current() ? nn::all_reduce(loss, comm) : loss;
            };
            nn::Trainer(net, sgd,
                        {.batch = 20, .objective = objective, .data_parallel = {.communicator = &comm}})
                .fit(quarters(80));
          }),
      ArgumentError, mentions("no layer says that it exchanges", "overrides communicator()"));
}

BOOST_AUTO_TEST_CASE(more_micro_batches_than_items_are_refused) {
  nn::OneRank one;
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  const auto make = [&](std::int64_t micro_batches) {
    nn::Trainer(net, sgd,
                {.batch = 20, .data_parallel = {.communicator = &one, .micro_batches = micro_batches}});
  };
  make(20);
  BOOST_CHECK_EXCEPTION(make(21), ArgumentError,
                        mentions("micro_batches is 21; it must be at most the number of items"));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace ranks_that_differ_test
