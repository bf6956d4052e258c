#include "curves.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "chart.h"

namespace tapegrad::plot {

namespace {

/// What a row says, NaN where it does not.
using Value = std::function<double(const ReportRow&)>;
struct Curve {
  std::string name;
  Value value;
};
struct Diagram {
  std::string title;
  std::string label;
  std::vector<Curve> curves;
  bool from_zero = false;
};

std::vector<Curve> scores(double nn::Score::*part) {
  return {{"training", [part](const ReportRow& r) { return r.reached.training.*part; }},
          {"test", [part](const ReportRow& r) { return r.test.*part; }},
          {"validation", [part](const ReportRow& r) { return r.reached.validation.*part; }}};
}

std::vector<Curve> number(double nn::EpochReport::*part) {
  return {{"", [part](const ReportRow& r) { return r.reached.*part; }}};
}

std::string upper(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// Nothing where there is no value to show.
std::optional<Picture> draw(const std::vector<ReportRow>& history, const Diagram& d) {
  constexpr double kFarApart = 30;
  const Style style{.dots = history.size() < 2};  // a line of one point is none
  double least = std::numeric_limits<double>::infinity(), most = -least;
  Chart chart(d.title);
  bool any = false;
  std::size_t drawn = 0;
  for (const Curve& c : d.curves) {
    Points points;
    bool finite = false;
    for (const ReportRow& row : history) {
      points.push_back({static_cast<double>(row.reached.epoch), c.value(row)});
      if (!std::isfinite(points.back().y)) continue;
      finite = true;
      least = std::min(least, points.back().y), most = std::max(most, points.back().y);
    }
    any = any || finite;
    if (!finite) continue;
    chart.line(c.name, std::move(points), style);
    ++drawn;
  }
  if (!any) return std::nullopt;
  const Scale scale = least > 0 && most / least > kFarApart && !d.from_zero ? Scale::log : Scale::linear;
  chart.size(kSmallWidth, drawn > 1 ? 278 : 254).legend(Legend::above).x({.label = "epoch", .whole = true});
  chart.y({.label = d.label, .scale = scale, .from = d.from_zero ? std::optional(0.0) : std::nullopt});
  if (const ReportRow* best = best_of(history); best && history.size() > 1)
    chart.mark(static_cast<double>(best->reached.epoch), "best");
  return chart.draw();
}

}  // namespace

const ReportRow* best_of(const std::vector<ReportRow>& history) {
  const auto best =
      std::find_if(history.rbegin(), history.rend(), [](const ReportRow& r) { return r.reached.best; });
  return best == history.rend() ? nullptr : &*best;
}

std::vector<Picture> draw_curves(const std::vector<ReportRow>& history, const ScoreNames& names) {
  const Diagram diagrams[] = {
      {"Loss", names.loss, scores(&nn::Score::loss)},
      {upper(names.metric), names.metric, scores(&nn::Score::metric)},
      {"Learning rate", "learning rate", number(&nn::EpochReport::lr), true},
      {"Gradient norm", "mean over the epoch", number(&nn::EpochReport::gradient_norm)},
      {"Time", "seconds since the start", number(&nn::EpochReport::seconds), true},
      {"Throughput", "training items per second", number(&nn::EpochReport::items_per_second), true},
  };
  std::vector<Picture> pictures;
  for (const Diagram& d : diagrams)
    if (std::optional<Picture> picture = draw(history, d)) pictures.push_back(std::move(*picture));
  return pictures;
}

void add_epochs(Page& page, const std::vector<ReportRow>& history, const ScoreNames& names) {
  const bool validated = std::ranges::any_of(
      history, [](const ReportRow& r) { return std::isfinite(r.reached.validation.loss); });
  std::vector<std::string> head{
      "epoch", "iteration", "training loss", "training " + names.metric, "test loss", "test " + names.metric};
  if (validated) head.insert(head.end(), {"validation loss", "validation " + names.metric});
  head.insert(head.end(), {"learning rate", "gradient norm", "seconds", "items per second"});
  std::vector<std::vector<std::string>> rows;
  for (const ReportRow& r : history) {
    const nn::EpochReport& e = r.reached;
    std::vector<std::string> row{fmt::format("{}{}", e.epoch, best_of(history) == &r ? " (best)" : ""),
                                 fmt::format("{}", e.iteration)};
    const auto add = [&](const nn::Score& s) {
      row.insert(row.end(), {number_cell(s.loss, 4), number_cell(s.metric, 4)});
    };
    add(e.training);
    add(r.test);
    if (validated) add(e.validation);
    row.insert(row.end(), {std::isfinite(e.lr) ? fmt::format("{:.4g}", e.lr) : "–",
                           std::isfinite(e.gradient_norm) ? fmt::format("{:.4g}", e.gradient_norm) : "–",
                           number_cell(e.seconds, 1), number_cell(e.items_per_second, 0)});
    rows.push_back(std::move(row));
  }
  page.add("<details><summary>All epochs</summary>\n");
  page.table(head, rows);
  page.add("</details>\n");
}

}  // namespace tapegrad::plot
