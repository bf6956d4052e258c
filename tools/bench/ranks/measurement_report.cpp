#include "measurement_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "recorder.h"

namespace tapegrad::bench {

namespace {

std::string collectives_table(const RanksMeasurement& m) {
  std::string text = fmt::format("\n{:>10}  {:>12} {:>10}  {:>12} {:>10}\n", "floats", "all_reduce", "GB/s",
                                 "ordered sum", "GB/s");
  const auto of = [&](CollectiveKind kind, double bytes) {
    const auto found = std::ranges::find_if(
        m.collectives, [&](const CollectiveTime& c) { return c.kind == kind && c.bytes == bytes; });
    return found == m.collectives.end() ? 0 : found->seconds;
  };
  for (const CollectiveTime& c : m.collectives) {
    if (c.kind != CollectiveKind::all_reduce) continue;
    // Of what leaves a rank along a ring, and in an ordered sum.
    const double sent = 2.0 * (m.ranks - 1) / m.ranks * c.bytes;
    const double ordered = of(CollectiveKind::ordered_sum, c.bytes);
    text += fmt::format("{:>10.0f}  {:>9.1f} us {:>10.3f}  {:>9.1f} us {:>10.3f}\n", c.bytes / sizeof(float),
                        1e6 * c.seconds, 1e-9 * sent / c.seconds, 1e6 * ordered, 1e-9 * sent / ordered);
  }
  return text;
}

std::string milliseconds(double seconds) { return fmt::format("{:.3f} ms", 1e3 * seconds); }

/// What an exchange takes where nothing is hidden, and what overlap takes off it.
std::string exchange_line(const TaskMeasurement& t, int ranks, Summing summing) {
  const double alone = t.seconds({Partners::claimed, summing, ranks, false});
  const double exposed = t.seconds({Partners::all, summing, ranks, false});
  const double overlapped = t.seconds({Partners::all, summing, ranks, true});
  const std::vector<Collective>& collectives = (summing == Summing::strict ? t.strict : t.fast).collectives;
  const auto beside = std::ranges::count(collectives, false, &Collective::blocks);
  const double optimum = 2.0 * (ranks - 1) / ranks * t.gradient_bytes();
  const double sent = bytes_sent(collectives, ranks);
  std::string text =
      fmt::format("  {}: computation {}, exchange {}", summing == Summing::strict ? "strict" : "fast",
                  milliseconds(alone), milliseconds(exposed - alone));
  if (beside == 0)
    text += "; one bucket, nothing to overlap";
  else
    text += fmt::format("; overlap hides {:.0f} % ({})", 100 * (exposed - overlapped) / (exposed - alone),
                        milliseconds(exposed - overlapped));
  return text +
         fmt::format(
             "; by the cost model a rank sends {:.0f} bytes in {} collectives, {:.4f} of the ring optimum {:.0f}\n",
             sent, collectives.size(), sent / optimum, optimum);
}

std::string task_table(const TaskMeasurement& t, int ranks) {
  std::string text = fmt::format("\n{}, batch {}, {} parameters\n", t.name, t.batch, t.parameters);
  const double one = t.seconds({});
  for (const StepTimes& s : t.steps) {
    const auto [fastest, slowest] = std::ranges::minmax(s.runs);
    text +=
        fmt::format("  {:<44} {:>10.2f} /s  {:>10} ({} to {})  {:.2f}x\n", describe(s.setup), 1 / s.median(),
                    milliseconds(s.median()), milliseconds(fastest), milliseconds(slowest), one / s.median());
  }
  if (ranks == 1) return text;
  return text + exchange_line(t, ranks, Summing::strict) + exchange_line(t, ranks, Summing::fast);
}

}  // namespace

std::string report(const RanksMeasurement& m) {
  std::string text =
      fmt::format("{} {}, of one thread unless said otherwise; x is the speed against one rank\n", m.ranks,
                  m.ranks == 1 ? "rank" : "ranks");
  if (m.ranks > 1) text += collectives_table(m);
  for (const TaskMeasurement& t : m.tasks) text += task_table(t, m.ranks);
  return text;
}

}  // namespace tapegrad::bench
