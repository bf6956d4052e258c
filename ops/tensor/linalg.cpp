#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/kernels/gemm/gradient_product.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/gradient_matmul.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

struct Matmul : MatmulOptions {  // Y = A B:  dA = dY B^T,  dB = A^T dY
  /// Which operands are gradients, whose zeros make a product 0 whatever they are multiplied by, as nothing may come
  /// from an element that has no gradient. In recorded rules alone.
  detail::Gradient gradient = detail::Gradient::none;
  void describe(AttributeVisitor& v) const {
    v("transpose_a", transpose_a), v("transpose_b", transpose_b);
    if (gradient != detail::Gradient::none) v("gradient", static_cast<std::int64_t>(gradient));
  }
  static constexpr auto name = "matmul";
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& a, const Tensor& b) const;
  static void vjp(VjpContext<Matmul>& ctx);
  static void vjp_fused(VjpContext<Matmul>& ctx);
  static void samples(Samples& s) {
    const Matmul plain{};
    s.add(plain, {Shape{2, 3}, Shape{3, 4}});
    s.add(plain, {Shape{1, 1}, Shape{1, 1}});
    s.add(plain, {Shape{9, 7}, Shape{7, 11}}, "beyond the plain loop");
    s.add(plain, {Shape{131, 131}, Shape{131, 139}}, "for several threads");
    s.add(Matmul{{.transpose_a = true}}, {Shape{3, 2}, Shape{3, 4}}, "A^T B");
    s.add(Matmul{{.transpose_b = true}}, {Shape{2, 3}, Shape{4, 3}}, "A B^T");
    s.add(Matmul{{.transpose_a = true, .transpose_b = true}}, {Shape{3, 2}, Shape{4, 3}}, "A^T B^T");
    s.add(Matmul{{.transpose_b = true}, detail::Gradient::left}, {Shape{2, 3}, Shape{4, 3}},
          "gradient and B^T");
    s.add(Matmul{{.transpose_a = true}, detail::Gradient::right}, {Shape{3, 2}, Shape{3, 4}},
          "A^T and gradient");
    s.add(Matmul{{}, detail::Gradient::both}, {Shape{2, 3}, Shape{3, 4}}, "gradient and gradient");
    s.add(plain, {Shape{3}, Shape{3}}, "vectors");
    s.add(plain, {Shape{3}, Shape{3, 2}}, "vector and matrix");
    s.add(plain, {Shape{2, 3}, Shape{3}}, "matrix and vector");
    s.add(Matmul{{.transpose_b = true}}, {Shape{3}, Shape{2, 3}}, "vector and B^T");
    s.add(plain, {Shape{2, 2, 3}, Shape{2, 3, 2}}, "batch");
    s.add(plain, {Shape{2, 2, 3}, Shape{3, 2}}, "batch and one matrix");
    s.add(plain, {Shape{2, 3}, Shape{2, 3, 2}}, "one matrix and batch");
    s.add(plain, {Shape{2, 1, 2, 3}, Shape{3, 3, 2}}, "broadcast batch");
    s.add(plain, {Shape{2, 2, 3}, Shape{3}}, "batch and vector");
    s.add(plain, {Shape{3}, Shape{2, 3, 2}}, "vector and batch");
    s.add(Matmul{{.transpose_a = true}}, {Shape{2, 3, 2}, Shape{3, 2}}, "A^T of a batch and one matrix");
    s.add(Matmul{{.transpose_a = true, .transpose_b = true}}, {Shape{2, 1, 3, 2}, Shape{3, 2, 3}},
          "A^T B^T of a broadcast batch");
  }
};

}  // namespace op

using detail::all_finite;
using detail::and_other;
using detail::Destination;
using detail::gemm;
using detail::gemm_batch;
using detail::GemmShape;
using detail::GemmStart;
using detail::Gradient;
using detail::gradient_matmul;
using detail::gradient_product;
using detail::reshaped;
using detail::TensorAccess;

