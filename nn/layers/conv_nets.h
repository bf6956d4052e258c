#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>

/// The convolutional networks of "Deep Learning from Scratch", for images of any size that their layers fit: the
/// network of chapter 7 and the deep one of chapter 8, as the words of layers_from_words.
namespace tapegrad::nn {

/// What the two networks are made with.
struct ConvNetOptions {
  std::int64_t hidden = 0;          ///< width of the hidden affine layer; 0: 100, of the deep network 50
  std::string activation = "relu";  ///< see make_activation
  std::optional<Init>
      init{};  ///< of the weights; not given: normal(0.01), of the deep network init_for(activation)
  bool batch_norm = false;  ///< before each activation
  /// Ratio of a Dropout behind each activation, in the deep network behind its affine layers. Not given: none, 0.5.
  std::optional<double> dropout{};
  /// Given: a Standardize layer in front, "standardize".
  std::optional<InputStatistics> standardize{};
  Dtype dtype = f32;  ///< of all parameters: f32 or f64
};

/// "conv:30x5,relu,pool:2,flatten,affine:100,relu,affine:10": for [1, 28, 28] 433,890 parameters.
TAPEGRAD_API std::string simple_conv_words(std::int64_t classes, const ConvNetOptions& options = {});
/// Six convolutions of 3 x 3 with 16, 16, 32, 32, 64 and 64 channels, a pooling behind each second one, and two affine
/// layers with dropout.
TAPEGRAD_API std::string deep_conv_words(std::int64_t classes, const ConvNetOptions& options = {});

/// The networks of these words for images [channels, h, w]. Throws as layers_from_words.
///
///     Generator rng(0);
///     nn::Sequential net = nn::simple_conv_net({1, 28, 28}, 10, rng);
TAPEGRAD_API Sequential simple_conv_net(const Shape& image, std::int64_t classes, Generator& generator,
                                        const ConvNetOptions& options = {});
TAPEGRAD_API Sequential deep_conv_net(const Shape& image, std::int64_t classes, Generator& generator,
                                      const ConvNetOptions& options = {});

}  // namespace tapegrad::nn
