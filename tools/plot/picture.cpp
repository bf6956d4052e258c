#include "picture.h"

#include <algorithm>
#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

constexpr double kTitleSize = 15;
constexpr double kTitleHeight = 34;

}  // namespace

std::string Picture::document() const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"Helvetica,Arial,sans-serif\" fill=\"{3}\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"{4}\"/>\n{2}</svg>\n",
      width, height, body, kInk, kPaper);
}

void save(const std::string& path, const Picture& picture) {
  nn::AtomicFile file(path);
  file.write(picture.document());
  file.commit();
}

Picture grid(const std::vector<Picture>& parts, std::size_t columns, const std::string& title) {
  if (columns == 0) throw ArgumentError("plot: a grid of no columns");
  double width = 0;
  double height = 0;
  for (const Picture& p : parts) {
    width = std::max(width, p.width);
    height = std::max(height, p.height);
  }
  const std::size_t across = std::min(columns, std::max<std::size_t>(1, parts.size()));
  const std::size_t down = (parts.size() + columns - 1) / columns;
  const double top = title.empty() ? 0 : kTitleHeight;
  Picture all{width * static_cast<double>(across), top + height * static_cast<double>(down), {}};
  if (!title.empty()) {
    all.width = std::max(all.width, text_width(title, kTitleSize) + 32);
    all.body = text(16, 24, title, kTitleSize, "start", "font-weight=\"bold\"");
  }
  for (std::size_t i = 0; i < parts.size(); ++i)
    all.body += fmt::format("<g transform=\"translate({:.1f} {:.1f})\">\n{}</g>\n",
                            width * static_cast<double>(i % columns),
                            top + height * static_cast<double>(i / columns), parts[i].body);
  return all;
}

const char* colour(std::size_t index) {
  static constexpr std::array kNames = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
  static_assert(kNames.size() == kColours);
  return kNames[index % kColours];
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n')
      out += "\xef\xbf\xbd";
    else
      out += c;
  }
  return out;
}

double text_width(std::string_view text, double font_size) {
  const auto starts_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return 0.58 * font_size * static_cast<double>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string text(double x, double y, std::string_view content, double font_size, const char* anchor,
                 std::string_view more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" {}>{}</text>\n", x,
                     y, font_size, anchor, more, escaped(content));
}

}  // namespace tapegrad::plot
