#pragma once

#include <span>

#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/samples.h>

/// The structs behind <tapegrad/ops/neural/norm.h>; <tapegrad/ops/op.h> explains the pattern.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

/// With z = (x - mean) / std and h = dL/dy gamma:  dL/dgamma = the sum over the batch of dL/dy z,
/// dL/dbeta that of dL/dy,  dL/dx = (h - mean(h) - z mean(h z)) / std
///
/// The statistics, f64 [2, features], are those of x: an input so that they are computed once and kept, but
/// not a variable. What depends on x through them is part of the gradient of x.
struct BatchNorm {
  static constexpr auto name = "batch_norm";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kIn3, kIn0 | kIn3, kNone, kNone);
  static constexpr bool composed = false;
  double eps = 1e-5;
  Tensor forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& statistics) const;
  static void vjp(VjpContext<BatchNorm>& ctx);
  static void vjp_fused(VjpContext<BatchNorm>& ctx);
  static void samples(Samples& s);
};

namespace detail {
/// The function of three variables that the checker moves.
struct BatchNormOfBatch {
  static constexpr bool is_composite = true;
  double eps = 1e-5;
  Tensor forward(std::span<const Tensor* const> in) const {
    return batch_norm(*in[0], *in[1], *in[2], eps).y;
  }
};
}  // namespace detail

inline void BatchNorm::samples(Samples& s) {
  const auto add = [&](std::int64_t rows, std::int64_t features) {
    s.add(detail::BatchNormOfBatch{}, {Shape{rows, features}, Shape{features}, Shape{features}});
  };
  add(3, 1);
  add(5, 3);
  add(4, 17);
  add(9, 2);
  add(263, 131);  // for several threads
  s.add(detail::BatchNormOfBatch{0.5}, {Shape{2, 2}, Shape{2}, Shape{2}}, "large eps");
  s.add(detail::BatchNormOfBatch{}, {SampleInput(Shape{6, 2}, {98, 102}), Shape{2}, Shape{2}},
        "far from zero");
}

}  // namespace TAPEGRAD_API
