#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "images.h"
#include "picture.h"

namespace tapegrad::plot {

/// A number in a cell of a table: "–" where it is not finite, as where it is not known.
std::string number_cell(double value, fmt::format_string<double> format = "{:.4f}");

/// Writes an HTML page, element by element: one file without scripts that fetches nothing, readable on a phone and
/// on a dark screen. Text is escaped here; what add() takes is HTML already.
class Page {
 public:
  explicit Page(std::string_view title);
  void add(std::string_view html) { html_ += html; }
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// As wide as the page at most.
  void figure(const Picture& picture);
  /// In its own size, behind which one scrolls where the page is narrower.
  void wide_figure(const Picture& picture);
  /// Side by side, as many as there is room for.
  void figures(const std::vector<Picture>& pictures);
  /// So are small images, each with its label below.
  void tiles(const std::vector<Image>& images, double width, std::string_view title = {});
  /// Names and values.
  void table(const std::vector<std::pair<std::string, std::string>>& rows);
  /// Numbers below their names.
  void table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows);
  /// The page's end; the whole page.
  std::string take();

 private:
  std::string html_;
};

}  // namespace tapegrad::plot
