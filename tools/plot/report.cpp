#include "report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "page.h"
#include "tape.h"

namespace tapegrad::plot {

namespace {

/// "test accuracy 97.12 %, test loss 0.0921", of what was measured.
std::string scores_text(const char* of, const nn::Score& s, const ScoreNames& names) {
  std::string text;
  if (std::isfinite(s.metric))
    text = names.percent ? fmt::format("{} {} {:.2f} %", of, names.metric, 100 * s.metric)
                         : fmt::format("{} {} {:.4f}", of, names.metric, s.metric);
  if (std::isfinite(s.loss)) text += fmt::format("{}{} loss {:.4f}", text.empty() ? "" : ", ", of, s.loss);
  return text.empty() ? fmt::format("{} scores not measured", of) : text;
}

void add_classes(Page& page, const Classification& c) {
  constexpr std::size_t kMostDrawn = 40;
  constexpr std::size_t kMostListed = 200;
  const std::size_t classes = c.confusion.size();
  page.heading("Confusion matrix");
  page.paragraph("Of the test items, by the weights after the last epoch.");
  if (classes <= kMostDrawn)
    page.wide_figure(confusion_matrix(c.confusion, {}, c.names));
  else
    page.paragraph(fmt::format("{} classes are more than a matrix shows.", classes));
  page.heading("Precision and recall");
  std::vector<std::vector<std::string>> rows;
  double precision = 0, recall = 0, f1 = 0;
  std::int64_t support = 0, counted = 0;
  std::int64_t k = 0;
  for (const ClassScores& s : scores_of(c.confusion)) {
    if (rows.size() < kMostListed)
      rows.push_back({c.name(k), number_cell(s.precision), number_cell(s.recall), number_cell(s.f1),
                      fmt::format("{}", s.support)});
    ++k;
    support += s.support;
    if (s.support == 0) continue;
    ++counted;
    precision += std::isnan(s.precision) ? 0 : s.precision;
    recall += s.recall;
    f1 += s.f1;
  }
  const auto mean = [&](double sum) { return number_cell(sum / static_cast<double>(counted)); };
  rows.push_back({"mean", mean(precision), mean(recall), mean(f1), fmt::format("{}", support)});
  page.table({"class", "precision", "recall", "F1", "support"}, rows);
  if (classes > kMostListed) page.paragraph(fmt::format("The first {} of {} classes.", kMostListed, classes));
  page.paragraph(
      "Precision: of the items predicted as a class, the share that is of it. Recall: of the items of a "
      "class, the share that is predicted as such. F1: their harmonic mean. Support: items of the class. "
      "The mean is over the classes that have items; a precision of no predictions counts as 0.");
}

void add_mistakes(Page& page, const Classification& c) {
  constexpr double kTileWidth = 70;
  if (!c.misclassified.empty()) {
    page.heading(
        fmt::format("Misclassified test items: {} of {}", c.misclassified.size(), c.misclassified_in_all));
    page.paragraph("The probability is what the network gives to its prediction; the surest first.");
    page.tiles(c.misclassified, kTileWidth);
  }
  if (c.most_confused.empty()) return;
  page.heading("Most confused");
  for (const Confusion& pair : c.most_confused) {
    const std::string text =
        fmt::format("{}: {} of {}", c.pair(pair.truth, pair.predicted), pair.count, pair.total);
    if (pair.images.empty())
      page.paragraph(text);
    else
      page.tiles(pair.images, kTileWidth, text);
  }
}

void add_predictions(Page& page, const std::vector<Prediction>& predictions) {
  constexpr std::size_t kMost = 12;
  page.heading("Predictions");
  page.paragraph("Of the test items, by the weights after the last epoch, in the units of the targets.");
  std::vector<std::vector<std::string>> rows;
  std::vector<Picture> pictures;
  for (const Prediction& p : predictions) {
    rows.push_back({p.name, number_cell(p.rmse, "{:.4g}"), number_cell(p.mae, "{:.4g}"), number_cell(p.r2),
                    fmt::format("{}", p.points.size())});
    if (pictures.size() >= 2 * kMost) continue;
    std::optional<Picture> picture = draw_predictions(p);
    if (!picture) continue;
    pictures.push_back(std::move(*picture));
    pictures.push_back(draw_errors(p));
  }
  page.table({"target", "root mean squared error", "mean absolute error", "r2", "test items"}, rows);
  page.paragraph("r2: 1 - squared errors / squared deviations of these targets from their mean.");
  page.figures(pictures);
  if (predictions.size() > kMost)
    page.paragraph(fmt::format("Pictures of the first {} of {} targets.", kMost, predictions.size()));
}

void add_convolution(Page& page, const TrainingReport& report) {
  constexpr double kTileWidth = 56;
  const FirstConvolution& c = report.convolution;
  page.heading(fmt::format("Filters of {}", c.layer));
  page.paragraph("Each by its own range: its least weight is white, its largest black.");
  if (!report.filters_before.empty()) page.tiles(report.filters_before, kTileWidth, "Before training");
  page.tiles(c.filters, kTileWidth, "After training");
  page.heading(fmt::format("Feature maps of {}", c.layer));
  page.paragraph("What each filter makes of a test image, before any activation; each by its own range.");
  if (!c.input.empty()) page.tiles(c.input, kTileWidth, "Input");
  page.tiles(c.maps, kTileWidth, "Feature maps");
}

}  // namespace

Picture draw_step(const nn::Module& net, const nn::Dataset& data, std::int64_t batch,
                  const nn::Objective& objective) {
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->train();
  const nn::Batch b = data.batch(0, std::min(batch, data.size()));
  TapeNames names{.constants = {{b.x, "input"}}};
  for (const auto& [name, parameter] : copy->parameters())
    names.parameters.emplace_back(parameter.id(), name);
  Tape tape;
  const Tensor y = (*copy)(b.x);
  // Only the loss reads the targets, which may have the input's shape and dtype.
  names.constants.push_back({b.t, "targets", tape.size()});
  objective.loss(y, b.t);
  return draw_tape(tape, names);
}

std::string headline(const TrainingReport& report) {
  const std::vector<nn::EpochReport>& epochs = report.history.epochs;
  require_test_scores(report.history, report.test);
  if (epochs.empty()) return {};
  const nn::EpochReport& last = epochs.back();
  const nn::EpochReport* best = report.history.best();
  const auto scores = [&](const nn::EpochReport& e) {
    const bool validated = std::isfinite(e.validation.loss);
    const nn::Score& test = report.test[static_cast<std::size_t>(&e - epochs.data())];
    return fmt::format("{}{}, {}", scores_text("test", test, report.names),
                       validated ? ", " + scores_text("validation", e.validation, report.names) : "",
                       scores_text("training", e.training, report.names));
  };
  std::string text;
  if (best)
    text = fmt::format("Best epoch {} of {}, by the {} loss: {}. ", best->epoch, last.epoch,
                       std::isfinite(best->validation.loss) ? "validation" : "training", scores(*best));
  if (best != &last) text += fmt::format("Last epoch: {}. ", scores(last));
  return text + fmt::format("{} iterations.", last.iteration);
}

std::string to_html(const TrainingReport& report) {
  Page page(report.title);
  const std::string scores = headline(report);
  if (!scores.empty()) page.paragraph(scores);
  if (!report.note.empty()) page.paragraph(report.note);
  if (!scores.empty()) {
    page.heading("Training");
    page.figures(draw_curves(report.history, report.test, report.names));
    add_epochs(page, report.history, report.test, report.names);
  }
  if (!report.classification.confusion.empty()) add_classes(page, report.classification);
  add_mistakes(page, report.classification);
  if (!report.predictions.empty()) add_predictions(page, report.predictions);
  if (!report.weights.empty()) {
    page.heading("Weights");
    page.figures(report.weights);
  }
  if (!report.convolution.maps.empty()) add_convolution(page, report);
  if (!report.graph.body.empty()) {
    page.heading("Graph of a training step");
    page.paragraph(
        "As the tape recorded it: operations from top to bottom with the shapes of their results; "
        "parameters, input and targets at the left.");
    page.wide_figure(report.graph);
  }
  if (!report.facts.empty()) {
    page.heading("Run");
    page.table(report.facts);
  }
  if (!report.settings.empty()) {
    page.heading("Settings");
    page.table(report.settings);
  }
  return page.take();
}

}  // namespace tapegrad::plot