namespace {

/// The axes in front of the last two; none for a vector.
Shape batch_of(const Shape& s) { return s.rank() <= 2 ? Shape{} : Shape(s.dims().first(s.rank() - 2)); }

Shape joined(const Shape& batch, std::initializer_list<std::int64_t> last) {
  Shape s = batch;
  for (const std::int64_t d : last) s = s.inserted(s.rank(), d);
  return s;
}

/// What a product of two shapes is. Vectors have been made matrices of one row, or of one column.
struct Plan {
  GemmShape product;
  Shape a;  ///< [..., m, k] as it is stored
  Shape b;
  Shape a_batch;
  Shape b_batch;
  Shape batch;
  Shape out;

  Plan(const Shape& a_given, const Shape& b_given, const MatmulOptions& options) : a(a_given), b(b_given) {
    const bool row = a.rank() == 1;
    const bool column = b.rank() == 1;
    require_matrix("a", a, options.transpose_a);
    require_matrix("b", b, options.transpose_b);
    if (row) a = {1, a[0]};
    if (column) b = {b[0], 1};
    const auto size = [](const Shape& s, bool transposed, int axis) {
      return s.dim(transposed ? -3 - axis : axis);
    };
    product = {.m = size(a, options.transpose_a, -2),
               .n = size(b, options.transpose_b, -1),
               .k = size(a, options.transpose_a, -1),
               .transpose_a = options.transpose_a,
               .transpose_b = options.transpose_b};
    if (const std::int64_t k = size(b, options.transpose_b, -2); k != product.k)
      throw ShapeError(fmt::format("{}: a {}{} has {} columns, b {}{} has {} rows; they must be equal",
                                   op_label(op::Matmul::name), to_string(a_given),
                                   options.transpose_a ? ", transposed," : "", product.k, to_string(b_given),
                                   options.transpose_b ? ", transposed," : "", k));
    a_batch = batch_of(a);
    b_batch = batch_of(b);
    batch = broadcast(a_batch, b_batch, op::Matmul::name);
    out = row && column ? batch
          : row         ? joined(batch, {product.n})
          : column      ? joined(batch, {product.m})
                        : joined(batch, {product.m, product.n});
    // One matrix for a whole batch of rows: all rows are one matrix.
    if (!options.transpose_a && b_batch.size() == 1 && a_batch.size() == batch.size()) {
      product.m *= batch.size();
      a_batch = b_batch = batch = Shape{};
    }
  }

  /// dA is an op(B)^T product of dY, dB one of op(A)^T, as they are stored.
  GemmShape for_a() const {
    const auto& [m, n, k, ta, tb] = product;
    return ta ? GemmShape{k, m, n, tb, true} : GemmShape{m, k, n, false, !tb};
  }
  GemmShape for_b() const {
    const auto& [m, n, k, ta, tb] = product;
    return tb ? GemmShape{n, k, m, true, ta} : GemmShape{k, n, m, !ta, false};
  }

 private:
  static void require_matrix(const char* which, const Shape& s, bool transposed) {
    if (s.rank() == 0)
      throw ShapeError(
          fmt::format("{}: {} is a scalar; multiply by it with *", op_label(op::Matmul::name), which));
    if (s.rank() == 1 && transposed)
      throw ArgumentError(fmt::format("{}: transpose_{} asks for a matrix, {} has shape {}",
                                      op_label(op::Matmul::name), which, which, to_string(s)));
  }
};

/// For each item of a batch, which matrix of an operand it takes.
class BatchOffsets {
 public:
  BatchOffsets(const Shape& operand_batch, const Shape& batch) : offsets_(batch.size()) {
    const auto nest = detail::broadcast_nest(batch, operand_batch);
    const std::int64_t step = nest.inner().stride[0];
    std::int64_t* to = offsets_.data();
    nest.for_each_run(0, batch.size(), [&](const auto& at, std::int64_t run) {
      for (std::int64_t i = 0; i < run; ++i) *to++ = at[0] + i * step;
    });
  }
  const std::int64_t* data() const { return offsets_.data(); }
  std::int64_t operator[](std::int64_t item) const { return offsets_[item]; }

