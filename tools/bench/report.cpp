#include "report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tapegrad::bench {

namespace {

const Measurement* find(const std::string& contender, const std::vector<Measurement>& all) {
  for (const Measurement& m : all)
    if (m.contender == contender) return &m;
  return nullptr;
}

// What the measurements are compared with: the hand-written program, or the least that is needed.
std::string limit_of(const std::vector<Measurement>& all) { return find("needed", all) ? "needed" : "limit"; }

std::string number(double v) {
  if (v >= 10000) return fmt::format("{:.0f}", v);
  return fmt::format("{:.4g}", v);
}

std::string ratio(double v, const char* format) { return v > 0 ? fmt::format(fmt::runtime(format), v) : ""; }

constexpr const char* kRow = "{:<18} {:<9} {:>9} {:>9} {:>9} {:<8} {:>11} {:>9}\n";

}  // namespace

double advantage_over(const std::string& contender, const std::vector<Measurement>& all) {
  const Measurement* ours = find("tapegrad", all);
  const Measurement* theirs = find(contender, all);
  if (!ours || !theirs || ours->median() <= 0 || theirs->median() <= 0) return 0;
  const double ratio = ours->median() / theirs->median();
  return ours->metric.higher_is_better ? ratio : 1 / ratio;
}

std::string table_head() {
  return fmt::format(kRow, "workload", "contender", "median", "min", "max", "unit", "vs libtorch",
                     "of limit");
}

std::string table_lines(const std::vector<Measurement>& all) {
  std::string text;
  for (const Measurement& m : all) {
    const bool ours = m.contender == "tapegrad";
    text += fmt::format(kRow, m.workload, m.contender, number(m.median()), number(m.min()), number(m.max()),
                        m.metric.unit, ours ? ratio(advantage_over("libtorch", all), "{:.2f}x") : "",
                        ours ? ratio(100 * advantage_over(limit_of(all), all), "{:.0f} %") : "");
  }
  return text;
}

std::string to_json(const std::vector<std::vector<Measurement>>& by_workload, int threads) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& of_workload : by_workload)
    for (const Measurement& m : of_workload)
      all.push_back({{"workload", m.workload},
                     {"contender", m.contender},
                     {"threads", m.threads ? m.threads : threads},
                     {"metric", m.metric.name},
                     {"unit", m.metric.unit},
                     {"higher_is_better", m.metric.higher_is_better},
                     {"median", m.median()},
                     {"min", m.min()},
                     {"max", m.max()},
                     {"runs", m.runs}});
  for (const auto& of_workload : by_workload) {
    nlohmann::ordered_json ratios = nlohmann::ordered_json::object();
    for (const std::string& other : {std::string("libtorch"), limit_of(of_workload)})
      if (const double r = advantage_over(other, of_workload); r > 0) ratios["tapegrad_vs_" + other] = r;
    const Measurement& first = of_workload.front();
    all.push_back({{"workload", first.workload},
                   {"threads", first.threads ? first.threads : threads},
                   {"ratios", ratios}});
  }
  return all.dump(1) + "\n";
}

}  // namespace tapegrad::bench
