#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/optim/plateau.h>
#include <tapegrad/optim/rules.h>
#include <tapegrad/optim/schedule.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace schedule_test {

using namespace tapegrad;
using namespace tapegrad::optim;
using test::mentions;

BOOST_AUTO_TEST_SUITE(schedule, *boost::unit_test::tolerance(1e-14))

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Values = std::vector<double>;
Values rates(const Schedule& s, std::int64_t count) {
  Values v;
  for (std::int64_t i = 0; i < count; ++i) v.push_back(s(i));
  return v;
}
void check_close(const Values& got, const Values& expected) {
  BOOST_TEST_REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    BOOST_TEST(got[i] == expected[i], "step " << i << ": " << got[i] << " instead of " << expected[i]);
}
bool close(double a, double b) { return std::abs(a - b) <= 1e-14 * std::max(1.0, std::abs(b)); }

}  // namespace

BOOST_AUTO_TEST_CASE(each_follows_its_formula) {
  for (std::int64_t t = 0; t < 30; ++t) {
    const auto x = static_cast<double>(t);
    BOOST_TEST(Schedule(0.3)(t) == 0.3);
    double stepped = 0.8;
    for (std::int64_t i = 7; i <= t; i += 7) stepped *= 0.5;
    BOOST_TEST(step_decay(0.8, 7, 0.5)(t) == stepped);
    double decayed = 0.8;
    for (std::int64_t i = 0; i < t; ++i) decayed *= 0.9;
    BOOST_TEST(close(exponential_decay(0.8, 0.9)(t), decayed));
    BOOST_TEST(close(exponential_decay(0.8, 0.81, 2)(t), decayed));
    BOOST_TEST(inverse_time_decay(0.8, 0.25)(t) == 0.8 / (1 + 0.25 * x));
    BOOST_TEST(close(linear(1, 0.2, 16)(t), t < 16 ? 1 - 0.05 * x : 0.2));
    const double angle = std::numbers::pi * x / 20;
    BOOST_TEST(close(cosine(0.8, 20, 0.1)(t), t < 20 ? 0.1 + 0.35 * (1 + std::cos(angle)) : 0.1));
  }
  check_close(rates(cosine(2, 4), 6), {2, 1 + std::sqrt(0.5), 1, 1 - std::sqrt(0.5), 0, 0});
}

BOOST_AUTO_TEST_CASE(a_warm_up_leads_to_the_schedule_behind_it) {
  check_close(rates(warm_up(4, linear(1, 0, 2)), 8), {0.2, 0.4, 0.6, 0.8, 1, 0.5, 0, 0});
  // As many steps as can be counted.
  const Schedule endless = warm_up(std::numeric_limits<std::int64_t>::max(), 0.5);
  BOOST_TEST(endless(0) >= 0);
  BOOST_TEST(endless(0) < 1e-18);
  check_close(rates(Schedule(0.5).followed_by(2, step_decay(1, 1, 0.5)), 5), {0.5, 0.5, 1, 0.5, 0.25});
  check_close(rates(step_decay(1, 1, 0.5) * 3, 3), {3, 1.5, 0.75});
  const Schedule mine = [](std::int64_t step) { return static_cast<double>(10 - step); };
  check_close(rates(mine.followed_by(1, mine) * 0.5, 3), {5, 5, 4.5});
}

BOOST_AUTO_TEST_CASE(one_cycle_rises_and_falls) {
  const Schedule s = one_cycle(0.5, 100, {.rise = 0.25, .start = 0.1, .last = 0.01});
  BOOST_TEST(close(s(0), 0.05));
  BOOST_TEST(close(s(24), 0.5));
  BOOST_TEST(close(s(99), 0.005));
  BOOST_TEST(close(s(1000), 0.005));
  for (std::int64_t t = 0; t < 99; ++t) BOOST_TEST((t < 24 ? s(t + 1) > s(t) : s(t + 1) < s(t)));
  const Schedule usual = one_cycle(1, 10);
  BOOST_TEST(close(usual(0), 0.04));
  BOOST_TEST(close(usual(2), 1));
  BOOST_TEST(close(usual(9), 4e-6));
}

