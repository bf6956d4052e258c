#include "curves.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "chart.h"

namespace tapegrad::plot {

namespace {

/// What is known after an epoch, in the order of the epochs; NaN: it was not measured.
using Values = std::vector<double>;
struct Curve {
  std::string name;
  Values values;
};
struct Diagram {
  std::string title;
  std::string label;
  std::vector<Curve> curves;
  bool from_zero = false;
};

/// `part` of each epoch, such as &nn::EpochReport::lr, or of each score.
template <class Epochs, class Part>
Values each(const Epochs& epochs, const Part& part) {
  Values values;
  for (const auto& e : epochs) values.push_back(std::invoke(part, e));
  return values;
}

std::string upper(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// Nothing where there is no value to show.
std::optional<Picture> draw(const nn::History& history, const Diagram& d) {
  constexpr double kFarApart = 30;
  const std::vector<nn::EpochReport>& epochs = history.epochs;
  const Style style{.dots = epochs.size() < 2};  // a line of one point is none
  Chart chart(d.title);
  Range values(Scale::linear);
  std::size_t drawn = 0;
  for (const Curve& c : d.curves) {
    if (std::ranges::none_of(c.values, [](double v) { return std::isfinite(v); })) continue;
    Points points;
    for (std::size_t i = 0; i < epochs.size(); ++i) {
      points.push_back({static_cast<double>(epochs[i].epoch), c.values[i]});
      values.include(c.values[i]);
    }
    chart.line(c.name, std::move(points), style);
    ++drawn;
  }
  if (drawn == 0) return std::nullopt;
  const bool far_apart = values.low() > 0 && values.high() / values.low() > kFarApart;
  const Scale scale = far_apart && !d.from_zero ? Scale::log : Scale::linear;
  chart.size(kSmallWidth, drawn > 1 ? 278 : 254).legend(Legend::above).x({.label = "epoch", .whole = true});
  chart.y({.label = d.label, .scale = scale, .from = d.from_zero ? std::optional(0.0) : std::nullopt});
  if (const nn::EpochReport* best = history.best(); best && epochs.size() > 1)
    chart.mark(static_cast<double>(best->epoch), "best");
  return chart.draw();
}

}  // namespace

void require_test_scores(const nn::History& history, const std::vector<nn::Score>& test) {
  if (test.size() != history.epochs.size())
    throw ArgumentError(
        fmt::format("report: {} epochs and {} test scores; give one for each, NaN where none was "
                    "measured",
                    history.epochs.size(), test.size()));
}

std::vector<Picture> draw_curves(const nn::History& history, const std::vector<nn::Score>& test,
                                 const ScoreNames& names) {
  require_test_scores(history, test);
  const std::vector<nn::EpochReport>& epochs = history.epochs;
  const auto scores = [&](double nn::Score::*part) {
    return std::vector<Curve>{
        {"training", each(epochs, [&](const nn::EpochReport& e) { return e.training.*part; })},
        {"test", each(test, part)},
        {"validation", each(epochs, [&](const nn::EpochReport& e) { return e.validation.*part; })}};
  };
  const auto measured = [&](double nn::EpochReport::*part) {
    return std::vector<Curve>{{"", each(epochs, part)}};
  };
  const Diagram diagrams[] = {
      {"Loss", names.loss, scores(&nn::Score::loss)},
      {upper(names.metric), names.metric, scores(&nn::Score::metric)},
      {"Learning rate", "learning rate", measured(&nn::EpochReport::lr), true},
      {"Gradient norm", "mean over the epoch", measured(&nn::EpochReport::gradient_norm)},
      {"Time", "seconds since the start", measured(&nn::EpochReport::seconds), true},
      {"Throughput", "training items per second", measured(&nn::EpochReport::items_per_second), true},
  };
  std::vector<Picture> pictures;
  for (const Diagram& d : diagrams)
    if (std::optional<Picture> picture = draw(history, d)) pictures.push_back(std::move(*picture));
  return pictures;
}

void add_epochs(Page& page, const nn::History& history, const std::vector<nn::Score>& test,
                const ScoreNames& names) {
  require_test_scores(history, test);
  const nn::EpochReport* best = history.best();
  const bool validated = std::ranges::any_of(
      history.epochs, [](const nn::EpochReport& e) { return std::isfinite(e.validation.loss); });
  std::vector<std::string> head{
      "epoch", "iteration", "training loss", "training " + names.metric, "test loss", "test " + names.metric};
  if (validated) head.insert(head.end(), {"validation loss", "validation " + names.metric});
  head.insert(head.end(), {"learning rate", "gradient norm", "seconds", "items per second"});
  std::vector<std::vector<std::string>> rows;
  for (const nn::EpochReport& e : history.epochs) {
    std::vector<std::string> row{fmt::format("{}{}", e.epoch, best == &e ? " (best)" : ""),
                                 fmt::format("{}", e.iteration)};
    const auto add = [&](const nn::Score& s) {
      row.insert(row.end(), {number_cell(s.loss), number_cell(s.metric)});
    };
    add(e.training);
    add(test[rows.size()]);
    if (validated) add(e.validation);
    row.insert(row.end(), {number_cell(e.lr, "{:.4g}"), number_cell(e.gradient_norm, "{:.4g}"),
                           number_cell(e.seconds, "{:.1f}"), number_cell(e.items_per_second, "{:.0f}")});
    rows.push_back(std::move(row));
  }
  page.add("<details><summary>All epochs</summary>\n");
  page.table(head, rows);
  page.add("</details>\n");
}

}  // namespace tapegrad::plot
