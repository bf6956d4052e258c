#pragma once

#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// How a BatchNorm is made.
struct BatchNormOptions {
  /// How much of the running statistics an update keeps: running = momentum * running + (1 - momentum) *
  /// batch, as in "Deep Learning from Scratch". (PyTorch's momentum is 1 minus this.)
  double momentum = 0.9;
  double eps = 1e-5;  ///< is added to the variance
  Dtype dtype = f32;  ///< of gamma and beta: f32 or f64
  /// Where given, the statistics in training are those of the batches of all ranks together: see below. It must outlive
  /// the layer, its clones, and the tapes that they were recorded on.
  Communicator* communicator = nullptr;
};

/// Ioffe, Szegedy: Batch Normalization, ICML 2015: y = gamma (x - mean) / sqrt(var + eps) + beta for each
/// feature of x [n, features], or each channel of images x [n, channels, h, w], sequences and volumes, over all
/// axes but that of the channels. Parameters "gamma", at first 1, and "beta", 0; buffers "running_mean", 0, and
/// "running_var", 1, both f64, as the square of what f32 holds may be beyond f32. (A state with statistics of f32, as
/// PyTorch saves them, is taken, too.)
///
/// In training the mean and variance are those of the batch, and the running ones are updated by them; the
/// variance that normalises is the biased one, sum (x - mean)^2 / m of m elements, that in the running average the
/// unbiased one, / (m - 1), as in PyTorch. In evaluation the running ones are used.
///
/// With a communicator of several ranks, m counts the elements of all ranks, which may have different numbers of items,
/// and mean and variance are over all of them (PyTorch's SyncBatchNorm). In training forward and backward are then
/// collective: every rank runs the same layers in the same order. The gradient is that of the sum of all ranks' losses,
/// of which gamma and beta get this rank's part, as parameters of any layer do. Evaluation is each rank's own.
class TAPEGRAD_API BatchNorm final : public Module {
 public:
  /// Throws ArgumentError for no features, a momentum outside [0, 1], an eps that is not positive and finite, or so
  /// small that the reciprocal of its root is beyond the dtype; DtypeError for i64.
  explicit BatchNorm(std::int64_t features, const BatchNormOptions& options = {});

  /// What the normalised values are multiplied by, and what is added to them, [features].
  Parameter& gamma() noexcept { return gamma_; }
  Parameter& beta() noexcept { return beta_; }
  /// What evaluation normalises by, [features].
  const Tensor& running_mean() const noexcept { return running_mean_; }
  const Tensor& running_var() const noexcept { return running_var_; }

  void visit(Visitor& v) override;
  /// Throws ShapeError for another shape than [n, features, ...], and ArgumentError in training for fewer than two
  /// elements of each feature (on all ranks together, where they are synchronised), in evaluation for an infinite
  /// running variance; synchronised, for an infinite variance in training, too.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;
  const Communicator* communicator() const noexcept override { return options_.communicator; }
  /// From the next forward on by this one, as by the option; null: by the batch alone.
  void set_communicator(Communicator* communicator) noexcept { options_.communicator = communicator; }

 private:
  void update_running(const Tensor& mean, const Tensor& variance, double count);

  std::int64_t features_;
  BatchNormOptions options_;
  Parameter gamma_;
  Parameter beta_;
  Buffer running_mean_;
  Buffer running_var_;
};

/// Has each BatchNorm of a network, and the network itself where it is one, take its statistics over all ranks, as if
/// made with this communicator (null: over its own batch). Returns how many there are.
///
///     nn::MultiLayerNet net(784, 10, rng, {.batch_norm = true});
///     nn::synchronise_batch_norm(net, &comm);
TAPEGRAD_API std::int64_t synchronise_batch_norm(ModuleBase& net, Communicator* communicator);

}  // namespace tapegrad::nn