// OneCycleLR as PyTorch documents it: a list of phases {end_step, from, to}, each along half a cosine, where a step
// belongs to the first phase that does not end before it.
double one_cycle_lr(double max_lr, int total_steps, double pct_start, double div_factor,
                    double final_div_factor, bool three_phase, int step) {
  const double initial_lr = max_lr / div_factor;
  const double min_lr = initial_lr / final_div_factor;
  struct Phase {
    double end_step, from, to;
  };
  const std::vector<Phase> phases =
      three_phase ? std::vector<Phase>{{pct_start * total_steps - 1, initial_lr, max_lr},
                                       {2 * pct_start * total_steps - 2, max_lr, initial_lr},
                                       {total_steps - 1.0, initial_lr, min_lr}}
                  : std::vector<Phase>{{pct_start * total_steps - 1, initial_lr, max_lr},
                                       {total_steps - 1.0, max_lr, min_lr}};
  double start_step = 0;
  for (const Phase& p : phases) {
    if (step <= p.end_step || &p == &phases.back()) {
      const double pct = (step - start_step) / (p.end_step - start_step);
      return p.to + (p.from - p.to) / 2 * (std::cos(std::numbers::pi * pct) + 1);
    }
    start_step = p.end_step;
  }
  return 0;
}

BOOST_AUTO_TEST_CASE(one_cycle_has_the_rates_of_pytorch) {
  const struct {
    double highest;
    int steps;
    double pct_start, div_factor, final_div_factor;
  } runs[] = {{0.1, 60, 0.3, 25, 1e4},  {0.1, 37, 0.3, 25, 1e4}, {2, 60, 0.25, 10, 100},
              {1, 60, 0.01, 25, 1e4},   {0.1, 60, 0.45, 4, 10},  {1, 7, 0.9, 2, 1},
              {0.3, 100, 0.2, 25, 1e4}, {0.3, 5, 0.4, 3, 7}};
  for (const bool three_phase : {false, true})
    for (const auto& r : runs) {
      if (three_phase && r.pct_start >= 0.5) continue;
      const Schedule s = one_cycle(r.highest, r.steps,
                                   {.rise = r.pct_start,
                                    .start = 1 / r.div_factor,
                                    .last = 1 / r.div_factor / r.final_div_factor,
                                    .three_phase = three_phase});
      for (int t = 0; t < r.steps; ++t)
        BOOST_TEST(close(s(t), one_cycle_lr(r.highest, r.steps, r.pct_start, r.div_factor, r.final_div_factor,
                                            three_phase, t)),
                   r.steps << " steps" << (three_phase ? " in three phases" : "") << ", step " << t);
      BOOST_TEST(s(r.steps) == s(r.steps + 1000));
    }
  for (int t = 0; t < 60; ++t) {
    BOOST_TEST(close(one_cycle(0.1, 60)(t), one_cycle_lr(0.1, 60, 0.3, 25, 1e4, false, t)));
    BOOST_TEST(
        close(one_cycle(0.1, 60, {.three_phase = true})(t), one_cycle_lr(0.1, 60, 0.3, 25, 1e4, true, t)));
  }
  BOOST_CHECK_EXCEPTION(one_cycle(0.1, 60, {.rise = 0.5, .three_phase = true}), ArgumentError,
                        mentions("one_cycle", "rise", "three phases"));
}

BOOST_AUTO_TEST_CASE(a_warm_up_from_a_share_has_the_rates_of_pytorch) {
  // LinearLR: base_lr (start_factor + (1 - start_factor) min(t, total_iters) / total_iters)
  for (const double start : {0.0, 1.0 / 3, 0.1, 1.0}) {
    const Schedule s = warm_up(5, 0.2, start);
    for (int t = 0; t < 10; ++t) BOOST_TEST(close(s(t), 0.2 * (start + (1 - start) * std::min(t, 5) / 5)));
  }
  check_close(rates(warm_up(2, linear(1, 0, 2), 0.5), 5), {0.5, 0.75, 1, 0.5, 0});
  for (const double bad : {-0.1, 1.1, kNaN})
    BOOST_CHECK_EXCEPTION(warm_up(5, 1.0, bad), ArgumentError, mentions("warm_up", "start", "in [0, 1]"));
}

