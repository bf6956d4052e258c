#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/affine.h>
#include <tapegrad/nn/layers/batch_norm.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/nn/layers/multi_layer_net.h>
#include <tapegrad/nn/weight_decay.h>

#include <fmt/format.h>

namespace tapegrad::nn {

MultiLayerNet::MultiLayerNet(std::int64_t inputs, std::int64_t outputs, Generator& generator,
                             const MultiLayerOptions& options)
    : options_(options), inputs_(inputs), outputs_(outputs) {
  if (!options_.init) options_.init = init_for(options.activation);
  if (const double d = options.weight_decay.value_or(0); !(d >= 0 && std::isfinite(d)))
    throw ArgumentError(
        fmt::format("multi-layer net: weight_decay is {}; it must be at least 0 and finite", d));
  const AffineOptions affine{.init = *options_.init, .dtype = options.dtype};
  if (options.standardize) layers_.append("standardize", Standardize(*options.standardize));
  std::int64_t width = inputs;
  int number = 1;
  for (const std::int64_t next : options.hidden) {
    layers_.append(fmt::format("affine{}", number), Affine(width, next, generator, affine));
    if (options.batch_norm)
      layers_.append(fmt::format("norm{}", number), BatchNorm(next, {.dtype = options.dtype}));
    layers_.append(fmt::format("{}{}", options.activation, number), make_activation(options.activation));
    if (options.dropout != 0)
      layers_.append(fmt::format("dropout{}", number), Dropout(options.dropout, generator));
    width = next;
    ++number;
  }
  layers_.append(fmt::format("affine{}", number), Affine(width, outputs, generator, affine));
}

std::optional<double> MultiLayerNet::weight_decay(std::string_view path) const {
  if (!options_.weight_decay) return {};
  return is_weight(path) ? *options_.weight_decay : 0;
}

std::string MultiLayerNet::describe() const {
  std::string text = fmt::format("{}-", inputs_);
  for (const std::int64_t width : options_.hidden) text += fmt::format("{}-", width);
  text += fmt::format("{} {} {}", outputs_, options_.activation, options_.init->text());
  if (options_.standardize) text += ", standardised inputs";
  if (options_.batch_norm) text += ", batch norm";
  if (options_.dropout != 0) text += fmt::format(", dropout {}", options_.dropout);
  if (options_.weight_decay) text += fmt::format(", weight decay {}", *options_.weight_decay);
  return text;
}

void MultiLayerNet::visit(Visitor& v) { layers_.visit(v); }

Tensor MultiLayerNet::forward(const Tensor& x) { return layers_.forward(x); }

std::unique_ptr<ModuleBase> MultiLayerNet::new_like() const {
  std::unique_ptr<MultiLayerNet> copy(new MultiLayerNet);
  copy->options_ = options_;
  copy->inputs_ = inputs_;
  copy->outputs_ = outputs_;
  copy->layers_ = std::move(*nn::new_like(layers_));
  return copy;
}

}  // namespace tapegrad::nn
