#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "picture.h"

namespace tapegrad::plot {

/// An image of one channel, row by row: 0 is paper, 255 ink, as in MNIST.
struct Image {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<std::uint8_t> pixels{};
  std::string label{};  ///< shown below it
};

/// The image of values from 0 (paper) to 1 (ink), row by row; what lies outside counts as the nearer end.
/// Throws ArgumentError where their number is no multiple of `columns`.
Image image_of(std::span<const float> values, std::size_t columns, std::string label = {});

/// The image of values by their own range: the least of them is paper, the largest ink. What is not finite is paper,
/// and so are all where they have one value. Throws as image_of.
Image image_of_range(std::span<const float> values, std::size_t columns, std::string label = {});

/// The image in `width` units of the drawing. Throws ArgumentError where the pixels do not fill it.
Picture draw(const Image& image, double width);
/// Images in rows of `columns`, with their labels, in several lines where they are wider than the images.
Picture image_grid(const std::vector<Image>& images, std::size_t columns, const std::string& title = {},
                   double width = 56);

}  // namespace tapegrad::plot
