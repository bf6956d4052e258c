#include <cmath>
#include <optional>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

/// Losses of classes with options: smoothing, weights and ignored samples are put into targets of probabilities, which
/// the losses without options take as they are.
namespace tapegrad {

namespace {

bool plain(const ClassLossOptions& o) {
  return o.reduction == Reduction::mean && o.label_smoothing == 0 && !o.weight.defined() && !o.ignore_index;
}

void require_options(const char* op, const Tensor& scores, const Tensor& t, const ClassLossOptions& o) {
  if (!(o.label_smoothing >= 0 && o.label_smoothing <= 1))
    throw ArgumentError(
        fmt::format("{}: label_smoothing {} is outside [0, 1]", op_label(op), o.label_smoothing));
  if (o.ignore_index && t.dtype() != i64)
    throw ArgumentError(fmt::format("{}: ignore_index {} beside targets of {}; it takes class indices of i64",
                                    op_label(op), *o.ignore_index, name_of(t.dtype())));
  if (!o.weight.defined()) return;
  detail::require_same_dtype(op, scores, o.weight, "scores", "weight");
  if (o.weight.shape() != Shape{scores.shape().dim(-1)})
    throw ShapeError(fmt::format("{}: weight {} does not fit scores {}; it takes [{}], one for each class",
                                 op_label(op), to_string(o.weight.shape()), to_string(scores.shape()),
                                 scores.shape().dim(-1)));
  visit_floating(o.weight.dtype(), [&]<class T> {
    const std::span<const T> weights = o.weight.values<T>();
    for (std::size_t c = 0; c < weights.size(); ++c)
      if (!(weights[c] >= T{0} && std::isfinite(weights[c])))
        throw ArgumentError(
            fmt::format("{}: the weight of class {} is {}; it must be finite and not negative", op_label(op),
                        c, weights[c]));
  });
}

/// The targets as a number for each class of each sample, and what the mean divides by where that is not the number of
/// samples, which a model of any batch does not know.
struct WeighedTargets {
  Tensor t;
  std::optional<double> divisor{};

  WeighedTargets(const char* op, const char* what, const Tensor& scores, const Tensor& targets,
                 const ClassLossOptions& o) {
    detail::require_defined(op, scores);
    detail::require_defined(op, targets);
    const bool indices = targets.dtype() == i64;
    Tensor kept;
    Tensor labels = targets;
    if (o.ignore_index && indices) {
      kept = cast(targets != static_cast<double>(*o.ignore_index), f64);
      labels = where(kept, targets, 0);
    }
    (void)detail::Classes::checked(op, what, scores, labels);
    require_options(op, scores, targets, o);

    const std::int64_t classes = scores.shape().dim(-1);
    const Tensor weight = o.weight.defined() ? o.weight.detach() : Tensor{};
    t = indices ? one_hot(labels, classes, scores.dtype()) : targets;
    // Read where a mean needs it alone: save_onnx refuses what reads of its inputs.
    if (o.reduction == Reduction::mean && indices && (kept.defined() || weight.defined())) {
      Tensor counted = kept.defined() ? kept : Tensor::ones(labels.shape(), f64);
      if (weight.defined())
        counted = counted * cast(reshape(index_select(weight, 0, flatten(labels)), labels.shape()), f64);
      divisor = sum(counted).item();
      if (!(*divisor > 0))
        throw ArgumentError(
            fmt::format("{}: all targets {} are ignored or weigh nothing; their mean is not defined",
                        op_label(op), to_string(labels.shape())));
    }
    if (o.label_smoothing != 0)
      t = t * (1 - o.label_smoothing) + o.label_smoothing / static_cast<double>(classes);
    if (weight.defined()) t = t * weight;
    if (kept.defined()) t = t * cast(unsqueeze(kept, -1), scores.dtype());
  }
};

/// -sum_c t_c logs_c of each sample, where a t of 0 adds nothing to the value, also beside an infinite logarithm.
Tensor by_sample(const Tensor& t, const Tensor& logs) {
  if (!t.tracked()) return -sum(where(t == 0, 0, t * logs), -1);
  return -sum(t * where(t == 0, where(isfinite(logs), logs, 0), logs), -1);
}

/// The mean over the samples, as the losses without options give it, made a sum or a weighed mean.
Tensor reduced(const Tensor& mean, const Tensor& scores, const WeighedTargets& targets, Reduction reduction) {
  const double samples = static_cast<double>(scores.size() / scores.shape().dim(-1));
  const double factor = reduction == Reduction::sum ? samples : samples / targets.divisor.value_or(samples);
  return factor == 1 ? mean : mean * factor;
}

/// Of probabilities, which may have been rounded.
void require_logarithms(const Tensor& y) {
  if (detail::all_hold(y, []<class T>(T v) { return v <= static_cast<T>(1e-3) || v != v; })) return;
  throw ArgumentError(fmt::format(
      "nll_loss: logarithms of probabilities {} have an element of {}, above 0; it takes log_softmax(x) of logits x, "
      "for which there is softmax_with_loss, or log(p) of probabilities p",
      to_string(y.shape()), max(y.detach()).item()));
}

}  // namespace

Tensor cross_entropy(const Tensor& y, const Tensor& t, const ClassLossOptions& o) {
  if (plain(o)) return cross_entropy(y, t);
  const WeighedTargets targets("cross_entropy", "probabilities", y, t, o);
  detail::require_classification("cross_entropy", "probabilities", y, t);
  if (o.reduction == Reduction::none) return by_sample(targets.t, log(y + detail::kCrossEntropyOffset));
  return reduced(detail::weighed_cross_entropy(y, targets.t), y, targets, o.reduction);
}

Tensor softmax_with_loss(const Tensor& x, const Tensor& t, const ClassLossOptions& o) {
  if (plain(o)) return softmax_with_loss(x, t);
  const WeighedTargets targets("softmax_with_loss", "logits", x, t, o);
  detail::require_classification("softmax_with_loss", "logits", x, t);
  if (o.reduction == Reduction::none) return by_sample(targets.t, log_softmax(x));
  return reduced(detail::weighed_softmax_with_loss(x, targets.t), x, targets, o.reduction);
}

Tensor nll_loss(const Tensor& y, const Tensor& t, const ClassLossOptions& o) {
  const WeighedTargets targets("nll_loss", "logarithms of probabilities", y, t, o);
  detail::require_classification("nll_loss", "logarithms of probabilities", y, t);
  require_logarithms(y);
  return detail::named("nll_loss", [&] {
    const Tensor losses = by_sample(targets.t, y);
    if (o.reduction == Reduction::none) return losses;
    if (o.reduction == Reduction::sum) return sum(losses);
    return targets.divisor ? sum(losses) / *targets.divisor : mean(losses);
  });
}

Tensor sum_squared_error(const Tensor& y, const Tensor& t, const LossOptions& o) {
  if (o.reduction == Reduction::mean) return sum_squared_error(y, t);
  const WeighedTargets targets("sum_squared_error", "outputs", y, t, {.reduction = o.reduction});
  if (o.reduction == Reduction::sum) return half_sum_squared_error(y, targets.t);
  return 0.5 * sum(square(y - targets.t), -1);
}

}  // namespace tapegrad
