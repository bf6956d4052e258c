#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Small pictures as SVG: for the examples, the benchmark and the reports of the command. No part of the
/// library.
namespace tapegrad::plot {

/// A finished drawing, which can be a part of another.
struct Picture {
  double width = 0;
  double height = 0;
  std::string body;  ///< SVG elements between (0, 0) and (width, height)

  /// As an SVG document; also an element of an HTML page as it stands.
  std::string document() const;
};

/// Writes the document, whole or not at all. Throws FileError.
void save(const std::string& path, const Picture& picture);

/// Pictures in rows of `columns`, each cell as large as the largest, below a title where one is given. Throws
/// ArgumentError for no columns.
Picture grid(const std::vector<Picture>& parts, std::size_t columns, const std::string& title = {});

/// Okabe and Ito's colours, which the colour-blind can tell apart; they repeat after kColours.
inline constexpr std::size_t kColours = 6;
const char* colour(std::size_t index);

/// What else has a colour; a page shows these darker on a dark screen.
inline constexpr const char* kPaper = "white";
inline constexpr const char* kInk = "#222";
inline constexpr const char* kQuietInk = "#666";  ///< what is said of the data, such as marks
inline constexpr const char* kGrid = "#e4e4e4";
inline constexpr const char* kRule = "#ddd";  ///< around cells and images
inline constexpr const char* kOperationFill = "#f4f1e8";
inline constexpr const char* kLeafFill = "#dbe9f6";

/// Text with what XML takes for markup spelled out; what no XML may hold becomes U+FFFD.
std::string escaped(std::string_view text);
inline constexpr double kFont = 12;  ///< size of labels, in pixels
/// How wide a text gets, about, whatever sans-serif font there is.
double text_width(std::string_view text, double font_size);

/// A line of text; anchor is start, middle or end, more are further attributes.
std::string text(double x, double y, std::string_view content, double font_size, const char* anchor = "start",
                 std::string_view more = {});

}  // namespace tapegrad::plot
