#include "images.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <zlib.h>

#include "axis.h"

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

/// Words in lines that are not wider than this, but for long words.
std::vector<std::string> lines_of(const std::string& words, double width, double font) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    const std::string word = words.substr(at, end - at);
    if (!lines.empty() && text_width(lines.back() + ' ' + word, font) <= width)
      lines.back() += ' ' + word;
    else
      lines.push_back(word);
    at = end + 1;
  }
  return lines;
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
  Range range(Scale::linear);
  for (const double v : values) range.include(v);
  const double length = range.high() - range.low();  // below 0 where none is finite
  std::vector<float> shares;
  for (const double v : values)
    shares.push_back(std::isfinite(v) && length > 0 ? static_cast<float>((v - range.low()) / length) : 0);
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
          "stroke=\"{3}\"/>\n",
          width, height, base64(png_of(image)), kRule)};
}

Picture image_grid(const std::vector<Image>& images, std::size_t columns, const std::string& title,
                   double width) {
  constexpr double kGap = 8;
  constexpr double kLine = 15;
  std::vector<Picture> cells;
  for (const Image& image : images) {
    const Picture drawn = draw(image, width);
    const std::vector<std::string> label = lines_of(image.label, width + kGap, kFont);
    double widest = drawn.width;
    for (const std::string& line : label) widest = std::max(widest, text_width(line, kFont));
    const double cell = widest + 2 * kGap;
    Picture p{cell, drawn.height + kLine * static_cast<double>(label.size()) + 2 * kGap, {}};
    p.body = fmt::format("<g transform=\"translate({:.1f} {})\">\n{}</g>\n", (cell - drawn.width) / 2, kGap,
                         drawn.body);
    double y = kGap + drawn.height - 2;
    for (const std::string& line : label) p.body += text(cell / 2, y += kLine, line, kFont, "middle");
    cells.push_back(std::move(p));
  }
  return grid(cells, columns, title);
}

}  // namespace tapegrad::plot
