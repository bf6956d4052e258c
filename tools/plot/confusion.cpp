#include "confusion.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

void require_square(const ConfusionCounts& counts) {
  for (const auto& row : counts)
    if (row.size() != counts.size())
      throw ArgumentError(
          fmt::format("plot: a confusion matrix of {} classes has a row of {}", counts.size(), row.size()));
}

std::int64_t total_of(const std::vector<std::int64_t>& row) {
  return std::accumulate(row.begin(), row.end(), std::int64_t{0});
}

/// The start of a name that is too long for its place.
std::string shortened(const std::string& name, double width) {
  if (text_width(name, kFont) <= width) return name;
  std::string out;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t next = i + 1;
    while (next < name.size() && (static_cast<unsigned char>(name[next]) & 0xc0) == 0x80) ++next;
    if (text_width(out + name.substr(i, next - i) + "…", kFont) > width) break;
    out += name.substr(i, next - i);
    i = next;
  }
  return out + "…";
}

}  // namespace

std::vector<ClassScores> scores_of(const ConfusionCounts& counts) {
  require_square(counts);
  std::vector<ClassScores> scores;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const auto right = static_cast<double>(counts[k][k]);
    double predicted = 0;
    for (const auto& row : counts) predicted += static_cast<double>(row[k]);
    const std::int64_t support = total_of(counts[k]);
    scores.push_back({right / predicted, right / static_cast<double>(support),
                      2 * right / (predicted + static_cast<double>(support)), support});
  }
  return scores;
}

Picture confusion_matrix(const ConfusionCounts& counts, const std::string& title,
                         const std::vector<std::string>& names) {
  if (counts.empty()) throw ArgumentError("plot: a confusion matrix of no classes");
  require_square(counts);
  const std::size_t classes = counts.size();
  if (!names.empty() && names.size() != classes)
    throw ArgumentError(
        fmt::format("plot: a confusion matrix of {} classes has {} names", classes, names.size()));
  std::int64_t most = 0;
  for (const auto& row : counts) most = std::max(most, *std::max_element(row.begin(), row.end()));
  constexpr double kWidest = 90;  // of a name
  double name_width = 0;
  std::vector<std::string> labels;
  for (std::size_t k = 0; k < classes; ++k) {
    labels.push_back(names.empty() ? std::to_string(k) : shortened(names[k], kWidest));
    name_width = std::max(name_width, text_width(labels[k], kFont));
  }
  const double cell = std::max({32.0, text_width(std::to_string(most), kFont) + 10, name_width + 8});
  const double left = 44 + name_width;
  const double top = title.empty() ? 48 : 82;
  const double side = cell * static_cast<double>(classes);
  Picture p{left + side + 22, top + side + 14, {}};
  if (!title.empty()) p.body = text(16, 26, title, 15, "start", "font-weight=\"bold\"");
  p.body += text(left + side / 2, top - 30, "predicted", kFont, "middle");
  p.body += fmt::format("<g transform=\"translate(22 {:.1f}) rotate(-90)\">{}</g>\n", top + side / 2,
                        text(0, 0, "true", kFont, "middle"));
  const auto name = [&](std::size_t k) { return names.empty() ? std::to_string(k) : names[k]; };
  for (std::size_t t = 0; t < classes; ++t) {
    const double at = cell * (static_cast<double>(t) + 0.5);
    p.body += text(left + at, top - 8, labels[t], kFont, "middle");
    p.body += text(left - 10, top + at + 4, labels[t], kFont, "end");
    const auto total = static_cast<double>(total_of(counts[t]));
    for (std::size_t f = 0; f < classes; ++f) {
      const double share = total > 0 ? static_cast<double>(counts[t][f]) / total : 0;
      // Errors are rare: their shades grow faster.
      const double depth = t == f ? share : std::min(1.0, 2 * std::sqrt(share));
      const double x = left + cell * static_cast<double>(f);
      const double y = top + cell * static_cast<double>(t);
      p.body += fmt::format(
          "<g><title>true {}, predicted {}: {} of {} ({:.1f} %)</title><rect x=\"{:.1f}\" y=\"{:.1f}\" "
          "width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" fill-opacity=\"{:.3f}\" stroke=\"{}\"/>\n",
          escaped(name(t)), escaped(name(f)), counts[t][f], total, 100 * share, x, y, cell, cell,
          colour(t == f ? 0 : 1), depth, kRule);
      if (counts[t][f] != 0)
        p.body += text(x + cell / 2, y + cell / 2 + 4, std::to_string(counts[t][f]), kFont, "middle",
                       depth > 0.6 ? "fill=\"white\"" : "");
      p.body += "</g>\n";
    }
  }
  return p;
}

}  // namespace tapegrad::plot
