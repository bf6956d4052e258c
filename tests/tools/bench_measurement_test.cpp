#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "bench/ranks/measurement.h"
#include "bench/ranks/measurement_report.h"

namespace bench_measurement_test {

using namespace tapegrad;
using namespace tapegrad::bench;

namespace {

const StepSetup kStrict{Partners::all, Summing::strict, 2, true};

/// With numbers that decimal fractions do not hold.
RanksMeasurement sample() {
  RanksMeasurement m{.ranks = 2, .delay = 0.1 + 0.2};
  m.collectives = {{CollectiveKind::all_reduce, 4, 2, 1e-6 / 3},
                   {CollectiveKind::ordered_sum, 4, 2, 2e-6 / 3}};
  m.tasks.push_back(
      {.name = "T",
       .batch = 100,
       .parameters = 1000,
       .steps = {{{}, {0.25, 0.125, 0.5}}, {kStrict, {1.0 / 3}}},
       .strict = {0.5,
                  {{CollectiveKind::gather, 72, 0.1, true}, {CollectiveKind::ordered_sum, 4000, 0.3, false}}},
       .fast = {0.25, {{CollectiveKind::broadcast, 8, 0.2, true}}},
       .computation = {{100, 0.3}, {50, 0.2}}});
  return m;
}

/// The text of sample(), where `from` has become `to`, is refused for this reason.
void check_refused(std::string_view from, std::string_view to, std::string_view why) {
  std::string text = to_json(sample());
  const std::size_t at = text.find(from);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, from);
  text.replace(at, from.size(), to);
  BOOST_CHECK_EXCEPTION(measurement_from_json(text), ArgumentError, [&](const ArgumentError& e) {
    const std::string message = e.what();
    BOOST_TEST_INFO(message);
    const bool names_all = message.starts_with("ranks: this is no measurement as --json writes it: ") &&
                           message.find(why) != std::string::npos;
    BOOST_TEST(names_all);
    return names_all;
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_measurement)

BOOST_AUTO_TEST_CASE(json_and_back) {
  const std::string text = to_json(sample());
  const RanksMeasurement m = measurement_from_json(text);
  BOOST_TEST(to_json(m) == text);
  BOOST_TEST(m.ranks == 2);
  BOOST_TEST(m.delay == 0.1 + 0.2);
  BOOST_REQUIRE(m.collectives.size() == 2);
  BOOST_TEST(m.collectives[1].ranks == 2);
  BOOST_TEST((m.collectives[1].kind == CollectiveKind::ordered_sum));
  BOOST_TEST(m.collectives[1].seconds == 2e-6 / 3);
  BOOST_REQUIRE(m.tasks.size() == 1);
  const TaskMeasurement& t = m.tasks[0];
  BOOST_TEST(t.name == "T");
  BOOST_TEST(t.batch == 100);
  BOOST_TEST(t.gradient_bytes() == 4000);
  BOOST_TEST(t.seconds({}) == 0.25);
  BOOST_TEST(t.seconds(kStrict) == 1.0 / 3);
  BOOST_TEST(t.strict.seconds == 0.5);
  BOOST_REQUIRE(t.strict.collectives.size() == 2);
  BOOST_TEST((t.strict.collectives[0].kind == CollectiveKind::gather));
  BOOST_TEST(t.strict.collectives[0].bytes == 72);
  BOOST_TEST(t.strict.collectives[1].at == 0.3);
  BOOST_TEST(!t.strict.collectives[1].blocks);
  BOOST_TEST((t.fast.collectives.at(0).kind == CollectiveKind::broadcast));
  BOOST_TEST(t.computation.at(1).items == 50);
  BOOST_TEST(t.computation.at(1).seconds == 0.2);
}

BOOST_AUTO_TEST_CASE(what_is_no_measurement) {
  check_refused("]", "", "parse error");
  check_refused("\n}\n", "", "parse error");
  check_refused("\"all_reduce\"", "\"gossip\"", "'gossip' is not known");
  check_refused("\"all ranks\"", "\"some ranks\"", "'some ranks' is not known");
  check_refused("\"strict\",\n", "\"loose\",\n", "'loose' is not known");
  check_refused("\"delay\"", "\"dalay\"", "key 'delay' not found");
  check_refused("\"parameters\"", "\"perimeters\"", "key 'parameters' not found");
  check_refused("\"blocks\"", "\"blacks\"", "key 'blocks' not found");
  check_refused("\"ranks\": 2", "\"ranks\": \"two\"", "type must be number");
  check_refused("\"overlap\": true", "\"overlap\": 1", "type must be boolean");
  check_refused("\"ranks\": 2", "\"ranks\": 0", "there are no 0 ranks");
  check_refused(fmt::format("{}", 1.0 / 3), "0.0", "nothing takes 0 s");
  check_refused(fmt::format("{}", 1.0 / 3), "-1e-3", "nothing takes -0.001 s");
  check_refused(fmt::format("{}", 1.0 / 3), "",
                "'all ranks, strict, 2 micro-batches, overlap' has no seconds");
}

BOOST_AUTO_TEST_CASE(a_setup_that_was_not_measured) {
  BOOST_CHECK_EXCEPTION(sample().tasks[0].seconds({Partners::delayed, Summing::fast, 2}), ArgumentError,
                        [](const ArgumentError& e) {
                          return std::string_view(e.what()) == "ranks: T was not measured with delayed, fast";
                        });
}

BOOST_AUTO_TEST_CASE(the_report_of_known_times) {
  RanksMeasurement m = sample();
  auto& steps = m.tasks[0].steps;
  // Alone 100 ms; with the exchange 300 ms, of which overlap hides the half of 200 ms.
  for (const Summing summing : {Summing::strict, Summing::fast}) {
    steps.push_back({{Partners::claimed, summing, 2, false}, {0.1}});
    steps.push_back({{Partners::all, summing, 2, false}, {0.3}});
  }
  steps[1].runs = {0.2};
  steps.push_back({{Partners::all, Summing::fast, 2, true}, {0.35}});
  const std::string text = report(m);
  for (
      const std::string_view line :
      {"\nT, batch 100, 1000 parameters\n", "  250.000 ms (125.000 ms to 500.000 ms)  1.00x\n",
       "  200.000 ms (200.000 ms to 200.000 ms)  1.25x\n",
       // 72 bytes are gathered; on two ranks the optimum is the gradient once.
       "  strict: computation 100.000 ms, exchange 200.000 ms; overlap hides 50 % (100.000 ms); by the cost model a "
       "rank sends 4072 bytes in 2 collectives, 1.0180 of the ring optimum 4000\n",
       "  fast: computation 100.000 ms, exchange 200.000 ms; one bucket, nothing to overlap; by the cost model a rank "
       "sends 8 bytes in 1 collectives, 0.0020 of the ring optimum 4000\n"})
    BOOST_TEST(text.find(line) != std::string::npos, line << " is not in" << text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace bench_measurement_test
