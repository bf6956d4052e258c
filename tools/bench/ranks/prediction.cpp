#include "prediction.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "plot/chart.h"

namespace tapegrad::bench {

namespace {

constexpr int kMostPredicted = 1024;
constexpr Link link_of(double latency, double bytes_per_second) {
  return {.latency = latency, .seconds_per_byte = 1 / bytes_per_second};
}

struct NamedNetwork {
  std::string name;
  Network network;
};

std::vector<CollectiveTime> times_of(std::span<const RanksMeasurement> measurements, CollectiveKind kind) {
  std::vector<CollectiveTime> times;
  for (const RanksMeasurement& m : measurements)
    std::ranges::copy_if(m.collectives, std::back_inserter(times),
                         [&](const CollectiveTime& c) { return c.kind == kind; });
  return times;
}

Network fit(std::span<const RanksMeasurement> measurements) {
  return {.mpi = fit_link(times_of(measurements, CollectiveKind::all_reduce)),
          .ordered_sum = fit_link(times_of(measurements, CollectiveKind::ordered_sum))};
}

std::string fit_lines(const std::string& of, std::span<const RanksMeasurement> measurements) {
  const Network network = fit(measurements);
  std::string text;
  for (const CollectiveKind kind : {CollectiveKind::all_reduce, CollectiveKind::ordered_sum}) {
    const Link& link = network.of(kind);
    text +=
        fmt::format("  {:<10} {:<11} latency {:>8.2f} us, bandwidth {:>6.2f} GB/s, median error {:.0f} %\n",
                    of, kind == CollectiveKind::all_reduce ? "all_reduce" : "ordered sum", 1e6 * link.latency,
                    1e-9 * link.bytes_per_second(), 100 * median_error(times_of(measurements, kind), link));
  }
  return text;
}

/// The step of a setup by the model, from its computation alone as it was measured.
double predicted_seconds(const RanksMeasurement& m, const TaskMeasurement& t, const StepSetup& setup,
                         Network network) {
  const bool strict = setup.summing == Summing::strict;
  StepSetup alone = setup;
  alone.partners = Partners::claimed;
  StepProfile step = (strict ? t.strict : t.fast).in(t.seconds(alone));
  if (!setup.overlap)
    for (Collective& c : step.collectives) c.blocks = true;
  if (setup.partners == Partners::delayed) network.mpi.delay = network.ordered_sum.delay = m.delay;
  return step_seconds(step, m.ranks, network);
}

std::string check_lines(const RanksMeasurement& m, const Network& network) {
  std::string text = fmt::format(
      "\nSteps on {} ranks, from their computation alone and the fit of {} ranks:\n", m.ranks, m.ranks);
  for (const TaskMeasurement& t : m.tasks)
    for (const StepTimes& s : t.steps) {
      const bool shared = s.setup.partners == Partners::all || s.setup.partners == Partners::delayed;
      if (!shared || s.setup.micro_batches != m.ranks) continue;
      const double predicted = predicted_seconds(m, t, s.setup, network);
      text += fmt::format("  {:<4} {:<44} predicted {:>9.3f} ms, measured {:>9.3f} ms, {:+.0f} %\n", t.name,
                          describe(s.setup), 1e3 * predicted, 1e3 * s.median(),
                          100 * (predicted / s.median() - 1));
    }
  return text;
}

std::string speed_table(const TaskMeasurement& t, const std::vector<NamedNetwork>& networks) {
  const Computation c = fit_computation(t.computation);
  std::string text = fmt::format(
      "\n{}: a rank computes {:.3f} ms + {:.4f} ms an item; speed against one rank, weak (a batch of {} for each "
      "rank) and strong ({} in all)\n  {:<22}",
      t.name, 1e3 * c.fixed, 1e3 * c.per_item, t.batch, t.batch, "ranks");
  for (int ranks = 4; ranks <= kMostPredicted; ranks *= 4) text += fmt::format(" {:>14}", ranks);
  for (const NamedNetwork& n : networks) {
    text += fmt::format("\n  {:<22}", n.name);
    for (int ranks = 4; ranks <= kMostPredicted; ranks *= 4) {
      const Speed s = predicted_speed(t, ranks, n.network);
      text += fmt::format(" {:>14}", s.strong ? fmt::format("{:.3g}, {:.3g}", s.weak, *s.strong)
                                              : fmt::format("{:.3g}, -", s.weak));
    }
  }
  return text + "\n";
}

plot::Picture speed_chart(const TaskMeasurement& t, const std::vector<NamedNetwork>& networks) {
  plot::Chart chart(fmt::format("{} on ranks, predicted", t.name));
  chart.x({.label = "ranks", .scale = plot::Scale::log})
      .y({.label = "times the speed of one rank", .scale = plot::Scale::log});
  plot::Points ideal;
  std::vector<std::pair<plot::Points, plot::Points>> of_networks(networks.size());
  for (int ranks = 1; ranks <= kMostPredicted; ranks *= 2) {
    const double n = ranks;
    ideal.push_back({n, n});
    for (std::size_t i = 0; i < networks.size(); ++i) {
      const Speed s = predicted_speed(t, ranks, networks[i].network);
      of_networks[i].first.push_back({n, s.weak});
      if (s.strong) of_networks[i].second.push_back({n, *s.strong});
    }
  }
  chart.line("ideal", std::move(ideal),
             {.width = 1, .opacity = 1, .values = false, .colour = networks.size()});
  for (std::size_t i = 0; i < networks.size(); ++i)
    chart.line(fmt::format("{}, weak", networks[i].name), std::move(of_networks[i].first), {.colour = i});
  for (std::size_t i = 0; i < networks.size(); ++i)
    chart.line(fmt::format("{}, strong", networks[i].name), std::move(of_networks[i].second),
               {.dashed = true, .colour = i});
  return chart.draw();
}

constexpr const char* kAssumptions =
    "\nBeyond the ranks that were measured, what is assumed:\n"
    "- each rank has a processor and a link of its own, which sends and receives at once and takes no time of the\n"
    "  processor; a switch carries all links at full rate;\n"
    "- strict training with a micro-batch for each rank; every rank computes as the measured one does alone, and all\n"
    "  at the same speed: nobody is waited for;\n"
    "- collectives start at the same share of a step's computation as on the fewest ranks that were measured;\n"
    "- 10 GbE: 25 us, 1.25 GB/s; 100 Gb/s: 3 us, 12.5 GB/s: assumed, not measured.\n";

}  // namespace

Speed predicted_speed(const TaskMeasurement& task, int ranks, const Network& network) {
  const Computation computation = fit_computation(task.computation);
  const auto batch = static_cast<double>(task.batch);
  const double one = computation.seconds(batch);
  const auto seconds = [&](double items) {
    return step_seconds(task.strict.in(computation.seconds(items)), ranks, network);
  };
  Speed speed{.weak = ranks * one / seconds(batch)};
  if (ranks <= task.batch) speed.strong = one / seconds(std::ceil(batch / ranks));
  return speed;
}

Prediction predict(std::span<const RanksMeasurement> measurements) {
  std::vector<RanksMeasurement> several{};
  for (const RanksMeasurement& m : measurements)
    if (m.ranks > 1) several.push_back(m);
  if (several.empty())
    throw ArgumentError("ranks: no measurement is of more than one rank; measure with mpirun -n 2");
  std::ranges::sort(several, {}, &RanksMeasurement::ranks);

  Prediction all;
  all.text = "Latency and bandwidth of a rank's link, by least squares of relative errors:\n";
  for (const RanksMeasurement& m : several)
    all.text += fit_lines(fmt::format("{} ranks", m.ranks), std::span(&m, 1));
  if (several.size() > 1) all.text += fit_lines("together", several);
  for (const RanksMeasurement& m : several) all.text += check_lines(m, fit(std::span(&m, 1)));

  const std::vector<NamedNetwork> networks{{"fitted links", fit(several)},
                                           {"10 GbE", {link_of(25e-6, 1.25e9), link_of(25e-6, 1.25e9)}},
                                           {"100 Gb/s", {link_of(3e-6, 12.5e9), link_of(3e-6, 12.5e9)}}};
  all.text += kAssumptions;
  for (const TaskMeasurement& t : several.front().tasks) {
    if (t.computation.size() < 2) continue;
    all.text += speed_table(t, networks);
    all.charts.push_back({"ranks_" + t.name, speed_chart(t, networks)});
  }
  return all;
}

}  // namespace tapegrad::bench
