#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/transforms.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/module.h>

namespace tapegrad::nn {

/// The loss of outputs y for targets t: one number, the mean over the batch.
using Loss = Callback<Tensor(const Tensor& y, const Tensor& t)>;
/// A figure of merit of outputs y for targets t, the higher the better: the mean over the batch.
using Metric = Callback<double(const Tensor& y, const Tensor& t)>;

/// What training minimises and what it is judged by: softmax_with_loss and accuracy, unless another loss is
/// given, with or without a metric.
///
///     Objective()      Objective(nn::MSELoss())      Objective(my_loss, my_metric)
class TAPEGRAD_API Objective {
 public:
  /// softmax_with_loss and accuracy.
  Objective();
  /// Of one's own; without a metric only losses are measured.
  template <class L>
  requires(!std::same_as<std::remove_cvref_t<L>, Objective> && std::convertible_to<L&&, Loss>)
      Objective(L&& loss, Metric metric = {})
      : loss_(std::forward<L>(loss)), metric_(std::move(metric)) {
    // A constant of the class: a member of each object says nothing of it.
    if constexpr (requires {
                    typename std::bool_constant<(std::string_view(std::remove_cvref_t<L>::name), true)>;
                  })
      name_ = std::remove_cvref_t<L>::name;
  }

  /// The name of the loss, where its class has one: `static constexpr std::string_view name`, as nn::MSELoss has; of
  /// others "of the program". A checkpoint holds it, so that a training that goes on can tell whether the loss is another
  /// one.
  std::string_view name() const noexcept { return name_; }
  /// Whether there is a metric.
  bool has_metric() const noexcept { return static_cast<bool>(metric_); }
  /// The loss of outputs y for targets t.
  /// Throws ShapeError where that is not one number.
  Tensor loss(const Tensor& y, const Tensor& t) const;
  /// NaN where there is no metric.
  double metric(const Tensor& y, const Tensor& t) const {
    return metric_ ? metric_(y, t) : std::numeric_limits<double>::quiet_NaN();
  }

 private:
  Loss loss_;
  std::string_view name_ = "of the program";
  Metric metric_;
};

/// Means over the items of a data set. NaN: not measured.
struct Score {
  double loss = std::numeric_limits<double>::quiet_NaN();    ///< the objective's loss
  double metric = std::numeric_limits<double>::quiet_NaN();  ///< the objective's metric
};

/// Computes a network's outputs for a batch: `[&](const nn::Batch& b) { return net(b.x, b["lengths"]); }`.
using Forward = Callback<Tensor(const Batch& batch)>;
/// net(batch["x"]). The network must outlive it.
TAPEGRAD_API Forward forward_of(Module& net);

/// Items in a batch that is evaluated, unless another number is given.
inline constexpr std::int64_t kEvaluationBatch = 1000;

/// The network's loss and metric on all of the data, in evaluation mode, in batches of at most `batch` items.
/// Each module has its mode again afterwards; nothing is recorded. A transform is applied to each batch, and `workers`
/// threads prepare batches ahead, as in_order does. Throws ArgumentError for data without items, inputs or targets.
TAPEGRAD_API Score evaluate(Module& net, const Dataset& data, const Objective& objective = {},
                            std::int64_t batch = kEvaluationBatch, const Transform& transform = {},
                            std::int64_t workers = 0);
/// The same of what `forward` computes with the network, which is put into evaluation mode.
TAPEGRAD_API Score evaluate(ModuleBase& net, const Forward& forward, const Dataset& data,
                            const Objective& objective = {}, std::int64_t batch = kEvaluationBatch,
                            const Transform& transform = {}, std::int64_t workers = 0);
/// The same, but returns nothing where `interrupted`, which another thread or a signal handler may set, is true
/// before a batch; null for never. Throws as evaluate.
TAPEGRAD_API std::optional<Score> evaluate_unless(const std::atomic<bool>* interrupted, ModuleBase& net,
                                                  const Forward& forward, const Dataset& data,
                                                  const Objective& objective = {},
                                                  std::int64_t batch = kEvaluationBatch,
                                                  const Transform& transform = {}, std::int64_t workers = 0);
/// The same by ranks, each of which takes a share of the batches; the score has the bits of the one above, on all
/// ranks. Where the network draws in evaluation, a batch does from generators of its own, made of the network's, so that
/// the score does not depend on the number of ranks. Generators are left as they were, and so are buffers of several
/// ranks. Collective: nothing is returned where one of them is interrupted. Throws ArgumentError on all ranks for other
/// numbers of items.
TAPEGRAD_API std::optional<Score> evaluate_unless(const std::atomic<bool>* interrupted,
                                                  Communicator& communicator, ModuleBase& net,
                                                  const Forward& forward, const Dataset& data,
                                                  const Objective& objective = {},
                                                  std::int64_t batch = kEvaluationBatch,
                                                  const Transform& transform = {}, std::int64_t workers = 0);

}  // namespace tapegrad::nn
