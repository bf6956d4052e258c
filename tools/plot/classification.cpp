#include "classification.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

struct Mistake {
  std::int64_t item;
  std::int64_t truth;
  std::int64_t predicted;
  double certainty;  ///< the probability that the network gives to what it predicts
};

/// The length of an image's rows: the last axis, or the side of a flat square.
std::size_t columns_of(const Shape& image) {
  if (image.rank() > 1) return static_cast<std::size_t>(image.dim(-1));
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(image.size()))));
  return static_cast<std::size_t>(side * side == image.size() ? side : image.size());
}

/// Images of those mistakes for which `shown` holds, up to `most` of them.
template <class Shown>
std::vector<Image> images_of(const std::vector<Mistake>& mistakes, const nn::Dataset& data,
                             const Classification& of, std::size_t most, const Shown& shown) {
  std::vector<Image> images;
  for (const Mistake& m : mistakes) {
    if (images.size() == most) break;
    if (!shown(m)) continue;
    const nn::Batch item = data.batch(m.item, m.item + 1);
    images.push_back(
        image_of(item.x.values<float>(), columns_of(data.input_shape()),
                 fmt::format("{} ({:.0f} %)", of.pair(m.truth, m.predicted), 100 * m.certainty)));
  }
  return images;
}

constexpr std::size_t kConfusions = 5;
constexpr std::size_t kShownOfConfusion = 8;

/// The pairs of classes that are confused most often, without images. Of equally frequent ones the lower classes first.
std::vector<Confusion> most_confused(const ConfusionCounts& counts) {
  const std::vector<ClassScores> scores = scores_of(counts);
  std::vector<Confusion> pairs;
  for (std::size_t t = 0; t < counts.size(); ++t)
    for (std::size_t f = 0; f < counts.size(); ++f)
      if (t != f && counts[t][f] > 0)
        pairs.push_back(
            {static_cast<std::int64_t>(t), static_cast<std::int64_t>(f), counts[t][f], scores[t].support});
  std::ranges::stable_sort(pairs, std::ranges::greater(), &Confusion::count);
  pairs.resize(std::min(kConfusions, pairs.size()));
  return pairs;
}

}  // namespace

std::string Classification::name(std::int64_t k) const {
  return names.empty() ? fmt::format("{}", k) : names.at(static_cast<std::size_t>(k));
}

std::string Classification::pair(std::int64_t truth, std::int64_t predicted) const {
  return fmt::format("true {}, predicted {}", name(truth), name(predicted));
}

Classification examine(const nn::Module& net, const nn::Dataset& data, std::size_t most,
                       std::vector<std::string> names) {
  Classification found{.names = std::move(names)};
  const auto classes = static_cast<std::size_t>(data.classes());
  found.confusion.assign(classes, std::vector<std::int64_t>(classes));
  std::vector<Mistake> mistakes;
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->eval();
  std::int64_t item = 0;
  for (const nn::Batch& b : nn::in_order(data, nn::kEvaluationBatch)) {
    const Tensor probabilities = cast(softmax((*copy)(b.x)), f64);
    if (probabilities.rank() != 2 || probabilities.dim(1) != data.classes() || b.t.dtype() != i64)
      throw ShapeError(fmt::format(
          "report: scores {} and labels {} {}, expected one score for each of {} classes and class indices",
          to_string(probabilities.shape()), to_string(b.t.shape()), name_of(b.t.dtype()), classes));
    const Tensor predicted = argmax(probabilities, 1);
    const std::span<const double> p = probabilities.values<double>();
    for (std::size_t i = 0; i < static_cast<std::size_t>(b.size()); ++i, ++item) {
      const std::int64_t truth = b.t.values<std::int64_t>()[i];
      const std::int64_t answer = predicted.values<std::int64_t>()[i];
      ++found.confusion[static_cast<std::size_t>(truth)][static_cast<std::size_t>(answer)];
      if (answer != truth)
        mistakes.push_back({item, truth, answer, p[i * classes + static_cast<std::size_t>(answer)]});
    }
  }

  found.misclassified_in_all = static_cast<std::int64_t>(mistakes.size());
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.certainty > b.certainty; });
  found.most_confused = most_confused(found.confusion);
  if (most == 0) return found;
  for (Confusion& c : found.most_confused)
    c.images = images_of(mistakes, data, found, kShownOfConfusion,
                         [&](const Mistake& m) { return m.truth == c.truth && m.predicted == c.predicted; });
  found.misclassified = images_of(mistakes, data, found, most, [](const Mistake&) { return true; });
  return found;
}

}  // namespace tapegrad::plot
