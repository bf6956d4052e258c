// What trainers on several ranks hear, before the first update, where they were not given the same.
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
  std::int64_t batch = 20;
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
                         .batch = given.batch,
                         .objective = given.objective,
                         .schedule = given.schedule,
                         .data_parallel = {.communicator = &comm, .strict = given.strict}});
    try {
      trainer.fit(given.data);
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
  check_all(heard_with({.data = quarters(81)}), "the number of items is 80 on ranks 0, 1, 81 on rank 2");
  check_all(heard_with({.lr = 0.2}), "lr is 0.1 on ranks 0, 1, 0.2 on rank 2");
  check_all(heard_with({.frozen = true}), "f32 [2, 8] on ranks 0, 1, f32 [2, 8], frozen on rank 2");
}

BOOST_AUTO_TEST_CASE(schedules_that_begin_alike) {
  // 20 updates: those of the 1st, 2nd, 4th, 8th and 16th are compared.
  const optim::Schedule all = optim::linear(0.1, 0.0, 20);
  check_all(heard_with({.schedule = 0.1}, {.schedule = all}),
            "the rate of update 2 is 0.095 on ranks 0, 1, 0.1 on rank 2");
  for (const bool strict : {true, false})
    check_all(heard_with({.schedule = optim::step_decay(0.1, 10), .strict = strict},
                         {.schedule = 0.1, .strict = strict}),
              "the rate of update 16 is 0.1 on ranks 0, 1, 0.010000000000000002 on rank 2");
}

BOOST_AUTO_TEST_CASE(a_schedule_is_not_asked_beyond_its_end) {
  const std::vector<double> rates(20, 0.1);
  const optim::Schedule listed = [&](std::int64_t update) {
    return rates.at(static_cast<std::size_t>(update));
  };
  for (const std::string& text : heard_with({.schedule = listed}, {.schedule = listed}))
    BOOST_TEST(text == "");
}

BOOST_AUTO_TEST_CASE(strict_ranks_with_other_data) {
  const std::string item = "of the training data is one of the fingerprint ";
  for (const std::string& text : heard_with({.data = quarters(80, 3)})) {
    BOOST_TEST(text.find("the ranks differ: item 0 " + item) != std::string::npos, text);
    BOOST_TEST(text.find(" on ranks 0, 1, ") != std::string::npos, text);
  }
  // Of 80 items, 16 from the first to the last are compared.
  const nn::Dataset data = quarters(80);
  nn::Batch all = data.batch(0, 80);
  all.x = all.x.copy();
  all.x.mutable_values<float>()[2 * 79] += 1;
  check_all(heard_with({.data = nn::Dataset(all.x, all.t)}), "item 79 " + item);
}

BOOST_AUTO_TEST_CASE(strict_ranks_that_compute_something_else) {
  check_all(heard_with({.activation = "tanh"}), "the ranks differ: the loss of the first 16 items is ");
  check_all(heard_with({.objective = nn::Objective(nn::SoftmaxWithLoss())}, {}),
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

BOOST_AUTO_TEST_SUITE_END()
}  // namespace ranks_that_differ_test
