#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/layers/multi_layer_net.h>
#include <tapegrad/nn/train/search.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace search_test {

using namespace tapegrad;
using test::mentions;

BOOST_AUTO_TEST_SUITE(search)

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// All that a ranking says.
std::vector<double> numbers_of(const std::vector<nn::Trial>& trials) {
  std::vector<double> all;
  for (const nn::Trial& t : trials) {
    all.push_back(static_cast<double>(t.number));
    all.push_back(static_cast<double>(t.seed));
    all.push_back(t.result.score);
    for (const auto& [name, value] : t.values) all.push_back(value);
    all.insert(all.end(), t.result.curve.begin(), t.result.curve.end());
  }
  return all;
}

/// Points in the plane and the quarter that they lie in.
nn::Dataset quarters(std::int64_t n) {
  Generator rng(7);
  const Tensor x = randn({n, 2}, rng);
  std::vector<std::int64_t> t;
  const auto v = x.values<float>();
  for (std::size_t i = 0; i < v.size(); i += 2) t.push_back((v[i] > 0 ? 1 : 0) + (v[i + 1] > 0 ? 2 : 0));
  return {x, Tensor::from(t), 4};
}

nn::TrialResult train(const nn::Trial& trial, const nn::Dataset::Split& split) {
  Generator rng(trial.seed);
  nn::MultiLayerNet net(2, 4, rng,
                        {.hidden = {16}, .batch_norm = true, .dropout = 0.1, .weight_decay = trial["decay"]});
  optim::Adam adam(net.groups(), trial["lr"]);
  nn::Trainer trainer(net, adam, {.epochs = 2, .batch = 32, .seed = trial.seed});
  nn::TrialResult result = 0;
  for (const nn::EpochReport& e : trainer.fit(split.training, split.validation).epochs)
    result.curve.push_back(e.validation.loss);
  result.score = -result.curve.back();
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(ranges_may_be_as_wide_as_numbers_go) {
  const auto sample = [](const nn::Range& range) {
    std::vector<double> found;
    for (const nn::Trial& t :
         nn::random_search({range}, [](const nn::Trial&) -> nn::TrialResult { return 0; }, {.trials = 200}))
      found.push_back(t["x"]);
    return found;
  };
  int small = 0;
  for (const double x : sample({"x", 1e-300, 1e300})) small += x < 1;
  BOOST_TEST(std::abs(small - 100) < 5 * 7);  // five standard deviations
  int negative = 0;
  for (const double x : sample({"x", -1.7e308, 1.7e308, false})) negative += x < 0;
  BOOST_TEST(std::abs(negative - 100) < 5 * 7);
}

// The suite runs under the thread sanitizer too: trials share the data and the pool of threads.
BOOST_AUTO_TEST_CASE(any_number_of_threads_gives_the_same_ranking) {
  const nn::Dataset::Split split = quarters(300).split(100, 1);
  const auto search = [&](std::uint64_t seed, int trials_at_a_time, int compute_threads) {
    const int before = threads();
    set_threads(compute_threads);
    const auto ranked = nn::random_search({{"lr", 1e-4, 1e-1}, {"decay", 1e-8, 1e-2}},
                                          [&](const nn::Trial& t) { return train(t, split); },
                                          {.trials = 9, .threads = trials_at_a_time, .seed = seed});
    set_threads(before);
    return numbers_of(ranked);
  };
  const std::vector<double> once = search(3, 1, 1);
  BOOST_TEST(once == search(3, 2, 1));
  BOOST_TEST(once == search(3, 4, 2));
  BOOST_TEST(once != search(4, 1, 1));
}

BOOST_AUTO_TEST_CASE(what_is_drawn_lies_in_its_range_uniformly) {
  std::vector<std::int64_t> decades(4), tenths(10);
  const auto ranked = nn::random_search(
      {{"lr", 1e-5, 1e-1}, {.name = "momentum", .lo = 0.5, .hi = 0.9, .logarithmic = false}, {"fixed", 3, 3}},
      [](const nn::Trial& t) { return t["lr"]; }, {.trials = 4000});
  BOOST_TEST_REQUIRE(ranked.size() == 4000U);
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const double lr = ranked[i]["lr"];
    const double momentum = ranked[i]["momentum"];
    BOOST_TEST_REQUIRE((lr >= 1e-5 && lr <= 1e-1 && momentum >= 0.5 && momentum <= 0.9));
    BOOST_TEST_REQUIRE(ranked[i]["fixed"] == 3);
    if (i > 0) BOOST_TEST_REQUIRE(lr <= ranked[i - 1]["lr"]);
    ++decades[static_cast<std::size_t>(std::min(3.0, std::log10(lr) + 5))];
    ++tenths[static_cast<std::size_t>(std::min(9.0, (momentum - 0.5) / 0.04))];
  }
  // Five standard deviations of the binomial distribution.
  for (const std::int64_t n : decades)
    BOOST_TEST(std::abs(static_cast<double>(n) - 1000) < 5 * std::sqrt(750.0));
  for (const std::int64_t n : tenths)
    BOOST_TEST(std::abs(static_cast<double>(n) - 400) < 5 * std::sqrt(360.0));
  BOOST_CHECK_EXCEPTION(ranked[0]["beta"], ArgumentError, mentions("'beta'", "'lr', 'momentum', 'fixed'"));
}

