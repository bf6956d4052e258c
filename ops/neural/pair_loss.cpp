#include <algorithm>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/slope_ops.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/neural/write_gradient.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::add_nothing;
using detail::TensorAccess;
using detail::write_elements;

namespace op {

/// A loss that is a sum or a mean over pairs of elements, given by formulas over a generic number: loss(y,
/// t), and its derivatives dy(y, t) and dt(y, t). Instantiated for plain numbers they are the loops, for
/// tensors the rule.
template <class Op>
struct PairLoss {
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static constexpr bool composed = false;
  static constexpr bool is_mean = true;
  Tensor forward(const Tensor& y, const Tensor& t) const;
  static void vjp(VjpContext<Op>& ctx);
  static void vjp_fused(VjpContext<Op>& ctx);
};

struct MseLoss : PairLoss<MseLoss> {
  static constexpr auto name = "mse_loss";
  auto loss(auto y, auto t) const { return (y - t) * (y - t); }
  auto dy(auto y, auto t) const { return 2 * (y - t); }
  auto dt(auto y, auto t) const { return 2 * (t - y); }
  static void samples(Samples& s) {
    s.add(MseLoss{}, {Shape{}, Shape{}});
    s.add(MseLoss{}, {Shape{4, 3}, Shape{4, 3}});
    s.add(MseLoss{}, {Shape{2, 35}, Shape{2, 35}});
    s.add(MseLoss{}, {Shape{263, 131}, Shape{263, 131}}, "for several threads");
  }
};

struct HalfSumSquaredError : PairLoss<HalfSumSquaredError> {
  static constexpr auto name = "half_sum_squared_error";
  static constexpr bool is_mean = false;
  auto loss(auto y, auto t) const { return 0.5 * (y - t) * (y - t); }
  auto dy(auto y, auto t) const { return y - t; }
  auto dt(auto y, auto t) const { return t - y; }
  static void samples(Samples& s) {
    s.add(HalfSumSquaredError{}, {Shape{}, Shape{}});
    s.add(HalfSumSquaredError{}, {Shape{4, 3}, Shape{4, 3}});
    s.add(HalfSumSquaredError{}, {Shape{2, 35}, Shape{2, 35}});
    s.add(HalfSumSquaredError{}, {Shape{263, 131}, Shape{263, 131}}, "for several threads");
  }
};

struct HuberLoss : PairLoss<HuberLoss> {
  static constexpr auto name = "huber_loss";
  double delta = 1;
  explicit constexpr HuberLoss(double d = 1) : delta(d) {}
  void describe(AttributeVisitor& v) const { v("delta", delta); }
  auto loss(auto y, auto t) const {
    auto d = abs(y - t);
    return where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta));
  }
  auto dy(auto y, auto t) const { return minimum(maximum(y - t, -delta), delta); }
  auto dt(auto y, auto t) const { return minimum(maximum(t - y, -delta), delta); }
  static void samples(Samples& s) {
    // No difference of two elements comes near +-delta, where the second derivative jumps.
    s.add(HuberLoss(0.5), {SampleInput(Shape{4, 3}, {0.2, 1}), SampleInput(Shape{4, 3}, {-2, -0.8})},
          "beyond delta");
    s.add(HuberLoss(0.5), {SampleInput(Shape{4, 3}, {-2, -0.8}), SampleInput(Shape{4, 3}, {0.2, 1})},
          "beyond -delta");
    s.add(HuberLoss(4.5), {Shape{4, 3}, Shape{4, 3}}, "within delta");
    s.add(HuberLoss(4.5), {Shape{263, 131}, Shape{263, 131}}, "for several threads");
    s.add(
        HuberLoss(1),
        {SampleInput::of(Tensor::from({-3, -0.5, 0, 0.7, 2}, f64)), SampleInput::of(Tensor::zeros({5}, f64))},
        "both");
  }
};

