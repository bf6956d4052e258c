// What the function of a map captures: backward evaluates it again, and must find it as it was.
#include <cmath>

#include <tapegrad/ops/map_sum.h>

#include "op_support.h"

namespace map_captures_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(map_captures)

namespace {
const auto kChanged = mentions("computes something else than when it was recorded", "[&]", "[=]");
}

BOOST_AUTO_TEST_CASE(a_variable_that_changes_behind_a_reference_is_found) {
  for (const Dtype dtype : {f32, f64}) {
    Tape tape;
    const Tensor w = tape.watch(Tensor::from({1, 2}, dtype));
    Tensor by_map = Tensor::scalar(0, dtype), by_sum = by_map, by_value = by_map;
    double k = 1;
    for (; k <= 3; ++k) {
      by_map = by_map + sum(map([&](auto v) { return k * v * v; }, w));
      by_sum = by_sum + map_sum([&](auto v) { return k * v * v; }, w);
      by_value = by_value + map_sum([=](auto v) { return k * v * v; }, w);
    }
    BOOST_CHECK_EXCEPTION(tape.grad(by_map, w), MutatedSaved, kChanged);
    BOOST_CHECK_EXCEPTION(tape.grad(by_sum, w), MutatedSaved, kChanged);
    check_tensor(tape.grad(by_value, w), {2}, {12, 24});
    // By the rule on tensors as well.
    BOOST_CHECK_EXCEPTION(tape.grad(by_map, w, {.record = Record::yes}), MutatedSaved, kChanged);
  }
}

BOOST_AUTO_TEST_CASE(one_that_is_as_it_was_is_none) {
  Tape tape;
  const Tensor w = tape.watch(Tensor::from({1, 2}, f64));
  double k = 3;
  const Tensor y = map([&](auto v) { return k * v * v; }, w);
  k = 4;
  BOOST_CHECK_EXCEPTION(tape.grad(sum(y), w), MutatedSaved, kChanged);
  k = 3;
  check_tensor(tape.grad(sum(y), w), {2}, {6, 12});
}

// Elements of the inputs are among the points.
BOOST_AUTO_TEST_CASE(what_matters_far_away_is_found_there) {
  for (const std::int64_t n : {1, 2, 100}) {
    Tape tape;
    const Tensor w = tape.watch(Tensor::full({n}, 700, f64));
    double bound = 1000;
    const Tensor y = map_sum([&](auto v) { return clamp(v, -bound, bound) + log(v - 600); }, w);
    const Tensor m = map_mean([&](auto v) { return clamp(v, -bound, bound); }, w);
    bound = 500;
    BOOST_CHECK_EXCEPTION(tape.grad(y, w), MutatedSaved, mentions("map_sum: its function"));
    BOOST_CHECK_EXCEPTION(tape.grad(m, w), MutatedSaved, mentions("map_mean: its function"));
  }
}

BOOST_AUTO_TEST_CASE(functions_without_a_value_are_equal_to_themselves) {
  Tape tape;
  const Tensor w = tape.watch(Tensor::from({1, 4}, f64));
  const double bound = 0;
  const Tensor y = map([&](auto v, auto u) { return where(u > bound, sqrt(v) * log(u), pow(v, 0.5)); }, w, w);
  check_tensor(tape.grad(sum(y), w), {2}, {1, 0.5 + 0.25 * std::log(4.0)});
  const Tensor constant = map([=](auto v) { return 0 * v + bound / bound; }, w);
  check_tensor(tape.grad(sum(constant), w), {2}, {0, 0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_captures_test
