#include "page.h"

#include <cmath>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 1080px; padding: 0 1rem; color: var(--ink); background: var(--paper);
       font: 15px/1.5 Helvetica, Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: 0.3rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--rule); padding-bottom: 0.2rem; }
h3 { font-size: 1rem; margin: 1rem 0 0; }
p { margin: 0.5rem 0; }
.figures, .tiles { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.tiles { gap: 0.7rem; }
figure { margin: 0.5rem 0; overflow-x: auto; }
.figures figure, .tiles figure { margin: 0.2rem 0; overflow: visible; max-width: 100%; }
.tiles figure { width: min-content; text-align: center; }
figcaption { font-size: 12px; line-height: 1.25; min-width: 5.6rem; }
svg { max-width: 100%; height: auto; display: block; margin: 0 auto 0 0; }
.tiles svg { margin: 0 auto 0.2rem; max-width: none; }
.wide svg { max-width: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 1rem 0.15rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: normal; color: var(--quiet); white-space: nowrap; }
.numbers td, .numbers th { text-align: right; border-bottom: 1px solid var(--rule); overflow-wrap: normal; }
.numbers td:first-child, .numbers th:first-child { text-align: left; }
details { margin-top: 0.5rem; }
summary { cursor: pointer; }
@media (max-width: 480px) {
  body { margin: 1rem auto; padding: 0 0.6rem; }
  th, td { padding-right: 0.6rem; }
}
)";

std::string variables(const char* ink, const char* paper, const char* rule, const char* quiet) {
  return fmt::format(":root {{ --ink: {}; --paper: {}; --rule: {}; --quiet: {}; }}\n", ink, paper, rule,
                     quiet);
}

/// Pictures have their colours as attributes, to be whole outside of a page. On a dark screen rules take precedence.
std::string colours() {
  struct Darkened {
    const char* element;
    const char* attribute;
    const char* colour;
    const char* dark;
  };
  const Darkened all[] = {
      {"rect", "fill", kPaper, "var(--paper)"}, {"", "stroke", kPaper, "var(--paper)"},
      {"", "stroke", kInk, "var(--ink)"},       {"", "stroke", kGrid, "var(--rule)"},
      {"", "stroke", kRule, "var(--rule)"},     {"", "stroke", kQuietInk, "var(--quiet)"},
      {"", "fill", kQuietInk, "var(--quiet)"},  {"path", "stroke", colour(0), "#58aee8"},
      {"circle", "fill", colour(0), "#58aee8"}, {"rect", "fill", kOperationFill, "#3a362b"},
      {"rect", "fill", kLeafFill, "#21374c"},
  };
  std::string style = variables(kInk, kPaper, kRule, kQuietInk) + "@media (prefers-color-scheme: dark) {\n";
  style += variables("#e4e6e8", "#181a1d", "#3b4046", "#a2a9b0") + "svg { fill: var(--ink); }\n";
  for (const Darkened& d : all)
    style += fmt::format("svg {0}[{1}=\"{2}\"] {{ {1}: {3}; }}\n", d.element, d.attribute, d.colour, d.dark);
  return style + "}\n";
}

/// A list without spaces may break behind its commas.
std::string breakable(const std::string& html) {
  std::string out;
  for (const char c : html) out += c == ',' ? std::string(",<wbr/>") : std::string(1, c);
  return out;
}

}  // namespace

std::string number_cell(double value, fmt::format_string<double> format) {
  return std::isfinite(value) ? fmt::vformat(format, fmt::make_format_args(value)) : std::string("–");
}

Page::Page(std::string_view title)
    : html_(fmt::format(
          "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
          "content=\"width=device-width\">\n<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n"
          "<h1>{3}</h1>\n",
          escaped(title), kStyle, colours(), breakable(escaped(title)))) {}

void Page::heading(std::string_view text) { add(fmt::format("<h2>{}</h2>\n", escaped(text))); }

void Page::paragraph(std::string_view text) { add(fmt::format("<p>{}</p>\n", escaped(text))); }

void Page::figure(const Picture& picture) { add(fmt::format("<figure>{}</figure>\n", picture.document())); }

void Page::wide_figure(const Picture& picture) {
  add(fmt::format("<figure class=\"wide\">{}</figure>\n", picture.document()));
}

void Page::figures(const std::vector<Picture>& pictures) {
  add("<div class=\"figures\">\n");
  for (const Picture& p : pictures) figure(p);
  add("</div>\n");
}

void Page::tiles(const std::vector<Image>& images, double width, std::string_view title) {
  if (!title.empty()) add(fmt::format("<h3>{}</h3>\n", escaped(title)));
  add("<div class=\"tiles\">\n");
  for (const Image& image : images)
    add(fmt::format(
        "<figure>{}{}</figure>\n", draw(image, width).document(),
        image.label.empty() ? "" : fmt::format("<figcaption>{}</figcaption>", escaped(image.label))));
  add("</div>\n");
}

void Page::table(const std::vector<std::pair<std::string, std::string>>& rows) {
  add("<table>\n");
  for (const auto& [name, value] : rows)
    add(fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escaped(name), escaped(value)));
  add("</table>\n");
}

void Page::table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  const auto row = [&](const char* cell, const std::vector<std::string>& values) {
    add("<tr>");
    for (const std::string& v : values) add(fmt::format("<{0}>{1}</{0}>", cell, escaped(v)));
    add("</tr>\n");
  };
  add("<div class=\"scroll\"><table class=\"numbers\">\n");
  row("th", head);
  for (const auto& values : rows) row("td", values);
  add("</table></div>\n");
}

std::string Page::take() {
  add("</body>\n</html>\n");
  return std::move(html_);
}

}  // namespace tapegrad::plot
