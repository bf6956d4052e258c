#include <string_view>

#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/conv_nets.h>
#include <tapegrad/nn/layers/layer_words.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// Words with what the options put around activations.
class Words {
 public:
  explicit Words(const ConvNetOptions& options) : options_(options) {}

  Words& add(std::string_view word) {
    if (!text_.empty()) text_ += ',';
    text_ += word;
    return *this;
  }
  Words& activate() {
    if (options_.batch_norm) add("batch-norm");
    return add(options_.activation);
  }
  Words& drop(double ratio) { return ratio == 0 ? *this : add(fmt::format("dropout:{}", ratio)); }
  std::string text() const { return text_; }

 private:
  const ConvNetOptions& options_;
  std::string text_;
};

std::int64_t hidden_of(const ConvNetOptions& o, std::int64_t otherwise) {
  return o.hidden == 0 ? otherwise : o.hidden;
}

Sequential made_of(const std::string& words, const Shape& image, Generator& generator,
                   const ConvNetOptions& o, const Init& otherwise) {
  return layers_from_words(
      words, image, generator,
      {.init = o.init.value_or(otherwise), .standardize = o.standardize, .dtype = o.dtype});
}

}  // namespace

std::string simple_conv_words(std::int64_t classes, const ConvNetOptions& o) {
  const double dropout = o.dropout.value_or(0);
  return Words(o)
      .add("conv:30x5")
      .activate()
      .drop(dropout)
      .add("pool:2")
      .add("flatten")
      .add(fmt::format("affine:{}", hidden_of(o, 100)))
      .activate()
      .drop(dropout)
      .add(fmt::format("affine:{}", classes))
      .text();
}

std::string deep_conv_words(std::int64_t classes, const ConvNetOptions& o) {
  const double dropout = o.dropout.value_or(0.5);
  Words words(o);
  const auto block = [&](std::string_view first, std::string_view second) {
    words.add(first).activate().add(second).activate().add("pool:2");
  };
  block("conv:16x3:same", "conv:16x3:same");
  block("conv:32x3:same", "conv:32x3:pad=2");
  block("conv:64x3:same", "conv:64x3:same");
  return words.add("flatten")
      .add(fmt::format("affine:{}", hidden_of(o, 50)))
      .activate()
      .drop(dropout)
      .add(fmt::format("affine:{}", classes))
      .drop(dropout)
      .text();
}

Sequential simple_conv_net(const Shape& image, std::int64_t classes, Generator& generator,
                           const ConvNetOptions& o) {
  return made_of(simple_conv_words(classes, o), image, generator, o, Init::normal(0.01));
}

Sequential deep_conv_net(const Shape& image, std::int64_t classes, Generator& generator,
                         const ConvNetOptions& o) {
  return made_of(deep_conv_words(classes, o), image, generator, o, init_for(o.activation));
}

}  // namespace tapegrad::nn
