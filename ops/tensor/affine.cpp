#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/kernels/gemm/gradient_product.h>
#include <tapegrad/ops/loops/reduce.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/gradient_matmul.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

struct Affine {  // Y = X W + b:  dX = dY W^T,  dW = X^T dY,  db = the sum of the rows of dY
  static constexpr auto name = "affine";
  static constexpr auto saves = saves_for(kIn1, kIn0, kNone);
  static constexpr std::uint8_t optional_inputs = 0b100;  // the bias
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias) const;
  static void vjp(VjpContext<Affine>& ctx);
  static void vjp_fused(VjpContext<Affine>& ctx);
  static void samples(Samples& s) {
    s.add(Affine{}, {Shape{4, 3}, Shape{3, 2}, Shape{2}});
    s.add(Affine{}, {Shape{3}, Shape{3, 2}, Shape{2}}, "one sample");
    s.add(Affine{}, {Shape{2, 2, 3}, Shape{3, 2}, Shape{2}}, "batch of two axes");
    s.add(Affine{}, {Shape{1, 1}, Shape{1, 1}, Shape{1}});
    s.add(Affine{}, {Shape{9, 8}, Shape{8, 11}, Shape{11}}, "beyond the plain loop");
    s.add(Affine{}, {Shape{131, 131}, Shape{131, 139}, Shape{139}}, "for several threads");
    s.add(Affine{}, {Shape{4, 3}, Shape{3, 2}, SampleInput::absent()}, "without bias");
  }
};

}  // namespace op

using detail::Destination;
using detail::gemm;
using detail::GemmStart;
using detail::Gradient;
using detail::gradient_matmul;
using detail::gradient_product;
using detail::reshaped;
using detail::sum_rows;
using detail::TensorAccess;

namespace {

/// The number of rows of x [..., columns].
std::int64_t rows_of(const Shape& x) {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < x.rank(); ++i) rows *= x[i];
  return rows;
}

}  // namespace

Tensor op::Affine::forward(const Tensor& x, const Tensor& weight, const Tensor& bias) const {
  detail::require_same_dtype(name, x, weight, "input", "weight");
  detail::require_floating(name, x, "operands");
  if (bias.defined()) detail::require_same_dtype(name, x, bias, "input", "bias");
  if (weight.rank() != 2)
    throw ShapeError(
        fmt::format("{}: weight {} must be a matrix [in, out]", op_label(name), to_string(weight.shape())));
  const std::int64_t in = weight.shape()[0];
  const std::int64_t out = weight.shape()[1];
  if (bias.defined() && (bias.rank() != 1 || bias.size() != out))
    throw ShapeError(fmt::format("{}: bias {} does not fit weight {}, which expects [{}]", op_label(name),
                                 to_string(bias.shape()), to_string(weight.shape()), out));
  if (x.rank() == 0)
    throw ShapeError(fmt::format("{}: input is a scalar, weight {} expects a last dimension of {}",
                                 op_label(name), to_string(weight.shape()), in));
  const std::size_t last = x.rank() - 1;
  if (x.shape()[last] != in)
    throw ShapeError(fmt::format("{}: input {} has last dimension {}, weight {} expects {}", op_label(name),
                                 to_string(x.shape()), x.shape()[last], to_string(weight.shape()), in));
  Tensor y = Tensor::empty(x.shape().with(last, out), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    gemm({.m = rows_of(x.shape()), .n = out, .k = in}, T{1}, TensorAccess::data_as<T>(x),
         TensorAccess::data_as<T>(weight),
         GemmStart<T>{.bias = bias.defined() ? TensorAccess::data_as<T>(bias) : nullptr},
         TensorAccess::data_as<T>(y));
  });
  return y;
}

void op::Affine::vjp(VjpContext<Affine>& ctx) {
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(0))
    ctx.add(0, gradient_matmul(Gradient::left, g, ctx.input<1>(), {.transpose_b = true}));
  if (ctx.needs_grad(1)) {
    const Shape w = ctx.input_shape(1);
    const std::int64_t rows = rows_of(ctx.input_shape(0));
    ctx.add(1, gradient_matmul(Gradient::right, reshaped(ctx.input<0>(), {rows, w[0]}),
                               reshaped(g, {rows, w[1]}), {.transpose_a = true}));
  }
  if (ctx.needs_grad(2)) ctx.add(2, detail::sum_to_shape(g, ctx.input_shape(2)));
}

void op::Affine::vjp_fused(VjpContext<Affine>& ctx) {
  const std::int64_t rows = rows_of(ctx.input_shape(0));
  const std::int64_t in = ctx.input_shape(1)[0];
  const std::int64_t out = ctx.input_shape(1)[1];
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T* g = TensorAccess::data_as<T>(ctx.grad_output());
    if (ctx.needs_grad(0)) {
      const Tensor weight = ctx.input<1>();
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        gradient_product({.m = rows, .n = in, .k = out, .transpose_b = true}, g,
                         TensorAccess::data_as<T>(weight), Gradient::left, to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.input<0>();
      ctx.accumulate<T>(1, [&](Destination<T> to) {
        gradient_product({.m = in, .n = out, .k = rows, .transpose_a = true}, TensorAccess::data_as<T>(x), g,
                         Gradient::right, to);
      });
    }
    if (ctx.needs_grad(2)) ctx.accumulate<T>(2, [&](Destination<T> to) { sum_rows(g, rows, out, to); });
  });
}

Tensor affine(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return apply_op(op::Affine{}, x, weight, bias);
}

template const OpInfo& detail::info_of<op::Affine>();

}  // namespace tapegrad