struct BinaryCrossEntropyWithLogits : PairLoss<BinaryCrossEntropyWithLogits> {
  static constexpr auto name = "binary_cross_entropy_with_logits";
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  auto loss(auto x, auto t) const {
    const auto wrong = where(x > 0, 1 - t, t);  // how far the sign of x is from the target
    return where(wrong == 0, 0, wrong * abs(x)) + log1p(exp(-abs(x)));
  }
  auto dy(auto x, auto t) const { return LogitResidual{}.f(x, t); }
  auto dy(const Tensor& x, const Tensor& t) const { return apply_op(LogitResidual{}, x, t); }
  auto dt(auto x, auto) const { return -x; }
  static void samples(Samples& s) {
    const Domain probability{0.05, 0.95};
    s.add(BinaryCrossEntropyWithLogits{}, {Shape{}, SampleInput(Shape{}, probability)});
    s.add(BinaryCrossEntropyWithLogits{}, {Shape{4, 3}, SampleInput(Shape{4, 3}, probability)});
    s.add(BinaryCrossEntropyWithLogits{}, {Shape{263, 131}, SampleInput(Shape{263, 131}, probability)},
          "for several threads");
    s.add(BinaryCrossEntropyWithLogits{},
          {SampleInput::of(Tensor::from({-40, -1, 0, 1, 40}, f64)),
           SampleInput::of(Tensor::from({0, 1, 0.5, 0, 1}, f64))},
          "large logits");
    s.uncertain_from(2);
    s.add(BinaryCrossEntropyWithLogits{},
          {SampleInput::of(Tensor::from({-1000, 1000}, f64)),
           SampleInput::constant(Tensor::from({0.25, 0.25}, f64))},
          "logits whose exponential is infinite");
    s.uncertain_from(2);
  }
};

/// The losses of the elements by themselves.
template <class Loss>
struct Elements {
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = Loss::saves;
  Loss loss{};
  void describe(AttributeVisitor& v) const {
    if constexpr (requires { loss.describe(v); }) loss.describe(v);
  }
  auto f(auto y, auto t) const { return loss.loss(y, t); }
  auto vjp0(auto g, auto y, auto t, auto) const { return g * loss.dy(y, t); }
  auto vjp1(auto g, auto y, auto t, auto) const { return g * loss.dt(y, t); }
};

struct MseLossElements : Elements<MseLoss> {
  static constexpr auto name = "mse_loss_elements";
  static void samples(Samples& s) { s.binary(MseLossElements{}, {-2, 2}, {-2, 2}); }
};

struct HuberLossElements : Elements<HuberLoss> {
  static constexpr auto name = "huber_loss_elements";
  static void samples(Samples& s) {
    s.binary(HuberLossElements{HuberLoss(0.5)}, {0.2, 1}, {-2, -0.8});
    s.binary(HuberLossElements{HuberLoss(4.5)}, {-2, 2}, {-2, 2});
  }
};

struct BinaryCrossEntropyWithLogitsElements : Elements<BinaryCrossEntropyWithLogits> {
  static constexpr auto name = "binary_cross_entropy_with_logits_elements";
  static void samples(Samples& s) { s.binary(BinaryCrossEntropyWithLogitsElements{}, {-3, 3}, {0.05, 0.95}); }
};

}  // namespace op

namespace {

void require_pair(const char* op, const Tensor& y, const Tensor& t) {
  detail::require_floating(op, y, "predictions");
  detail::require_same_dtype(op, y, t, "predictions", "targets");
  if (y.shape() != t.shape())
    throw ShapeError(
        fmt::format("{}: predictions {} and targets {} must have the same shape (they are not broadcast)",
                    op_label(op), to_string(y.shape()), to_string(t.shape())));
}

Tensor reduced(const Tensor& elements, Reduction reduction) {
  if (reduction == Reduction::none) return elements;
  return reduction == Reduction::sum ? sum(elements) : mean(elements);
}

/// A loss with the reduction that is asked for.
template <class ElementsOp, class Loss>
Tensor reduced(const Loss& loss, const Tensor& y, const Tensor& t, Reduction reduction) {
  if (reduction == Reduction::mean) return apply_op(loss, y, t);
  require_pair(Loss::name, y, t);
  return reduced(apply_op(ElementsOp{loss}, y, t), reduction);
}

/// Throws ArgumentError where an element is outside [0, 1] by more than `slack`; a NaN may be a probability.
void require_probabilities(const char* op, const char* what, const Tensor& p, double slack,
                           const char* advice) {
  const auto is_one = [slack]<class T>(T v) {
    return (v >= static_cast<T>(-slack) && v <= static_cast<T>(1 + slack)) || v != v;
  };
  if (!p.defined() || !is_floating(p.dtype()) || detail::all_hold(p, is_one)) return;
  visit_floating(p.dtype(), [&]<class T> {
    const T* const v = TensorAccess::data_as<T>(p);
    const T* const bad = std::find_if_not(v, v + p.size(), is_one);
    throw ArgumentError(fmt::format("{}: element {} of the {} {} is {}, no probability; {}", op_label(op),
                                    bad - v, what, to_string(p.shape()), *bad, advice));
  });
}

void require_binary_targets(const char* op, const Tensor& t) {
  require_probabilities(op, "targets", t, detail::kFarthestFromProbability,
                        "for numbers take mse_loss (nn::MSELoss)");
}

void require_pos_weight(const char* op, const Tensor& x, const Tensor& weight) {
  detail::require_same_dtype(op, x, weight, "predictions", "pos_weight");
  if (!broadcasts_to(weight.shape(), x.shape()))
    throw ShapeError(
        fmt::format("{}: pos_weight {} does not broadcast to predictions {}; it takes one number "
                    "for each class, as [classes]",
                    op_label(op), to_string(weight.shape()), to_string(x.shape())));
  if (!detail::all_hold(weight, [](auto w) { return w >= 0 && w - w == 0; }))
    throw ArgumentError(
        fmt::format("{}: pos_weight has an element that is negative or not finite", op_label(op)));
}

}  // namespace

