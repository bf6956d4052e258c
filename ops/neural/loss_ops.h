#pragma once

#include <cstddef>

#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/samples.h>

/// The structs behind <tapegrad/ops/neural/loss.h>; <tapegrad/ops/op.h> explains the pattern.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

namespace detail {
/// Shapes for an op along an axis: the last, the first and one between, rows short and beyond a block.
template <class Op>
void axis_samples(Samples& s) {
  s.add(Op{.axis = 0}, {Shape{1}});
  s.add(Op{.axis = 0}, {Shape{7}});
  s.add(Op{.axis = 1}, {Shape{3, 5}});
  s.add(Op{.axis = 0}, {Shape{3, 5}});
  s.add(Op{.axis = 1}, {Shape{2, 3, 4}});
  s.add(Op{.axis = 1}, {Shape{2, 40}});
  s.add(Op{.axis = 1}, {Shape{263, 131}}, "for several threads");
  s.add(Op{.axis = 0}, {SampleInput::of(Tensor::from({1e4, 1e4 - 1, -1e4}, f64))}, "large");
}
}  // namespace detail

struct Softmax {  // with g = dL/dy:  dL/dx = y (g - sum g y)
  static constexpr auto name = "softmax";
  static constexpr auto saves = saves_for(kOut);
  static constexpr bool composed = false;
  std::size_t axis = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Softmax>& ctx);
  static void vjp_fused(VjpContext<Softmax>& ctx);
  static void samples(Samples& s) { detail::axis_samples<Softmax>(s); }
};

struct LogSoftmax {  // dL/dx = g - e^y sum g
  static constexpr auto name = "log_softmax";
  static constexpr auto saves = saves_for(kOut);
  static constexpr bool composed = false;
  std::size_t axis = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<LogSoftmax>& ctx);
  static void vjp_fused(VjpContext<LogSoftmax>& ctx);
  static void samples(Samples& s) { detail::axis_samples<LogSoftmax>(s); }
};

// ---- pairs ----

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
  }
};

struct HuberLoss : PairLoss<HuberLoss> {
  static constexpr auto name = "huber_loss";
  double delta = 1;
  explicit constexpr HuberLoss(double d = 1) : delta(d) {}
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
    s.add(
        HuberLoss(1),
        {SampleInput::of(Tensor::from({-3, -0.5, 0, 0.7, 2}, f64)), SampleInput::of(Tensor::zeros({5}, f64))},
        "both");
  }
};

struct BinaryCrossEntropyWithLogits : PairLoss<BinaryCrossEntropyWithLogits> {
  static constexpr auto name = "binary_cross_entropy_with_logits";
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  auto loss(auto x, auto t) const { return maximum(x, 0) - x * t + log1p(exp(-abs(x))); }
  auto dy(auto x, auto t) const { return 1 / (1 + exp(-x)) - t; }
  auto dt(auto x, auto) const { return -x; }
  static void samples(Samples& s) {
    const Domain probability{0.05, 0.95};
    s.add(BinaryCrossEntropyWithLogits{}, {Shape{}, SampleInput(Shape{}, probability)});
    s.add(BinaryCrossEntropyWithLogits{}, {Shape{4, 3}, SampleInput(Shape{4, 3}, probability)});
    s.add(BinaryCrossEntropyWithLogits{},
          {SampleInput::of(Tensor::from({-40, -1, 0, 1, 40}, f64)),
           SampleInput::of(Tensor::from({0, 1, 0.5, 0, 1}, f64))},
          "large logits");
  }
};

// ---- classes ----

/// L = -1/N sum_n sum_c t ln(y + 1e-7):  dL/dy = -t / (y + 1e-7) / N,  dL/dt = -ln(y + 1e-7) / N
struct CrossEntropy {
  static constexpr auto name = "cross_entropy";
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  static constexpr bool composed = false;
  static constexpr double kOffset = 1e-7;
  Tensor forward(const Tensor& y, const Tensor& t) const;
  static void vjp(VjpContext<CrossEntropy>& ctx);
  static void vjp_fused(VjpContext<CrossEntropy>& ctx);
  static void samples(Samples& s) {
    const Domain probability{0.1, 0.9};
    const auto indices = SampleInput::constant(Tensor::from({2, 0, 1, 2}, i64));
    s.add(CrossEntropy{}, {SampleInput(Shape{4, 3}, probability), SampleInput(Shape{4, 3}, probability)},
          "soft targets");
    s.add(CrossEntropy{}, {SampleInput(Shape{4, 3}, probability), indices}, "indices");
    s.add(CrossEntropy{}, {SampleInput(Shape{3}, probability), SampleInput::constant(Tensor::scalar(1, i64))},
          "one sample");
    s.add(CrossEntropy{}, {SampleInput(Shape{3}, probability), SampleInput(Shape{3}, probability)});
  }
};

/// L = -1/N sum_n sum_c t ln softmax(x):  dL/dx = (softmax(x) sum_c t - t) / N,  dL/dt = -ln softmax(x) / N
struct SoftmaxWithLoss {
  static constexpr auto name = "softmax_with_loss";
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x, const Tensor& t) const;
  static void vjp(VjpContext<SoftmaxWithLoss>& ctx);
  static void vjp_fused(VjpContext<SoftmaxWithLoss>& ctx);
  static void samples(Samples& s) {
    const Domain probability{0.05, 0.95};
    const auto indices = SampleInput::constant(Tensor::from({2, 0, 1, 2}, i64));
    s.add(SoftmaxWithLoss{}, {Shape{4, 3}, SampleInput(Shape{4, 3}, probability)}, "soft targets");
    s.add(SoftmaxWithLoss{}, {Shape{4, 3}, indices}, "indices");
    s.add(SoftmaxWithLoss{}, {Shape{2, 2, 3}, SampleInput::constant(Tensor::from({2, 0, 1, 2}, {2, 2}, i64))},
          "batch of two axes");
    s.add(SoftmaxWithLoss{}, {Shape{3}, SampleInput::constant(Tensor::scalar(1, i64))}, "one sample");
    s.add(SoftmaxWithLoss{}, {Shape{3}, SampleInput(Shape{3}, probability)});
    s.add(SoftmaxWithLoss{},
          {SampleInput::of(Tensor::from({{1e4, 1e4 - 1, -1e4}}, f64)),
           SampleInput::constant(Tensor::from({1}, i64))},
          "large logits");
  }
};

}  // namespace TAPEGRAD_API
