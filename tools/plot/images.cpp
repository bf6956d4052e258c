#include "images.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <zlib.h>

namespace tapegrad::plot {

namespace {

std::string big_endian(std::uint64_t value) {
  return {static_cast<char>(value >> 24 & 255), static_cast<char>(value >> 16 & 255),
          static_cast<char>(value >> 8 & 255), static_cast<char>(value & 255)};
}

std::string chunk(const std::string& type_and_data) {
  const auto* bytes = reinterpret_cast<const Bytef*>(type_and_data.data());
  return big_endian(type_and_data.size() - 4) + type_and_data +
         big_endian(crc32(0, bytes, static_cast<uInt>(type_and_data.size())));
}

/// The image as a PNG file, 8 bits of grey a pixel, ink black (ISO/IEC 15948).
std::string png_of(const Image& image) {
  std::string rows;
  for (std::size_t r = 0; r < image.rows; ++r) {
    rows += '\0';  // no filter
    for (std::size_t c = 0; c < image.columns; ++c)
      rows += static_cast<char>(255 - image.pixels[r * image.columns + c]);
  }
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()),
                rows.size(), 9) != Z_OK)
    throw std::bad_alloc();
  packed.resize(size);
  const std::string header =
      big_endian(image.columns) + big_endian(image.rows) + std::string("\x8\0\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR" + header) + chunk("IDAT" + packed) + chunk("IEND");
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

/// Between white and a colour of three numbers.
std::string shade(double share, const int (&full)[3]) {
  const auto mixed = [&](int i) { return static_cast<int>(std::lround(255 + (full[i] - 255) * share)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2));
}

}  // namespace

Image image_of(std::span<const float> values, std::size_t columns, std::string label) {
  if (columns == 0 || values.size() % columns != 0)
    throw ArgumentError(fmt::format("plot: {} values are no rows of {}", values.size(), columns));
  Image image{.rows = values.size() / columns, .columns = columns, .label = std::move(label)};
  for (const float v : values)
    image.pixels.push_back(static_cast<std::uint8_t>(std::lround(255 * (v > 0 ? std::min(v, 1.0F) : 0.0F))));
  return image;
}

Image image_of_range(std::span<const float> values, std::size_t columns, std::string label) {
  double least = std::numeric_limits<double>::infinity(), largest = -least;
  for (const double v : values)
    if (std::isfinite(v)) least = std::min(least, v), largest = std::max(largest, v);
  std::vector<float> shares;
  for (const double v : values)
    shares.push_back(std::isfinite(v) && largest > least ? static_cast<float>((v - least) / (largest - least))
                                                         : 0);
  return image_of(shares, columns, std::move(label));
}

Picture draw(const Image& image, double width) {
  if (image.rows == 0 || image.columns == 0 || image.pixels.size() != image.rows * image.columns)
    throw ArgumentError(fmt::format("plot: an image of {} x {} pixels with {} given", image.rows,
                                    image.columns, image.pixels.size()));
  const double height = width * static_cast<double>(image.rows) / static_cast<double>(image.columns);
  return {
      width, height,
      fmt::format(
          "<image width=\"{0:.1f}\" height=\"{1:.1f}\" style=\"image-rendering:pixelated\" "
          "href=\"data:image/png;base64,{2}\"/>\n<rect width=\"{0:.1f}\" height=\"{1:.1f}\" fill=\"none\" "
          "stroke=\"#ccc\"/>\n",
          width, height, base64(png_of(image)))};
}

Picture image_grid(const std::vector<Image>& images, std::size_t columns, const std::string& title,
                   double width) {
  constexpr double kGap = 8;
  std::vector<Picture> cells;
  for (const Image& image : images) {
    const Picture drawn = draw(image, width);
    const double label = image.label.empty() ? 0 : 16;
    const double cell = std::max(drawn.width, text_width(image.label, kFont)) + 2 * kGap;
    Picture p{cell, drawn.height + label + 2 * kGap, {}};
    p.body = fmt::format("<g transform=\"translate({:.1f} {})\">\n{}</g>\n", (cell - drawn.width) / 2, kGap,
                         drawn.body);
    if (label > 0) p.body += text(cell / 2, kGap + drawn.height + 13, image.label, kFont, "middle");
    cells.push_back(std::move(p));
  }
  return grid(cells, columns, title);
}

Picture confusion_matrix(const std::vector<std::vector<std::int64_t>>& counts, const std::string& title) {
  if (counts.empty()) throw ArgumentError("plot: a confusion matrix of no classes");
  constexpr int kRight[3] = {0x00, 0x72, 0xb2};
  constexpr int kWrong[3] = {0xd5, 0x5e, 0x00};
  const std::size_t classes = counts.size();
  std::int64_t most = 0;
  for (const auto& row : counts) {
    if (row.size() != classes)
      throw ArgumentError(
          fmt::format("plot: a confusion matrix of {} classes has a row of {}", classes, row.size()));
    most = std::max(most, *std::max_element(row.begin(), row.end()));
  }
  const double cell = std::max(40.0, text_width(std::to_string(most), kFont) + 12);
  const double left = 62;
  const double top = title.empty() ? 44 : 78;
  const double side = cell * static_cast<double>(classes);
  Picture p{left + side + 22, top + side + 22, {}};
  if (!title.empty()) p.body = text(16, 26, title, 15, "start", "font-weight=\"bold\"");
  p.body += text(left + side / 2, top - 26, "found", kFont, "middle");
  p.body += fmt::format("<g transform=\"translate(22 {:.1f}) rotate(-90)\">{}</g>\n", top + side / 2,
                        text(0, 0, "truth", kFont, "middle"));
  for (std::size_t t = 0; t < classes; ++t) {
    const double at = cell * (static_cast<double>(t) + 0.5);
    p.body += text(left + at, top - 8, std::to_string(t), kFont, "middle");
    p.body += text(left - 10, top + at + 4, std::to_string(t), kFont, "end");
    double total = 0;
    for (const std::int64_t n : counts[t]) total += static_cast<double>(n);
    for (std::size_t f = 0; f < classes; ++f) {
      const double share = total > 0 ? static_cast<double>(counts[t][f]) / total : 0;
      // Errors are rare: their shades grow faster.
      const double depth = t == f ? share : std::min(1.0, 2 * std::sqrt(share));
      const double x = left + cell * static_cast<double>(f);
      const double y = top + cell * static_cast<double>(t);
      p.body += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
          "stroke=\"#ddd\"/>\n",
          x, y, cell, cell, shade(depth, t == f ? kRight : kWrong));
      if (counts[t][f] == 0) continue;
      p.body += text(x + cell / 2, y + cell / 2 + 4, std::to_string(counts[t][f]), kFont, "middle",
                     depth > 0.6 ? "fill=\"white\"" : "");
    }
  }
  return p;
}

}  // namespace tapegrad::plot
