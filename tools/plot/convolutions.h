#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>

#include "images.h"

namespace tapegrad::plot {

/// The kernels of a convolution with the weight [out, in, kh, kw], one image for each channel out and each channel in,
/// up to `most` of them: each by its own range, as image_of_range has it. Throws ShapeError for another rank,
/// DtypeError for integers.
std::vector<Image> filters_of(const Tensor& weight, std::size_t most = 100);

/// The channels of the first of images [n, c, h, w], up to `most` of them, each by its own range. Throws as filters_of.
std::vector<Image> maps_of(const Tensor& images, std::size_t most = 100);

/// What the first nn::Conv2d that an item passes does with it. Without one all is empty.
struct FirstConvolution {
  std::string layer{};           ///< its path in the network, such as "conv1"
  std::vector<Image> filters{};  ///< as filters_of
  std::vector<Image> input{};    ///< the item, a channel an image, as maps_of
  std::vector<Image> maps{};     ///< what the layer makes of it, before any activation, as maps_of
};

/// Looks into a copy of the network, in evaluation; the network must be one that clone() copies, and stays as it is.
FirstConvolution first_convolution(const nn::Module& net, const nn::Dataset& data, std::int64_t item = 0);

}  // namespace tapegrad::plot
