#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>

#include <boost/test/unit_test.hpp>

#include "bench/ranks/prediction.h"

namespace bench_prediction_test {

using namespace tapegrad;
using namespace tapegrad::bench;

namespace {

/// One second a message, and a second for 1024 bytes.
const Link kSlow{.latency = 1, .seconds_per_byte = 1.0 / 1024};
constexpr auto kSum = CollectiveKind::ordered_sum;

/// A second, and one for each of the three items of a batch; then an ordered sum of 1024 bytes.
TaskMeasurement task(bool blocks, double at) {
  return {.name = "T",
          .batch = 3,
          .parameters = 256,
          .strict = {4, {{kSum, 1024, at, blocks}}},
          .fast = {4, {{CollectiveKind::all_reduce, 1024, at, blocks}}},
          .computation = {{1, 2}, {3, 4}}};
}

/// Steps on two ranks which take as long as the model says.
RanksMeasurement measured() {
  RanksMeasurement m{.ranks = 2, .delay = 0.5};
  for (const auto kind : {CollectiveKind::all_reduce, kSum})
    for (const double bytes : {65536.0, 262144.0})
      m.collectives.push_back({kind, bytes, 2, seconds_of(kind, bytes, 2, kSlow)});
  TaskMeasurement t = task(false, 2);
  t.steps = {
      {{}, {4}},
      // An ordered sum takes 3 s on two ranks, and 1 s more for the delay of its two operations. Beside a
      // computation of 8 s it runs from 4 s on.
      {{Partners::claimed, Summing::strict, 2, false}, {4}},
      {{Partners::claimed, Summing::strict, 2, true}, {8}},
      {{Partners::all, Summing::strict, 2, false}, {7}},
      {{Partners::delayed, Summing::strict, 2, false}, {8}},
      {{Partners::all, Summing::strict, 2, true}, {4}},
      // A sum of so few bytes is one message of 1024 bytes.
      {{Partners::claimed, Summing::fast, 2, false}, {4}},
      {{Partners::all, Summing::fast, 2, false}, {5}},
      {{Partners::all, Summing::strict, 8, false}, {9}}};
  m.tasks.push_back(t);
  return m;
}

void has(const std::string& text, std::string_view part) {
  BOOST_TEST(text.find(part) != std::string::npos, part << " is not in " << text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_prediction)

BOOST_AUTO_TEST_CASE(speed_where_exchange_costs_nothing) {
  const Speed s = predicted_speed(task(true, 4), 2, {});
  BOOST_TEST(s.weak == 2);
  BOOST_TEST(s.strong.value() == 4.0 / 3);                                // two of three items
  BOOST_TEST(predicted_speed(task(true, 4), 3, {}).strong.value() == 2);  // an item for each
  BOOST_TEST(!predicted_speed(task(true, 4), 4, {}).strong);
  BOOST_TEST(predicted_speed(task(true, 4), 1024, {}).weak == 1024);
}

BOOST_AUTO_TEST_CASE(speed_over_a_slow_link) {
  const Network slow{kSlow, kSlow};
  // 3 s behind a computation of 4 s, or of 3 s.
  BOOST_TEST(predicted_speed(task(true, 4), 2, slow).weak == 2 * 4.0 / 7);
  BOOST_TEST(predicted_speed(task(true, 4), 2, slow).strong.value() == 4.0 / 6);
  // From the half of it on.
  BOOST_TEST(predicted_speed(task(false, 2), 2, slow).weak == 2 * 4.0 / 5);
  BOOST_TEST(predicted_speed(task(false, 2), 2, slow).strong.value() == 4.0 / 4.5);
  // On four ranks 6 s and 1.5 s.
  BOOST_TEST(predicted_speed(task(true, 4), 4, slow).weak == 4 * 4.0 / 11.5);
  const Speed one = predicted_speed(task(true, 4), 1, slow);
  BOOST_TEST(one.weak == 1);
  BOOST_TEST(one.strong.value() == 1);
}

BOOST_AUTO_TEST_CASE(prediction_of_what_follows_the_model) {
  const std::vector<RanksMeasurement> measurements{{.ranks = 1}, measured()};
  const Prediction p = predict(measurements);
  has(p.text, "2 ranks    all_reduce  latency 1000000.00 us, bandwidth   0.00 GB/s, median error 0 %");
  has(p.text, "2 ranks    ordered sum latency 1000000.00 us, bandwidth   0.00 GB/s, median error 0 %");
  has(p.text,
      "all ranks, strict, 2 micro-batches           predicted  7000.000 ms, measured  7000.000 ms, +0 %");
  has(p.text,
      "delayed, strict, 2 micro-batches             predicted  8000.000 ms, measured  8000.000 ms, +0 %");
  has(p.text,
      "all ranks, strict, 2 micro-batches, overlap  predicted  8000.000 ms, measured  4000.000 ms, +100 %");
  has(p.text,
      "all ranks, fast                              predicted  6000.000 ms, measured  5000.000 ms, +20 %");
  // What the model does not say is not compared.
  BOOST_TEST(p.text.find("8 micro-batches") == std::string::npos);
  has(p.text, "T: a rank computes 1000.000 ms + 1000.0000 ms an item; ");
  has(p.text, "what is assumed");
  // On four ranks a sum takes 7.5 s, on 16 31.875 s, from 2 s on: 16 / 9.5 and 64 / 33.875. Three items are too few.
  has(p.text, "\n  fitted links                  1.68, -        1.89, - ");
  BOOST_REQUIRE(p.charts.size() == 1);
  BOOST_TEST(p.charts[0].name == "ranks_T");
}

BOOST_AUTO_TEST_CASE(fits_of_several_numbers_of_ranks) {
  RanksMeasurement four = measured();
  four.ranks = 4;
  for (CollectiveTime& c : four.collectives) {
    c.ranks = 4;
    c.seconds = seconds_of(c.kind, c.bytes, 4, kSlow);
  }
  four.tasks.clear();
  const std::vector<RanksMeasurement> measurements{four, measured()};
  const std::string text = predict(measurements).text;
  const std::size_t two = text.find("  2 ranks    all_reduce"),
                    of_four = text.find("  4 ranks    all_reduce");
  BOOST_TEST(two < of_four);
  BOOST_TEST(of_four < text.find("  together   all_reduce  latency 1000000.00 us"));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_predicted) {
  const auto message = [](const std::vector<RanksMeasurement>& measurements) -> std::string {
    try {
      predict(measurements);
    } catch (const ArgumentError& e) {
      return e.what();
    }
    return "";
  };
  const std::string none = "ranks: no measurement is of more than one rank; measure with mpirun -n 2";
  BOOST_TEST(message({}) == none);
  BOOST_TEST(message({{.ranks = 1}}) == none);
  BOOST_TEST(message({{.ranks = 2}}) == "cost model: a link needs at least two times of collectives");
  RanksMeasurement incomplete = measured();
  incomplete.tasks[0].steps.erase(incomplete.tasks[0].steps.begin() + 1);
  BOOST_TEST(message({incomplete}) == "ranks: T was not measured with no exchange, strict, 2 micro-batches");
  // A task whose computation was not measured has no chart.
  RanksMeasurement no_curve = measured();
  no_curve.tasks[0].computation.clear();
  const Prediction p = predict(std::vector{no_curve});
  BOOST_TEST(p.charts.empty());
  BOOST_TEST(p.text.find("T: a rank computes") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace bench_prediction_test
