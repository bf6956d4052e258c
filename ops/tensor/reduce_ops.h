#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

/// The structs behind <tapegrad/ops/tensor/reduce.h>; <tapegrad/ops/op.h> explains the pattern. In the
/// formulas n is the number of elements behind one output, and an output beside x stands for its value at x's
/// place.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

/// The attributes of a reduction.
struct Reduction {
  AxisMask axes = 0;
  bool keepdims = false;
};

namespace detail {
/// Every kind of axes a reduction may meet, over sizes beyond a block of its loops.
template <class Op>
void reduction_samples(Samples& s, Op op, SampleInput (*input)(const Shape&)) {
  const auto add = [&](AxisMask axes, bool keepdims, const Shape& shape) {
    op.axes = axes;
    op.keepdims = keepdims;
    s.add(op, {input(shape)});
  };
  add(0b1, false, {7});          // everything
  add(0b1, true, {1031});        // more than a block
  add(0b11, false, {3, 5});      // everything, of two axes
  add(0b10, false, {3, 5});      // a run
  add(0b01, true, {5, 3});       // narrow rows
  add(0b01, false, {300, 2});    // the same, many
  add(0b01, false, {67, 35});    // rows
  add(0b010, false, {2, 5, 3});  // the middle
  add(0b101, true, {3, 4, 5});   // all but the middle
  add(0b1010, false, {2, 3, 2, 3});
  add(0b10, false, {131, 263});  // for several threads
  add(0b01, false, {263, 131});
  add(0b11, false, {131, 263});
}
}  // namespace detail

struct Sum : Reduction {  // dy/dx = 1
  static constexpr auto name = "sum";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Sum>& ctx);
  static void vjp_fused(VjpContext<Sum>& ctx);
  static void samples(Samples& s) {
    s.add(Sum{}, {Shape{}});
    detail::reduction_samples(s, Sum{}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct Mean : Reduction {  // dy/dx = 1 / n
  static constexpr auto name = "mean";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Mean>& ctx);
  static void vjp_fused(VjpContext<Mean>& ctx);
  static void samples(Samples& s) {
    s.add(Mean{}, {Shape{}});
    detail::reduction_samples(s, Mean{}, [](const Shape& x) { return SampleInput(x); });
  }
};

/// dy/dx is the product of all others: computed as such, so that zeros do no harm.
struct Prod : Reduction {
  static constexpr auto name = "prod";
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Prod>& ctx);
  static void vjp_fused(VjpContext<Prod>& ctx);
  static void samples(Samples& s) {
    // Near 1, so that the product of a thousand stays a number of ordinary size.
    detail::reduction_samples(s, Prod{}, [](const Shape& x) { return SampleInput(x, {0.95, 1.05}); });
    s.add(Prod{{0b1, false}}, {SampleInput::of(Tensor::from({2, 0, -3, 0.5}, f64))}, "one zero");
    s.add(Prod{{0b10, false}}, {SampleInput::of(Tensor::from({{2, 0, 3}, {0, 1, 0}}, f64))}, "two zeros");
  }
};

struct Max : Reduction {  // dy/dx = (x == y) / how many are
  static constexpr auto name = "max";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  Tensor branches(std::span<const Tensor* const> in) const;  // which elements are the result
  static void vjp(VjpContext<Max>& ctx);
  static void vjp_fused(VjpContext<Max>& ctx);
  static void samples(Samples& s) {
    detail::reduction_samples(s, Max{}, [](const Shape& x) { return SampleInput::distinct(x); });
    s.convention(Max{{.axes = 0b1}}, {{3, 3, 1, 3, 3}}, {{0.25, 0.25, 0, 0.25, 0.25}});
  }
};

struct Min : Reduction {
  static constexpr auto name = "min";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  Tensor branches(std::span<const Tensor* const> in) const;  // which elements are the result
  static void vjp(VjpContext<Min>& ctx);
  static void vjp_fused(VjpContext<Min>& ctx);
  static void samples(Samples& s) {
    detail::reduction_samples(s, Min{}, [](const Shape& x) { return SampleInput::distinct(x); });
    s.convention(Min{{.axes = 0b1}}, {{1, 1, 3, 1, 1}}, {{0.25, 0.25, 0, 0.25, 0.25}});
  }
};

struct ArgMax : Reduction {
  static constexpr auto name = "argmax";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void samples(Samples& s) {
    detail::reduction_samples(s, ArgMax{}, [](const Shape& x) { return SampleInput::distinct(x); });
  }
};

struct ArgMin : Reduction {
  static constexpr auto name = "argmin";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void samples(Samples& s) {
    detail::reduction_samples(s, ArgMin{}, [](const Shape& x) { return SampleInput::distinct(x); });
  }
};

struct Var : Reduction {  // dy/dx = 2 (x - mean) / (n - ddof)
  static constexpr auto name = "var";
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool composed = false;
  std::int64_t ddof = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Var>& ctx);
  static void vjp_fused(VjpContext<Var>& ctx);
  static void samples(Samples& s) {
    detail::reduction_samples(s, Var{}, [](const Shape& x) { return SampleInput(x); });
    detail::reduction_samples(s, Var{{}, 1}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct Std : Reduction {  // dy/dx = (x - mean) / ((n - ddof) y)
  static constexpr auto name = "std";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  std::int64_t ddof = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Std>& ctx);
  static void vjp_fused(VjpContext<Std>& ctx);
  static void samples(Samples& s) {
    detail::reduction_samples(s, Std{}, [](const Shape& x) { return SampleInput(x); });
    detail::reduction_samples(s, Std{{}, 1}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct LogSumExp : Reduction {  // dy/dx = e^(x - y)
  static constexpr auto name = "logsumexp";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<LogSumExp>& ctx);
  static void vjp_fused(VjpContext<LogSumExp>& ctx);
  static void samples(Samples& s) {
    detail::reduction_samples(s, LogSumExp{}, [](const Shape& x) { return SampleInput(x); });
    s.add(LogSumExp{{0b1, false}}, {SampleInput::of(Tensor::from({1e4, 1e4 - 1, -1e4}, f64))}, "large");
    s.uncertain_from(3);
  }
};

struct Norm : Reduction {  // dy/dx = x / y
  static constexpr auto name = "norm";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Norm>& ctx);
  static void samples(Samples& s) {
    s.add(Norm{}, {SampleInput(Shape{}, {0.5, 2})});
    s.uncertain_from(3);
    detail::reduction_samples(s, Norm{}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct CumSum {  // the gradient is the running sum from the other end
  static constexpr auto name = "cumsum";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  bool reverse = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<CumSum>& ctx);
  static void samples(Samples& s) {
    s.add(CumSum{}, {Shape{1}});
    s.add(CumSum{}, {Shape{601}});
    s.add(CumSum{}, {Shape{5, 3}});
    s.add(CumSum{.axis = 1, .reverse = true}, {Shape{3, 5}});
    s.add(CumSum{.axis = 1}, {Shape{2, 3, 5}});
  }
};

}  // namespace TAPEGRAD_API