BOOST_AUTO_TEST_CASE(more_trials_begin_with_the_same_ones) {
  const auto run = [](std::int64_t trials) {
    return nn::random_search({{"x", 1, 2}}, [](const nn::Trial& t) { return -static_cast<double>(t.number); },
                             {.trials = trials, .seed = 5});
  };
  const auto few = run(3);
  const auto many = run(30);
  for (std::size_t i = 0; i < few.size(); ++i) {
    BOOST_TEST(few[i]["x"] == many[i]["x"]);
    BOOST_TEST(few[i].seed == many[i].seed);
  }
}

BOOST_AUTO_TEST_CASE(ranks_are_by_score_then_by_number) {
  const double scores[] = {1, kNaN, 3, -std::numeric_limits<double>::infinity(), 3, kNaN, 2};
  std::vector<std::int64_t> order;
  for (const nn::Trial& t :
       nn::random_search({{"x", 1, 2}}, [&](const nn::Trial& t) { return scores[t.number]; }, {.trials = 7}))
    order.push_back(t.number);
  BOOST_TEST(order == std::vector<std::int64_t>({2, 4, 6, 0, 3, 1, 5}));
}

BOOST_AUTO_TEST_CASE(a_training_that_diverges_ends_its_trial_alone) {
  const auto ranked = nn::random_search({{"x", 1, 2}},
                                        [](const nn::Trial& t) -> nn::TrialResult {
                                          if (t.number == 1) throw nn::Diverged("as of Trainer::fit");
                                          return static_cast<double>(t.number);
                                        },
                                        {.trials = 3});
  BOOST_TEST(ranked[0].number == 2);
  BOOST_TEST(ranked[2].number == 1);
  BOOST_TEST(std::isnan(ranked[2].result.score));
}

BOOST_AUTO_TEST_CASE(each_trial_is_reported_once) {
  std::vector<int> seen(20);
  nn::random_search({{"x", 1, 2}}, [](const nn::Trial& t) { return t["x"]; },
                    {.trials = 20, .threads = 4, .on_trial = [&](const nn::Trial& t) {
                       ++seen[static_cast<std::size_t>(t.number)];  // one call at a time
                       if (t.result.score != t["x"]) seen[0] = 99;
                     }});
  BOOST_TEST(seen == std::vector<int>(20, 1));
}

BOOST_AUTO_TEST_CASE(the_error_of_the_earliest_trial_is_thrown) {
  for (const int threads : {1, 3}) {
    std::atomic<int> begun{0};
    const auto run = [&](const nn::Trial& t) -> double {
      ++begun;
      if (t.number >= 4) throw Error("trial " + std::to_string(t.number));
      return 0;
    };
    BOOST_CHECK_EXCEPTION(nn::random_search({{"x", 1, 2}}, run, {.trials = 1000, .threads = threads}), Error,
                          mentions("trial 4"));
    BOOST_TEST(begun < 1000);
  }
}

BOOST_AUTO_TEST_CASE(what_a_search_takes_is_checked) {
  const auto search = [](const std::vector<nn::Range>& ranges, const nn::SearchOptions& o = {}) {
    nn::random_search(
        ranges, [](const nn::Trial&) { return 0; }, o);
  };
  BOOST_CHECK_EXCEPTION(search({}), ArgumentError, mentions("no ranges"));
  BOOST_CHECK_EXCEPTION(nn::random_search({{"a", 1, 2}}, {}), ArgumentError,
                        mentions("none was given", "give one"));
  BOOST_CHECK_EXCEPTION(search({{"", 1, 2}}), ArgumentError, mentions("no name"));
  BOOST_CHECK_EXCEPTION(search({{"a", 1, 2}, {"a", 1, 2}}), ArgumentError, mentions("called 'a'"));
  BOOST_CHECK_EXCEPTION(search({{"a", 2, 1}}), ArgumentError, mentions("'a' ranges from 2 to 1"));
  BOOST_CHECK_EXCEPTION(search({{"a", 1, kNaN}}), ArgumentError, mentions("finite"));
  BOOST_CHECK_EXCEPTION(search({{"a", 0, 1}}), ArgumentError, mentions("'a'", "no logarithm"));
  BOOST_CHECK_NO_THROW(search({{"a", 0, 1, false}}));
  BOOST_CHECK_EXCEPTION(search({{"a", 1, 2}}, {.trials = 0}), ArgumentError, mentions("0 trials"));
  BOOST_CHECK_EXCEPTION(search({{"a", 1, 2}}, {.threads = 0}), ArgumentError, mentions("0 threads"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace search_test