template <class Op>
Tensor op::PairLoss<Op>::forward(const Tensor& y, const Tensor& t) const {
  const Op& op = static_cast<const Op&>(*this);
  require_pair(Op::name, y, t);
  if (Op::is_mean && y.size() == 0)
    throw ArgumentError(fmt::format("{}: predictions {} have no elements; their mean is not defined",
                                    op_label(Op::name), to_string(y.shape())));
  return visit_floating(y.dtype(), [&]<class T> {
    const T* a = TensorAccess::data_as<T>(y);
    const T* b = TensorAccess::data_as<T>(t);
    const double total = detail::sum_terms<T>(
        y.size(), [&](std::int64_t i) { return op.loss(detail::Real<T>{a[i]}, detail::Real<T>{b[i]}).v; });
    if (!Op::is_mean) return Tensor::scalar(total, y.dtype());
    const auto n = static_cast<double>(y.size());
    if (std::isfinite(total)) return Tensor::scalar(total / n, y.dtype());
    // A sum may be infinite whose mean is not.
    return Tensor::scalar(
        detail::sum_terms<double>(y.size(),
                                  [&](std::int64_t i) {
                                    const T l = op.loss(detail::Real<T>{a[i]}, detail::Real<T>{b[i]}).v;
                                    return static_cast<double>(l) / n;
                                  }),
        y.dtype());
  });
}

template <class Op>
void op::PairLoss<Op>::vjp(VjpContext<Op>& ctx) {
  const auto size = static_cast<double>(ctx.input_shape(0).size());
  const Tensor g = Op::is_mean ? ctx.grad_output() / size : ctx.grad_output();
  const auto t = [&] {
    if constexpr (Op::saves[1] & kIn1)
      return ctx.template input<1>();
    else
      return detail::NotSaved{};
  };
  const auto add = [&](std::size_t i, const Tensor& d) { ctx.add(i, detail::contribution(g, g * d)); };
  if (ctx.needs_grad(0)) add(0, ctx.op().dy(ctx.template input<0>(), ctx.template input<1>()));
  if (ctx.needs_grad(1)) add(1, ctx.op().dt(ctx.template input<0>(), t()));
}

template <class Op>
void op::PairLoss<Op>::vjp_fused(VjpContext<Op>& ctx) {
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const std::int64_t n = ctx.input_shape(0).size();
    const T g = *TensorAccess::data_as<T>(ctx.grad_output());
    const detail::Real<T> scale{Op::is_mean ? g / static_cast<T>(n) : g};
    if (scale.v == T{0}) return add_nothing(ctx);
    const Tensor y = ctx.template input<0>();
    const T* a = TensorAccess::data_as<T>(y);
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.template input<1>();
      const T* b = TensorAccess::data_as<T>(t);
      write_elements<T>(ctx, 0, [&](std::int64_t j) {
        return (scale * ctx.op().dy(detail::Real<T>{a[j]}, detail::Real<T>{b[j]})).v;
      });
    }
    if (ctx.needs_grad(1)) {
      if constexpr (Op::saves[1] & kIn1) {
        const Tensor t = ctx.template input<1>();
        const T* b = TensorAccess::data_as<T>(t);
        write_elements<T>(ctx, 1, [&](std::int64_t j) {
          return (scale * ctx.op().dt(detail::Real<T>{a[j]}, detail::Real<T>{b[j]})).v;
        });
      } else {
        write_elements<T>(ctx, 1, [&](std::int64_t j) {
          return (scale * ctx.op().dt(detail::Real<T>{a[j]}, detail::NotSaved{})).v;
        });
      }
    }
  });
}