BOOST_AUTO_TEST_CASE(text_names_a_schedule_for_a_run) {
  check_close(rates(make_schedule("constant", 0.1, 3), 3), {0.1, 0.1, 0.1});
  check_close(rates(make_schedule("step", 1, 6), 6), {1, 1, 0.1, 0.1, 0.01, 0.01});
  check_close(rates(make_schedule("step:0.5", 1, 7), 7), {1, 1, 1, 0.5, 0.5, 0.5, 0.25});
  BOOST_TEST(close(make_schedule("exponential", 2, 50)(50), 0.02));
  BOOST_TEST(close(make_schedule("exponential:0.25", 2, 50)(25), 1));
  BOOST_TEST(close(make_schedule("inverse", 2, 50)(50), 0.02));
  BOOST_TEST(close(make_schedule("inverse:0.5", 2, 50)(100), 2.0 / 3));
  check_close(rates(make_schedule("linear", 1, 4), 5), {1, 0.75, 0.5, 0.25, 0});
  check_close(rates(make_schedule("linear:0.2", 1, 4), 5), {1, 0.8, 0.6, 0.4, 0.2});
  for (const std::int64_t t : {0, 10, 50, 70}) {
    BOOST_TEST(make_schedule("cosine", 1, 50)(t) == cosine(1, 50)(t));
    BOOST_TEST(make_schedule("cosine:0.1", 2, 50)(t) == cosine(2, 50, 0.2)(t));
    BOOST_TEST(make_schedule("one-cycle", 1, 50)(t) == one_cycle(1, 50)(t));
  }
  BOOST_CHECK_EXCEPTION(make_schedule("cosinus", 1, 9), ArgumentError,
                        mentions("'cosinus'", "constant, step[:LEFT], exponential[:LEFT]", "one-cycle"));
  BOOST_CHECK_EXCEPTION(make_schedule("constant:1", 1, 9), ArgumentError, mentions("'constant:1'"));
  for (const char* text : {"cosine:", "cosine:x", "cosine:0.1x", "cosine:-1", "cosine:2", "cosine:nan"})
    BOOST_CHECK_EXCEPTION(make_schedule(text, 1, 9), ArgumentError, mentions(text, "in [0, 1]"));
  BOOST_CHECK_THROW(make_schedule("step:0", 1, 9), ArgumentError);
  BOOST_CHECK_THROW(make_schedule("inverse:0", 1, 9), ArgumentError);
  BOOST_CHECK_THROW(make_schedule("constant", -1, 9), ArgumentError);
  BOOST_CHECK_THROW(make_schedule("constant", 1, 0), ArgumentError);
}

BOOST_AUTO_TEST_CASE(what_a_schedule_takes_is_checked) {
  for (const double bad : {-1.0, kNaN, kInfinity}) {
    BOOST_CHECK_EXCEPTION(Schedule{bad}, ArgumentError, mentions("constant", "the rate"));
    BOOST_CHECK_EXCEPTION(step_decay(bad, 1), ArgumentError, mentions("step_decay", "the rate"));
    BOOST_CHECK_EXCEPTION(step_decay(1, 1, bad), ArgumentError, mentions("the factor"));
    BOOST_CHECK_EXCEPTION(exponential_decay(bad, 1), ArgumentError, mentions("the rate"));
    BOOST_CHECK_EXCEPTION(exponential_decay(1, bad), ArgumentError, mentions("the factor"));
    BOOST_CHECK_EXCEPTION(inverse_time_decay(bad, 1), ArgumentError, mentions("the rate"));
    BOOST_CHECK_EXCEPTION(inverse_time_decay(1, bad), ArgumentError, mentions("the decay"));
    BOOST_CHECK_EXCEPTION(linear(bad, 1, 1), ArgumentError, mentions("the first rate"));
    BOOST_CHECK_EXCEPTION(linear(1, bad, 1), ArgumentError, mentions("the last rate"));
    BOOST_CHECK_EXCEPTION(cosine(bad, 1), ArgumentError, mentions("the rate"));
    BOOST_CHECK_EXCEPTION(cosine(1, 1, bad), ArgumentError, mentions("the last rate"));
    BOOST_CHECK_EXCEPTION(one_cycle(bad, 1), ArgumentError, mentions("the highest rate"));
    BOOST_CHECK_EXCEPTION(one_cycle(1, 1, {.rise = bad}), ArgumentError, mentions("rise"));
    BOOST_CHECK_EXCEPTION(one_cycle(1, 1, {.start = bad}), ArgumentError, mentions("start"));
    BOOST_CHECK_EXCEPTION(one_cycle(1, 1, {.last = bad}), ArgumentError, mentions("last"));
    BOOST_CHECK_EXCEPTION(Schedule(1) * bad, ArgumentError, mentions("factor"));
  }
  BOOST_CHECK_EXCEPTION(step_decay(1, 0), ArgumentError, mentions("every is 0", "at least 1"));
  BOOST_CHECK_THROW(exponential_decay(1, 0.5, 0), ArgumentError);
  BOOST_CHECK_THROW(linear(1, 0, 0), ArgumentError);
  BOOST_CHECK_THROW(cosine(1, 0), ArgumentError);
  BOOST_CHECK_THROW(warm_up(0, 1.0), ArgumentError);
  BOOST_CHECK_THROW(one_cycle(1, 0), ArgumentError);
  BOOST_CHECK_THROW(Schedule(1).followed_by(-1, 1.0), ArgumentError);
  BOOST_TEST(!Schedule().defined());
  BOOST_CHECK_EXCEPTION(Schedule()(0), ArgumentError, mentions("undefined"));
  BOOST_CHECK_THROW(Schedule() * 2, ArgumentError);
  BOOST_CHECK_THROW(warm_up(1, Schedule()), ArgumentError);
  BOOST_CHECK_THROW(Schedule().followed_by(1, 1.0), ArgumentError);
  BOOST_CHECK_EXCEPTION(Schedule(1)(-1), ArgumentError, mentions("step -1"));
}

