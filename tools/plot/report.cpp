#include "report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "chart.h"
#include "tape.h"

namespace tapegrad::plot {

namespace {

struct Mistake {
  std::int64_t item;
  std::int64_t truth;
  std::int64_t found;
  double certainty;  ///< the probability that the network gives to what it found
};

/// The length of an image's rows: the last axis, or the side of a flat square.
std::size_t columns_of(const Shape& image) {
  if (image.rank() > 1) return static_cast<std::size_t>(image.dim(-1));
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(image.size()))));
  return static_cast<std::size_t>(side * side == image.size() ? side : image.size());
}

/// Writes the page's elements one after the other.
class Page {
 public:
  void add(std::string_view html) { html_ += html; }
  void heading(std::string_view text) { add(fmt::format("<h2>{}</h2>\n", escaped(text))); }
  void figure(const Picture& picture) { add(fmt::format("<figure>{}</figure>\n", picture.document())); }
  std::string take() { return std::move(html_); }

 private:
  std::string html_;
};

constexpr std::string_view kStyle = R"(
body { margin: 2rem auto; max-width: 1080px; padding: 0 1rem; color: #222; background: white;
       font: 15px/1.5 Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: 0.3rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; padding-bottom: 0.2rem; }
.curves { display: flex; flex-wrap: wrap; gap: 0.5rem; }
figure { margin: 0.5rem 0; overflow-x: auto; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 1rem 0.15rem 0; text-align: left; vertical-align: top; }
th { font-weight: normal; color: #666; }
.history td, .history th { text-align: right; border-bottom: 1px solid #eee; }
details { margin-top: 0.5rem; }
)";

/// Which score of a row: in training, on the test items, on what was held out.
using Of = nn::Score ReportRow::*;
using Value = double nn::Score::*;

Points curve(const std::vector<ReportRow>& history, Of of, Value value) {
  Points points;
  for (const ReportRow& row : history) points.push_back({static_cast<double>(row.epoch), row.*of.*value});
  return points;
}

bool any_finite(const std::vector<ReportRow>& history, Of of, Value value) {
  return std::any_of(history.begin(), history.end(),
                     [&](const ReportRow& r) { return std::isfinite(r.*of.*value); });
}

void add_curves(Page& page, const std::vector<ReportRow>& history, const char* title, const char* label,
                Value value) {
  constexpr Of kTraining = &ReportRow::training, kTest = &ReportRow::test,
               kValidation = &ReportRow::validation;
  if (!any_finite(history, kTraining, value) && !any_finite(history, kTest, value)) return;
  const Style style{.dots = history.size() < 2};  // a line of one point is none
  Chart chart(title);
  chart.size(530, 340).x({.label = "epoch"}).y({.label = label});
  chart.line("training", curve(history, kTraining, value), style);
  chart.line("test", curve(history, kTest, value), style);
  if (any_finite(history, kValidation, value))
    chart.line("validation", curve(history, kValidation, value), style);
  page.figure(chart.draw());
}

std::string cells(const nn::Score& s) {
  return fmt::format("<td>{:.4f}</td><td>{:.4f}</td>", s.loss, s.metric);
}

void add_history(Page& page, const std::vector<ReportRow>& history) {
  page.heading("Training");
  page.add("<div class=\"curves\">\n");
  add_curves(page, history, "Loss", "cross entropy", &nn::Score::loss);
  add_curves(page, history, "Accuracy", "accuracy", &nn::Score::metric);
  const bool validated = any_finite(history, &ReportRow::validation, &nn::Score::loss);
  page.add(
      "</div>\n<details><summary>All epochs</summary>\n<table class=\"history\">\n<tr><th>epoch</th>"
      "<th>iteration</th><th>training loss</th><th>accuracy</th><th>test loss</th><th>accuracy</th>");
  page.add(validated ? "<th>validation loss</th><th>accuracy</th></tr>\n" : "</tr>\n");
  for (const ReportRow& r : history)
    page.add(fmt::format("<tr><td>{}</td><td>{}</td>{}{}{}</tr>\n", r.epoch, r.iteration, cells(r.training),
                         cells(r.test), validated ? cells(r.validation) : ""));
  page.add("</table></details>\n");
}

/// Images of those mistakes for which `shown` holds, up to `most` of them.
template <class Shown>
std::vector<Image> images_of(const std::vector<Mistake>& mistakes, const nn::Dataset& data, std::size_t most,
                             const Shown& shown) {
  std::vector<Image> images;
  for (const Mistake& m : mistakes) {
    if (images.size() == most) break;
    if (!shown(m)) continue;
    const nn::Batch item = data.batch(m.item, m.item + 1);
    images.push_back(image_of(item.x.values<float>(), columns_of(data.input_shape()),
                              fmt::format("{}, not {}: {:.0f} %", m.found, m.truth, 100 * m.certainty)));
  }
  return images;
}

constexpr std::size_t kConfusions = 5;
constexpr std::size_t kShownOfConfusion = 8;

/// The pairs of classes that are confused most often, without images. Of equally frequent ones the lower classes first.
std::vector<Confusion> most_confused(const std::vector<std::vector<std::int64_t>>& counts) {
  std::vector<Confusion> pairs;
  for (std::size_t t = 0; t < counts.size(); ++t)
    for (std::size_t f = 0; f < counts.size(); ++f)
      if (t != f && counts[t][f] > 0)
        pairs.push_back({static_cast<std::int64_t>(t), static_cast<std::int64_t>(f), counts[t][f],
                         std::accumulate(counts[t].begin(), counts[t].end(), std::int64_t{0})});
  std::ranges::stable_sort(pairs, std::ranges::greater(), &Confusion::count);
  pairs.resize(std::min(kConfusions, pairs.size()));
  return pairs;
}

void add_convolution(Page& page, const TrainingReport& report) {
  const FirstConvolution& c = report.convolution;
  constexpr std::size_t kColumns = 10;
  page.heading(fmt::format("Filters of {}", c.layer));
  page.add("<p>Each by its own range: its least weight is white, its largest black.</p>\n");
  if (!report.filters_before.empty())
    page.figure(image_grid(report.filters_before, kColumns, "Before training"));
  page.figure(image_grid(c.filters, kColumns, "After training"));
  page.heading(fmt::format("Feature maps of {}", c.layer));
  page.add("<p>What each filter makes of a test image, before any activation; each by its own range.</p>\n");
  if (!c.input.empty()) page.figure(image_grid(c.input, kColumns, "The image"));
  page.figure(image_grid(c.maps, kColumns, "Its feature maps"));
}

}  // namespace

