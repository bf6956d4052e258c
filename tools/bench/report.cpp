#include "report.h"

#include <algorithm>

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

/// Of the engines' rates: automatic's against the better one of the two. 0 where they were not compared.
double automatic_against_better(const std::vector<Measurement>& all) {
  const Measurement* automatic = find("automatic", all);
  if (!automatic) return 0;
  double better = 0;
  for (const char* name : {"builtin", "openblas"})
    if (const Measurement* m = find(name, all)) better = std::max(better, m->median());
  return automatic->median() / better;
}

/// How much longer several threads take than one, where those were compared, and otherwise 0.
double several_against_one(const std::vector<Measurement>& all) {
  const Measurement* one = find(kOneThread, all);
  if (!one) return 0;
  const double share = all.back().median() / one->median();
  return one->metric.higher_is_better ? 1 / share : share;
}

constexpr const char* kThreadsRow = "{:<26} {:>10} {:>10} {:<8} {:>12}\n";
constexpr double kSlower = 1.05;

constexpr const char* kEngineRow = "{:<30} {:>9} {:>9} {:>9} {:<7} {:>16} {:>22}\n";
constexpr double kLost = 0.95;

constexpr const char* kRow = "{:<18} {:<9} {:>9} {:>9} {:>9} {:<8} {:>11} {:>9}";
constexpr const char* kRates = "  {:>7} {:>10} {:>7} {:>8}";

bool is_counted(const Measurement& m) { return m.per_second.flops > 0; }

}  // namespace

double advantage_over(const std::string& contender, const std::vector<Measurement>& all) {
  const Measurement* ours = find("tapegrad", all);
  const Measurement* theirs = find(contender, all);
  if (!ours || !theirs || ours->median() <= 0 || theirs->median() <= 0) return 0;
  const double ratio = ours->median() / theirs->median();
  return ours->metric.higher_is_better ? ratio : 1 / ratio;
}

std::string table_head(const std::vector<Measurement>& of_workload) {
  if (automatic_against_better(of_workload) > 0)
    return fmt::format(kEngineRow, "product", "builtin", "openblas", "automatic", "unit", "builtin/openblas",
                       "automatic/better one");
  if (several_against_one(of_workload) > 0)
    return fmt::format(kThreadsRow, "workload", kOneThread, of_workload.back().contender, "unit",
                       "several/one");
  return fmt::format(kRow, "workload", "contender", "median", "min", "max", "unit", "vs libtorch",
                     "of limit") +
         (is_counted(of_workload.front()) ? fmt::format(kRates, "GFLOPS", "of product", "GB/s", "of triad")
                                          : "") +
         "\n";
}

std::string table_lines(const std::vector<Measurement>& all, const MachineLimits& machine) {
  if (const double share = automatic_against_better(all); share > 0) {
    const Measurement* const builtin = find("builtin", all);
    const Measurement* const openblas = find("openblas", all);
    return fmt::format(
        kEngineRow, builtin->workload, number(builtin->median()), openblas ? number(openblas->median()) : "-",
        number(find("automatic", all)->median()), builtin->metric.unit,
        openblas ? ratio(builtin->median() / openblas->median(), "{:.2f}") : "", ratio(share, "{:.2f}"));
  }
  if (const double share = several_against_one(all); share > 0) {
    const Measurement& one = all.front();
    return fmt::format(kThreadsRow, one.workload, number(one.median()), number(all.back().median()),
                       one.metric.unit, ratio(share, "{:.2f}"));
  }
  std::string text;
  for (const Measurement& m : all) {
    const bool ours = m.contender == "tapegrad";
    text += fmt::format(kRow, m.workload, m.contender, number(m.median()), number(m.min()), number(m.max()),
                        m.metric.unit, ours ? ratio(advantage_over("libtorch", all), "{:.2f}x") : "",
                        ours ? ratio(100 * advantage_over(limit_of(all), all), "{:.0f} %") : "");
    if (is_counted(m))
      text += fmt::format(kRates, number(1e-9 * m.per_second.flops),
                          ratio(100 * m.per_second.flops / machine.flops, "{:.0f} %"),
                          number(1e-9 * m.per_second.bytes),
                          ratio(100 * m.per_second.bytes / machine.bytes, "{:.0f} %"));
    text += "\n";
  }
  return text;
}

std::string engines_summary(const std::vector<std::vector<Measurement>>& by_workload) {
  std::size_t compared = 0;
  std::size_t near = 0;
  const std::vector<Measurement>* worst = nullptr;
  for (const auto& of_workload : by_workload) {
    const double share = automatic_against_better(of_workload);
    if (share == 0) continue;
    ++compared;
    near += share >= kLost ? 1 : 0;
    if (!worst || share < automatic_against_better(*worst)) worst = &of_workload;
  }
  if (!worst) return "";
  return fmt::format(
      "\nautomatic is within 5 % of the better engine in {} of {}; furthest from it in {}: {:.2f}\n", near,
      compared, worst->front().workload, automatic_against_better(*worst));
}

std::string threads_summary(const std::vector<std::vector<Measurement>>& by_workload) {
  std::size_t compared = 0;
  std::string slower;
  for (const auto& of_workload : by_workload) {
    const double share = several_against_one(of_workload);
    compared += share > 0 ? 1 : 0;
    if (share > kSlower) slower += fmt::format(" {} ({:.2f})", of_workload.front().workload, share);
  }
  if (compared == 0) return "";
  return fmt::format("\nof {} workloads several threads take over 5 % longer in:{}\n", compared,
                     slower.empty() ? " none" : slower);
}

std::string to_json(const std::vector<std::vector<Measurement>>& by_workload, int threads,
                    const MachineLimits& machine) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& of_workload : by_workload)
    for (const Measurement& m : of_workload) {
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
      if (is_counted(m))
        all.back().update({{"gflops", 1e-9 * m.per_second.flops},
                           {"of_machine_product", m.per_second.flops / machine.flops},
                           {"gbytes_per_second", 1e-9 * m.per_second.bytes},
                           {"of_machine_triad", m.per_second.bytes / machine.bytes}});
    }
  for (const auto& of_workload : by_workload) {
    nlohmann::ordered_json ratios = nlohmann::ordered_json::object();
    for (const std::string& other : {std::string("libtorch"), limit_of(of_workload)})
      if (const double r = advantage_over(other, of_workload); r > 0) ratios["tapegrad_vs_" + other] = r;
    if (const double r = automatic_against_better(of_workload); r > 0)
      ratios["automatic_vs_better_engine"] = r;
    const Measurement& first = of_workload.front();
    all.push_back({{"workload", first.workload},
                   {"threads", first.threads ? first.threads : threads},
                   {"ratios", ratios}});
  }
  return all.dump(1) + "\n";
}

}  // namespace tapegrad::bench