Tensor mse_loss(const Tensor& y, const Tensor& t) { return apply_op(op::MseLoss{}, y, t); }
Tensor half_sum_squared_error(const Tensor& y, const Tensor& t) {
  return apply_op(op::HalfSumSquaredError{}, y, t);
}

Tensor sum_squared_error(const Tensor& y, const Tensor& t) {
  const auto classes = detail::Classes::checked("sum_squared_error", "outputs", y, t);
  const Tensor total = half_sum_squared_error(y, detail::as_weights(t, classes, y.dtype()));
  return classes.rows == 1 ? total : total / static_cast<double>(classes.rows);
}
Tensor huber_loss(const Tensor& y, const Tensor& t, double delta) { return huber_loss(y, t, delta, {}); }
Tensor huber_loss(const Tensor& y, const Tensor& t, double delta, const LossOptions& options) {
  if (!(delta > 0 && std::isfinite(delta)))
    throw ArgumentError(
        fmt::format("{}: delta is {}; it must be positive and finite", op_label(op::HuberLoss::name), delta));
  return reduced<op::HuberLossElements>(op::HuberLoss(delta), y, t, options.reduction);
}
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t) {
  require_binary_targets(op::BinaryCrossEntropyWithLogits::name, t);
  return apply_op(op::BinaryCrossEntropyWithLogits{}, x, t);
}

Tensor mse_loss(const Tensor& y, const Tensor& t, const LossOptions& options) {
  return reduced<op::MseLossElements>(op::MseLoss{}, y, t, options.reduction);
}
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t, const BinaryLossOptions& options) {
  using Loss = op::BinaryCrossEntropyWithLogits;
  const Tensor& weight = options.pos_weight;
  require_binary_targets(Loss::name, t);
  if (!weight.defined())
    return reduced<op::BinaryCrossEntropyWithLogitsElements>(Loss{}, x, t, options.reduction);
  require_pair(Loss::name, x, t);
  require_pos_weight(Loss::name, x, weight);
  return detail::named(Loss::name, [&] {
    // What a target of 0 or 1, or a weight of 0, leaves out adds nothing, also at an infinite logit.
    const Tensor of_positive = softplus(-x), of_negative = softplus(x);
    const Tensor share = weight.detach() * t;
    const Tensor positive = where((share == 0) * isinf(of_positive), 0, share * of_positive);
    const Tensor negative = where((t == 1) * isinf(of_negative), 0, (1 - t) * of_negative);
    return reduced(positive + negative, options.reduction);
  });
}

namespace {

/// The logarithm of a probability, `log`, not below -100 and not steeper than 1e12: so a wrong certainty is a finite
/// loss, with a gradient that leads away.
Tensor limited(const Tensor& probability, const Tensor& log) {
  constexpr double kSteepest = 1e12;
  const Tensor value = maximum(log.detach(), -100);
  return where(probability < 1 / kSteepest, value + kSteepest * (probability - probability.detach()), log);
}

}  // namespace

Tensor binary_cross_entropy(const Tensor& y, const Tensor& t, const LossOptions& options) {
  constexpr const char* kName = "binary_cross_entropy";
  require_pair(kName, y, t);
  require_probabilities(kName, "predictions", y, 0, "for logits there is binary_cross_entropy_with_logits");
  require_binary_targets(kName, t);
  return detail::named(kName, [&] {
    return reduced(-(t * limited(y, log(y)) + (1 - t) * limited(1 - y, log1p(-y))), options.reduction);
  });
}

Tensor l1_loss(const Tensor& y, const Tensor& t, const LossOptions& options) {
  require_pair("l1_loss", y, t);
  return detail::named("l1_loss", [&] { return reduced(abs(y - t), options.reduction); });
}

template const OpInfo& detail::info_of<op::MseLossElements>();
template const OpInfo& detail::info_of<op::HuberLossElements>();
template const OpInfo& detail::info_of<op::BinaryCrossEntropyWithLogitsElements>();
template const OpInfo& detail::info_of<op::MseLoss>();
template const OpInfo& detail::info_of<op::HalfSumSquaredError>();
template const OpInfo& detail::info_of<op::HuberLoss>();
template const OpInfo& detail::info_of<op::BinaryCrossEntropyWithLogits>();

}  // namespace tapegrad