void examine(TrainingReport& report, const nn::Module& net, const nn::Dataset& data, std::size_t most) {
  const auto classes = static_cast<std::size_t>(data.classes());
  report.confusion.assign(classes, std::vector<std::int64_t>(classes));
  std::vector<Mistake> mistakes;
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->eval();
  std::int64_t item = 0;
  for (const nn::Batch& b : nn::in_order(data, 1000)) {
    const Tensor probabilities = cast(softmax((*copy)(b.x)), f64);
    if (probabilities.rank() != 2 || probabilities.dim(1) != data.classes() || b.t.dtype() != i64)
      throw ShapeError(fmt::format(
          "report: scores {} and labels {} {}, expected one score for each of {} classes and "
          "class indices",
          to_string(probabilities.shape()), to_string(b.t.shape()), name_of(b.t.dtype()), classes));
    const Tensor found = argmax(probabilities, 1);
    const std::span<const double> p = probabilities.values<double>();
    for (std::size_t i = 0; i < static_cast<std::size_t>(b.size()); ++i, ++item) {
      const std::int64_t truth = b.t.values<std::int64_t>()[i];
      const std::int64_t answer = found.values<std::int64_t>()[i];
      ++report.confusion[static_cast<std::size_t>(truth)][static_cast<std::size_t>(answer)];
      if (answer != truth)
        mistakes.push_back({item, truth, answer, p[i * classes + static_cast<std::size_t>(answer)]});
    }
  }

  report.misclassified_in_all = static_cast<std::int64_t>(mistakes.size());
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.certainty > b.certainty; });
  report.most_confused = most_confused(report.confusion);
  for (Confusion& c : report.most_confused)
    c.images = images_of(mistakes, data, kShownOfConfusion,
                         [&](const Mistake& m) { return m.truth == c.truth && m.found == c.found; });
  report.misclassified = images_of(mistakes, data, most, [](const Mistake&) { return true; });
}

Picture draw_step(const nn::Module& net, const nn::Dataset& data, std::int64_t batch) {
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->train();
  std::vector<std::pair<std::uint64_t, std::string>> names;
  for (const auto& [name, parameter] : copy->parameters()) names.emplace_back(parameter.id(), name);
  const nn::Batch b = data.batch(0, batch);
  Tape tape;
  nn::SoftmaxWithLoss()((*copy)(b.x), b.t);
  return draw_tape(tape, names);
}

std::string to_html(const TrainingReport& report) {
  Page page;
  page.add(fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escaped(report.title), kStyle));
  if (!report.history.empty()) {
    const ReportRow& last = report.history.back();
    page.add(
        fmt::format("<p>Test accuracy <b>{:.2f} %</b>, training accuracy {:.2f} %, after {} epochs and {} "
                    "iterations.</p>\n",
                    100 * last.test.metric, 100 * last.training.metric, last.epoch, last.iteration));
    add_history(page, report.history);
  }
  if (!report.confusion.empty()) {
    page.heading("Test images: what they are, and what was found");
    page.figure(confusion_matrix(report.confusion));
  }
  if (!report.misclassified.empty()) {
    const std::size_t shown = report.misclassified.size();
    page.heading(fmt::format("Misclassified test images: {} of {}", shown, report.misclassified_in_all));
    page.add("<p>What was found, what it is, and how sure the network was; the surest first.</p>\n");
    page.figure(image_grid(report.misclassified, 8, {}, 70));
  }
  if (!report.most_confused.empty()) {
    page.heading("Most confused");
    for (const Confusion& c : report.most_confused)
      page.figure(image_grid(c.images, kShownOfConfusion,
                             fmt::format("{} taken for {}: {} of {}", c.truth, c.found, c.count, c.total),
                             70));
  }
  if (!report.convolution.maps.empty()) add_convolution(page, report);
  if (!report.graph.body.empty()) {
    page.heading("Graph of a training step");
    page.add(
        "<p>As the tape recorded it: operations from top to bottom with the shapes of their results; "
        "parameters and "
        "constants at the left.</p>\n");
    page.figure(report.graph);
  }
  if (!report.settings.empty()) {
    page.heading("Settings");
    page.add("<table>\n");
    for (const auto& [name, value] : report.settings)
      page.add(fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escaped(name), escaped(value)));
    page.add("</table>\n");
  }
  page.add("</body>\n</html>\n");
  return page.take();
}

}  // namespace tapegrad::plot