 private:
  detail::Workspace<std::int64_t, 256> offsets_;
};

/// The gradient of an operand, `shape` products of x and y: a batch that was broadcast is summed in its
/// order.
template <class T>
void accumulate_products(const GemmShape& shape, const Shape& batch, const Shape& x_batch, const T* x,
                         const Shape& y_batch, const T* y, Gradient gradient, const Shape& to_batch,
                         Destination<T> to) {
  if (batch.size() == 1) return gradient_product(shape, x, y, gradient, to);
  const BatchOffsets x_at(x_batch, batch);
  const BatchOffsets y_at(y_batch, batch);
  const BatchOffsets to_at(to_batch, batch);
  const bool finite = (gradient == Gradient::right || all_finite(y, y_batch.size() * shape.k * shape.n)) &&
                      (gradient == Gradient::left || all_finite(x, x_batch.size() * shape.m * shape.k));
  if (finite && to_batch.size() == batch.size()) {
    gemm_batch(shape, batch.size(), T{1}, x, x_at.data(), y, y_at.data(),
               GemmStart<T>{static_cast<T>(to.add)}, to.data, to_at.data());
    return;
  }
  to.clear(to_batch.size() * shape.m * shape.n);
  for (std::int64_t i = 0; i < batch.size(); ++i) {
    const T *const x_i = x + x_at[i] * shape.m * shape.k, *const y_i = y + y_at[i] * shape.k * shape.n;
    T* const to_i = to.data + to_at[i] * shape.m * shape.n;
    if (finite)
      gemm(shape, T{1}, x_i, y_i, GemmStart<T>{T{1}}, to_i);
    else
      gradient_product(shape, x_i, y_i, gradient, Destination<T>{to_i, true});
  }
}

}  // namespace

Tensor op::Matmul::forward(const Tensor& a, const Tensor& b) const {
  detail::require_same_dtype(name, a, b, "a", "b");
  detail::require_floating(name, a, "operands");
  const Plan plan(a.shape(), b.shape(), *this);
  Tensor y = Tensor::empty(plan.out, a.dtype());
  visit_floating(a.dtype(), [&]<class T> {
    const T* x = TensorAccess::data_as<T>(a);
    const T* z = TensorAccess::data_as<T>(b);
    T* to = TensorAccess::data_as<T>(y);
    if (gradient != Gradient::none)
      return accumulate_products(plan.product, plan.batch, plan.a_batch, x, plan.b_batch, z, gradient,
                                 plan.batch, Destination<T>{to, false});
    if (plan.batch.rank() == 0) return gemm(plan.product, T{1}, x, z, GemmStart<T>{}, to);
    gemm_batch(plan.product, plan.batch.size(), T{1}, x, BatchOffsets(plan.a_batch, plan.batch).data(), z,
               BatchOffsets(plan.b_batch, plan.batch).data(), GemmStart<T>{}, to,
               BatchOffsets(plan.batch, plan.batch).data());
  });
  return y;
}

namespace {

/// What a product with g contributes: nothing in rows, or columns, that g has nothing in. `axis` is the one of rows and
/// columns, 0 and 1, that the product is taken along, once g is transposed where the product does that.
Tensor product_contribution(const Tensor& g, bool transposed, std::size_t axis, const Tensor& product) {
  if (!detail::has_nothing(g)) return product;
  return detail::contribution_along(transposed ? transpose(g, -2, -1) : g, g.rank() - 2 + axis, product);
}

}  // namespace

Tensor detail::gradient_matmul(Gradient which, const Tensor& x, const Tensor& y, MatmulOptions options) {
  Tensor product = apply_op(op::Matmul{options, which}, x, y);
  if (detail::is_left(which)) product = product_contribution(x, options.transpose_a, 1, product);
  if (detail::is_right(which)) product = product_contribution(y, options.transpose_b, 0, product);
  return product;
}