BOOST_AUTO_TEST_CASE(an_optimizer_follows_a_schedule) {
  const Parameter w(Tensor::full({1}, 1, f64));
  SGD sgd({w}, 1);
  const Schedule schedule = step_decay(0.5, 2, 0.5);
  double expected = 1;
  for (int i = 0; i < 5; ++i) {
    Gradients g;
    g.insert({w.id(), {}}, Tensor::ones({1}, f64));
    sgd.set_lr(schedule(sgd.steps()));
    sgd.step(g);
    expected -= i < 2 ? 0.5 : i < 4 ? 0.25 : 0.125;
  }
  BOOST_TEST(w.data().item() == expected);
}

// ---- plateau ----

BOOST_AUTO_TEST_CASE(the_rate_falls_when_the_value_no_longer_does) {
  ReduceOnPlateau plateau({.factor = 0.5, .patience = 2, .threshold = 0.1, .lowest = 0.2});
  BOOST_TEST(plateau.scale() == 1);
  const struct {
    double value, scale;
  } steps[] = {{10, 1},     {8.9, 1},  // better by more than a tenth
               {8.5, 1},    {8.1, 1},  // not by a tenth of 8.9
               {8.02, 0.5},            // the third without
               {7, 0.5},    {kNaN, 0.5}, {kInfinity, 0.5}, {7, 0.25}, {7, 0.25}, {7, 0.25},
               {7, 0.2},    {7, 0.2},    {7, 0.2},         {7, 0.2},  {0, 0.2}};
  for (const auto& s : steps) BOOST_TEST(plateau(s.value) == s.scale);

  ReduceOnPlateau cooling({.factor = 0.5, .patience = 0, .cooldown = 2});
  const double scales[] = {1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125};
  for (const double s : scales) BOOST_TEST(cooling(1) == s);

  ReduceOnPlateau negative({.factor = 0.5, .patience = 0, .threshold = 0.1});
  for (const double v : {-1.0, -1.2, -1.4}) BOOST_TEST(negative(v) == 1);
  BOOST_TEST(negative(-1.5) == 0.5);
}

BOOST_AUTO_TEST_CASE(a_plateau_is_a_value_and_can_be_saved) {
  const PlateauOptions options{.factor = 0.5, .patience = 2, .cooldown = 1};
  ReduceOnPlateau plateau(options);
  const double values[] = {5, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3};
  for (std::size_t saved_at = 0; saved_at < std::size(values); ++saved_at) {
    ReduceOnPlateau copy = plateau;
    ReduceOnPlateau loaded(options);
    loaded.load_state(plateau.state());
    ReduceOnPlateau rest = plateau;
    for (std::size_t i = saved_at; i < std::size(values); ++i) {
      const double scale = rest(values[i]);
      BOOST_TEST(copy(values[i]) == scale);
      BOOST_TEST(loaded(values[i]) == scale);
    }
    plateau(values[saved_at]);
  }
  State bad = plateau.state();
  bad[0].second = Tensor::scalar(2, f64);
  BOOST_CHECK_EXCEPTION(plateau.load_state(bad), ArgumentError, mentions("'scale' is 2"));
  bad = plateau.state();
  bad[2].second = Tensor::scalar(kNaN, f64);
  BOOST_CHECK_EXCEPTION(plateau.load_state(bad), ArgumentError, mentions("'waited'"));
  bad.pop_back();
  BOOST_CHECK_EXCEPTION(plateau.load_state(bad), ArgumentError, mentions("missing: cooling"));
}

BOOST_AUTO_TEST_CASE(what_a_plateau_takes_is_checked) {
  for (const double bad : {-1.0, 0.0, 1.0, kNaN})
    BOOST_CHECK_EXCEPTION(ReduceOnPlateau({.factor = bad}), ArgumentError, mentions("the factor"));
  BOOST_CHECK_EXCEPTION(ReduceOnPlateau({.patience = -1}), ArgumentError, mentions("the patience is -1"));
  BOOST_CHECK_EXCEPTION(ReduceOnPlateau({.cooldown = -1}), ArgumentError, mentions("the cooldown"));
  for (const double bad : {-1.0, kInfinity, kNaN})
    BOOST_CHECK_EXCEPTION(ReduceOnPlateau({.threshold = bad}), ArgumentError, mentions("the threshold"));
  for (const double bad : {-1.0, 1.5, kNaN})
    BOOST_CHECK_EXCEPTION(ReduceOnPlateau({.lowest = bad}), ArgumentError, mentions("the lowest"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace schedule_test
