#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>

namespace tapegrad::nn {

/// What a MultiLayerNet is made of.
struct MultiLayerOptions {
  std::vector<std::int64_t> hidden{100};  ///< widths of the hidden layers; none: one affine layer
  std::string activation = "relu";        ///< behind each hidden layer, see make_activation
  std::optional<Init> init{};             ///< of the weights; not given: init_for(activation)
  bool batch_norm = false;                ///< before each activation
  double dropout = 0;                     ///< ratio of the Dropout behind each activation; 0: none
  std::optional<double> weight_decay{};   ///< of the weights; biases and normalisations then have none
  /// Given: a Standardize layer in front, "standardize".
  std::optional<InputStatistics> standardize{};
  Dtype dtype = f32;  ///< of all parameters: f32 or f64
};

/// A fully connected network of any depth, as the MultiLayerNet and MultiLayerNetExtend of "Deep Learning
/// from Scratch": for each hidden layer i the layers affine<i>, norm<i>, <activation><i> and dropout<i>,
/// those that the options ask for; then a last affine layer, without an activation.
///
///     Generator rng(0);
///     nn::MultiLayerNet net(784, 10, rng, {.hidden = {100, 100}, .batch_norm = true, .weight_decay = 1e-4});
///     optim::Adam adam(net, 0.001);
class TAPEGRAD_API MultiLayerNet final : public Module {
 public:
  /// Draws the weights from the generator, and the seeds of the dropouts. Throws ArgumentError for a width
  /// below 1, an unknown activation, a dropout outside [0, 1) and a decay that is negative or not finite,
  /// and what Standardize throws.
  MultiLayerNet(std::int64_t inputs, std::int64_t outputs, Generator& generator,
                const MultiLayerOptions& options = {});

  /// The layers, by position or name: net.layers()["relu1"].
  const Sequential& layers() const noexcept { return layers_; }
  /// What the network was made with.
  const MultiLayerOptions& options() const noexcept { return options_; }
  /// As the option weight_decay says.
  std::optional<double> weight_decay(std::string_view path) const override;
  /// As in "784-100-100-10 relu he, standardised inputs, batch norm, dropout 0.2, weight decay 0.0001".
  std::string describe() const;

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  MultiLayerNet() = default;

  MultiLayerOptions options_;
  std::int64_t inputs_ = 0;
  std::int64_t outputs_ = 0;
  Sequential layers_;
};

}  // namespace tapegrad::nn
