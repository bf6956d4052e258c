#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>

namespace tapegrad::nn {

/// What words leave open.
struct LayerWordsOptions {
  Init init = Init::he();  ///< of the weights
  /// Given: a Standardize layer in front, "standardize".
  std::optional<InputStatistics> standardize{};
  Dtype dtype = f32;  ///< of all parameters: f32 or f64
};

/// A network from words, for items of this shape: [1, 28, 28], images with one channel, or [784].
///
///     nn::Sequential net = nn::layers_from_words("conv:30x5,relu,pool:2,flatten,affine:100,relu,affine:10",
///                                                {1, 28, 28}, rng);
///
/// Words are separated by commas; spaces around them do not count. What follows a colon is the layer's: conv:30x5 has
/// 30 channels out and a kernel of 5 x 5, conv:30x5x3 one of 5 x 3. Further ones, in any order, name options, as in
/// conv:32x3:pad=2:stride=2 or conv:16x3:same. layer_word_forms() lists all words; activations are those of
/// activation_names(). The layers are called conv1, relu1, pool1, conv2, ... by their words.
///
/// Each layer is made for what the one before gives, which is found out by a batch of no items. Throws ArgumentError
/// naming the word and what there is, and for a layer that does not fit what comes in the error that it throws, behind
/// the word; OutOfMemory for weights that are larger than memory. Words may come from a file, and must not take a
/// processor for hours: there may be 10,000, and one item may take up to 10^11 multiplications in all, counted as
/// results times the elements that each is computed of.
TAPEGRAD_API Sequential layers_from_words(std::string_view words, const Shape& item, Generator& generator,
                                          const LayerWordsOptions& options = {});

/// All that layers_from_words takes, for messages: "conv:channels x kernel[:pad=n][:same]..., pool:kernel[...], ...".
TAPEGRAD_API std::string layer_word_forms();

}  // namespace tapegrad::nn