void op::Matmul::vjp(VjpContext<Matmul>& ctx) {
  const op::Matmul& o = ctx.op();
  const bool a_is_gradient = detail::is_left(o.gradient);
  const bool b_is_gradient = detail::is_right(o.gradient);
  const Shape a_shape = ctx.input_shape(0);
  const Shape b_shape = ctx.input_shape(1);
  // Vectors as matrices, and the axes that were dropped for them.
  const bool row = a_shape.rank() == 1;
  const bool column = b_shape.rank() == 1;
  const Shape a2 = row ? Shape{1, a_shape[0]} : a_shape;
  const Shape b2 = column ? Shape{b_shape[0], 1} : b_shape;
  Tensor g = ctx.grad_output();
  if (column) g = unsqueeze(g, -1);
  if (row) g = unsqueeze(g, -2);
  if (ctx.needs_grad(0)) {
    const Tensor b = reshaped(ctx.input<1>(), b2);
    const Tensor ga = o.transpose_a ? gradient_matmul(and_other(Gradient::right, b_is_gradient), b, g,
                                                      {.transpose_a = o.transpose_b, .transpose_b = true})
                                    : gradient_matmul(and_other(Gradient::left, b_is_gradient), g, b,
                                                      {.transpose_b = !o.transpose_b});
    ctx.add(0, reshaped(detail::sum_to_shape(ga, a2), a_shape));
  }
  if (ctx.needs_grad(1)) {
    const Tensor a = reshaped(ctx.input<0>(), a2);
    const Tensor gb = o.transpose_b ? gradient_matmul(and_other(Gradient::left, a_is_gradient), g, a,
                                                      {.transpose_a = true, .transpose_b = o.transpose_a})
                                    : gradient_matmul(and_other(Gradient::right, a_is_gradient), a, g,
                                                      {.transpose_a = !o.transpose_a});
    ctx.add(1, reshaped(detail::sum_to_shape(gb, b2), b_shape));
  }
}

void op::Matmul::vjp_fused(VjpContext<Matmul>& ctx) {
  const op::Matmul& o = ctx.op();
  const Plan plan(ctx.input_shape(0), ctx.input_shape(1), o);
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T* g = TensorAccess::data_as<T>(ctx.grad_output());
    // `first`: the other operand stands left of dY; `both`: it is a gradient, too.
    const auto gradient_of = [&](std::size_t i, const GemmShape& shape, bool first, const Tensor& other,
                                 bool both, const Shape& other_batch, const Shape& to_batch) {
      const T* x = TensorAccess::data_as<T>(other);
      ctx.accumulate<T>(i, [&](Destination<T> to) {
        if (first)
          accumulate_products(shape, plan.batch, other_batch, x, plan.batch, g,
                              and_other(Gradient::right, both), to_batch, to);
        else
          accumulate_products(shape, plan.batch, plan.batch, g, other_batch, x,
                              and_other(Gradient::left, both), to_batch, to);
      });
    };
    if (ctx.needs_grad(0))
      gradient_of(0, plan.for_a(), plan.product.transpose_a, ctx.input<1>(), detail::is_right(o.gradient),
                  plan.b_batch, plan.a_batch);
    if (ctx.needs_grad(1))
      gradient_of(1, plan.for_b(), !plan.product.transpose_b, ctx.input<0>(), detail::is_left(o.gradient),
                  plan.a_batch, plan.b_batch);
  });
}

Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options) {
  return apply_op(op::Matmul{options}, a, b);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  detail::require_defined("dot", a, "a");
  detail::require_defined("dot", b, "b");
  if (a.rank() != 1 || b.rank() != 1 || a.size() != b.size())
    throw ShapeError(fmt::format("{}: a {} and b {}; it takes two vectors of equal length", op_label("dot"),
                                 to_string(a.shape()), to_string(b.shape())));
  return detail::named("dot", [&] { return matmul(a, b); });
}

Tensor outer(const Tensor& a, const Tensor& b) {
  detail::require_defined("outer", a, "a");
  detail::require_defined("outer", b, "b");
  if (a.rank() != 1 || b.rank() != 1)
    throw ShapeError(fmt::format("{}: a {} and b {}; it takes two vectors", op_label("outer"),
                                 to_string(a.shape()), to_string(b.shape())));
  return detail::named("outer", [&] { return matmul(unsqueeze(a, 1), unsqueeze(b, 0)); });
}

template const OpInfo& detail::info_of<op::Matmul>();

}  // namespace tapegrad
