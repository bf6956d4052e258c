#include <algorithm>
#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/loss_ops.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::dispatch_isa;
using detail::parallel_ranges;
using detail::Real;
using detail::simd_for;
using detail::TensorAccess;

namespace {

void require_floating(const char* op, const char* what, const Tensor& x) {
  if (!is_floating(x.dtype()))
    throw DtypeError(
        fmt::format("{}: {} of i64; this operation takes f32 and f64, cast them first", op_label(op), what));
}

void require_same_dtype(const char* op, const char* what, const Tensor& x, const Tensor& t) {
  if (x.dtype() != t.dtype())
    throw DtypeError(fmt::format("{}: {} of {} and targets of {}; cast one of them", op_label(op), what,
                                 name_of(x.dtype()), name_of(t.dtype())));
}

/// Writes derivative(j) to each element j of the gradient of an input, or adds it.
template <class T, class Op, class F>
void write_elements(VjpContext<Op>& ctx, std::size_t input, F&& derivative) {
  ctx.accumulate(input, [&](Tensor& destination, bool add) {
    T* const to = TensorAccess::data_as<T>(destination);
    parallel_ranges(destination.size(), detail::kRangeLength, [&](std::int64_t begin, std::int64_t end) {
      dispatch_isa([&] {
        if (add)
          simd_for(end - begin, [&](std::int64_t j) { to[begin + j] += derivative(begin + j); });
        else
          simd_for(end - begin, [&](std::int64_t j) { to[begin + j] = derivative(begin + j); });
      });
    });
  });
}

}  // namespace

// ---- pairs ----

template <class Op>
Tensor PairLoss<Op>::forward(const Tensor& y, const Tensor& t) const {
  const Op& op = static_cast<const Op&>(*this);
  require_floating(Op::name, "predictions", y);
  require_same_dtype(Op::name, "predictions", y, t);
  if (y.shape() != t.shape())
    throw ShapeError(
        fmt::format("{}: predictions {} and targets {} must have the same shape (they are not broadcast)",
                    op_label(Op::name), to_string(y.shape()), to_string(t.shape())));
  if (Op::is_mean && y.size() == 0)
    throw ArgumentError(fmt::format("{}: predictions {} have no elements; their mean is not defined",
                                    op_label(Op::name), to_string(y.shape())));
  return visit_floating(y.dtype(), [&]<class T> {
    const T* a = TensorAccess::data_as<T>(y);
    const T* b = TensorAccess::data_as<T>(t);
    const double total = detail::sum_terms<T>(
        y.size(), [&](std::int64_t i) { return op.loss(Real<T>{a[i]}, Real<T>{b[i]}).v; });
    return Tensor::scalar(Op::is_mean ? total / static_cast<double>(y.size()) : total, y.dtype());
  });
}

template <class Op>
void PairLoss<Op>::vjp(VjpContext<Op>& ctx) {
  const auto size = static_cast<double>(ctx.input_shape(0).size());
  const Tensor g = Op::is_mean ? ctx.grad_output() / size : ctx.grad_output();
  const auto t = [&] {
    if constexpr (Op::saves[1] & kIn1)
      return ctx.template input<1>();
    else
      return detail::NotSaved{};
  };
  if (ctx.needs_grad(0)) ctx.add(0, g * ctx.op().dy(ctx.template input<0>(), ctx.template input<1>()));
  if (ctx.needs_grad(1)) ctx.add(1, g * ctx.op().dt(ctx.template input<0>(), t()));
}

template <class Op>
void PairLoss<Op>::vjp_fused(VjpContext<Op>& ctx) {
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const std::int64_t n = ctx.input_shape(0).size();
    const T g = *TensorAccess::data_as<T>(ctx.grad_output());
    const Real<T> scale{Op::is_mean ? g / static_cast<T>(n) : g};
    const Tensor y = ctx.template input<0>();
    const T* a = TensorAccess::data_as<T>(y);
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.template input<1>();
      const T* b = TensorAccess::data_as<T>(t);
      write_elements<T>(
          ctx, 0, [&](std::int64_t j) { return (scale * ctx.op().dy(Real<T>{a[j]}, Real<T>{b[j]})).v; });
    }
    if (ctx.needs_grad(1)) {
      if constexpr (Op::saves[1] & kIn1) {
        const Tensor t = ctx.template input<1>();
        const T* b = TensorAccess::data_as<T>(t);
        write_elements<T>(
            ctx, 1, [&](std::int64_t j) { return (scale * ctx.op().dt(Real<T>{a[j]}, Real<T>{b[j]})).v; });
      } else {
        write_elements<T>(ctx, 1, [&](std::int64_t j) {
          return (scale * ctx.op().dt(Real<T>{a[j]}, detail::NotSaved{})).v;
        });
      }
    }
  });
}

Tensor mse_loss(const Tensor& y, const Tensor& t) { return apply_op(MseLoss{}, y, t); }
Tensor half_sum_squared_error(const Tensor& y, const Tensor& t) {
  return apply_op(HalfSumSquaredError{}, y, t);
}
Tensor huber_loss(const Tensor& y, const Tensor& t, double delta) {
  if (!(delta > 0 && std::isfinite(delta)))
    throw ArgumentError(
        fmt::format("{}: delta is {}; it must be positive and finite", op_label(HuberLoss::name), delta));
  return apply_op(HuberLoss(delta), y, t);
}
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t) {
  return apply_op(BinaryCrossEntropyWithLogits{}, x, t);
}

// ---- classes ----

namespace {

/// Scores [..., C] and their targets: indices [...], or a weight for each class [..., C].
struct Classes {
  std::int64_t rows;
  std::int64_t count;
  bool indices;

  Classes(const Shape& scores, Dtype target_dtype)
      : rows(scores.removed(scores.rank() - 1).size()), count(scores.dim(-1)), indices(target_dtype == i64) {}

  static Classes checked(const char* op, const char* what, const Tensor& x, const Tensor& t);
  /// Rows of a block.
  std::int64_t together() const { return std::max<std::int64_t>(1, detail::kRangeLength / count); }
};

Classes Classes::checked(const char* op, const char* what, const Tensor& x, const Tensor& t) {
  require_floating(op, what, x);
  if (x.rank() == 0)
    throw ShapeError(
        fmt::format("{}: {} are a scalar; their last axis must be the classes", op_label(op), what));
  const Classes classes(x.shape(), t.dtype());
  const Shape of_indices = x.shape().removed(x.rank() - 1);
  if (!classes.indices && t.shape() == of_indices && t.shape() != x.shape())
    throw DtypeError(fmt::format("{}: targets {} of {} for {} {}: class indices must be i64, cast them",
                                 op_label(op), to_string(t.shape()), name_of(t.dtype()), what,
                                 to_string(x.shape())));
  if (!classes.indices) require_same_dtype(op, what, x, t);
  if (const Shape& expected = classes.indices ? of_indices : x.shape(); t.shape() != expected)
    throw ShapeError(fmt::format(
        "{}: targets {} of {} do not fit {} {}, which expect {}{}", op_label(op), to_string(t.shape()),
        name_of(t.dtype()), what, to_string(x.shape()), to_string(expected),
        t.shape() == x.shape() ? " of i64; cast one-hot targets to the dtype of the former" : ""));
  if (classes.count == 0 || classes.rows == 0)
    throw ArgumentError(
        fmt::format("{}: {} {} have no {}", op_label(op), what, to_string(x.shape()),
                    classes.count == 0 ? "classes" : "rows; the mean over the batch is not defined"));
  if (classes.indices) {
    const auto* label = TensorAccess::data_as<std::int64_t>(t);
    for (std::int64_t i = 0; i < classes.rows; ++i)
      if (label[i] < 0 || label[i] >= classes.count)
        throw ArgumentError(fmt::format("{}: target {} at {} is not a class; {} {} have classes 0 to {}",
                                        op_label(op), label[i], detail::index_text(i, t.shape()), what,
                                        to_string(x.shape()), classes.count - 1));
  }
  return classes;
}

/// The targets of one row, for a loop over its classes: an index (then weights is null), or a weight for
/// each.
template <class T>
class Targets {
 public:
  Targets(const Tensor& t, const Classes& classes)
      : index_(classes.indices ? TensorAccess::data_as<std::int64_t>(t) : nullptr),
        weights_(classes.indices ? nullptr : TensorAccess::data_as<T>(t)),
        count_(classes.count) {}

  bool indices() const { return index_ != nullptr; }
  std::int64_t index(std::int64_t row) const { return index_[row]; }
  const T* weights(std::int64_t row) const { return weights_ + row * count_; }

 private:
  const std::int64_t* index_;
  const T* weights_;
  std::int64_t count_;
};

/// sum t * value, where a t of zero adds nothing whatever the value; leaves the terms in place of the values.
template <class T>
double weighted_sum(const T* t, T* values, std::int64_t n) {
  simd_for(n, [&](std::int64_t i) { values[i] = t[i] == T{0} ? T{0} : t[i] * values[i]; });
  return detail::sum_of(values, n);
}

/// Writes a gradient of the shape of the scores, a few rows at a time: f(first, count, out).
template <class T, class Op, class F>
void write_blocks(VjpContext<Op>& ctx, std::size_t input, const Classes& classes, F&& f) {
  const std::int64_t n = classes.count;
  ctx.accumulate(input, [&](Tensor& destination, bool add) {
    T* const to = TensorAccess::data_as<T>(destination);
    parallel_ranges(classes.rows, classes.together(), [&](std::int64_t begin, std::int64_t end) {
      std::vector<T, detail::PoolAllocator<T>> sums(
          static_cast<std::size_t>(add ? detail::rows_together(n) * n : 0));
      detail::few_rows(end - begin, n, [&](std::int64_t first, std::int64_t count) {
        T* const out = to + (begin + first) * n;
        f(begin + first, count, add ? sums.data() : out);
        if (add)
          for (std::int64_t i = 0; i < count * n; ++i) out[i] += sums[static_cast<std::size_t>(i)];
      });
    });
  });
}

/// The gradient of the loss for one row: that of the mean, shared out.
template <class Op>
Tensor row_gradient(const VjpContext<Op>& ctx, const Classes& classes) {
  return ctx.grad_output() / static_cast<double>(classes.rows);
}

/// Index targets as weights.
Tensor as_weights(const Tensor& t, const Classes& classes, Dtype dtype) {
  return classes.indices ? one_hot(t, classes.count, dtype) : t;
}

}  // namespace

Tensor sum_squared_error(const Tensor& y, const Tensor& t) {
  const Classes classes = Classes::checked("sum_squared_error", "outputs", y, t);
  const Tensor total = half_sum_squared_error(y, as_weights(t, classes, y.dtype()));
  return classes.rows == 1 ? total : total / static_cast<double>(classes.rows);
}

Tensor CrossEntropy::forward(const Tensor& y, const Tensor& t) const {
  const Classes classes = Classes::checked(name, "probabilities", y, t);
  return visit_floating(y.dtype(), [&]<class T> {
    const T* p = TensorAccess::data_as<T>(y);
    const Targets<T> targets(t, classes);
    const std::int64_t n = classes.count;
    const auto log_at = [&](std::int64_t i) { return log(Real<T>{p[i]} + kOffset).v; };
    const double total =
        targets.indices()
            ? detail::sum_terms<T>(classes.rows,
                                   [&](std::int64_t r) { return log_at(r * n + targets.index(r)); })
            : detail::sum_terms<T>(classes.rows * n, [&](std::int64_t i) {
                const T w = targets.weights(0)[i];  // zero adds nothing, whatever the logarithm
                return w == T{0} ? T{0} : w * log_at(i);
              });
    return Tensor::scalar(-total / static_cast<double>(classes.rows), y.dtype());
  });
}

void CrossEntropy::vjp(VjpContext<CrossEntropy>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  const Tensor g = -row_gradient(ctx, classes);
  if (ctx.needs_grad(0))
    ctx.add(0, g * as_weights(ctx.input<1>(), classes, ctx.input_dtype(0)) / (ctx.input<0>() + kOffset));
  if (ctx.needs_grad(1)) ctx.add(1, g * log(ctx.input<0>() + kOffset));
}

void CrossEntropy::vjp_fused(VjpContext<CrossEntropy>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T scale = -*TensorAccess::data_as<T>(ctx.grad_output()) / static_cast<T>(classes.rows);
    const Tensor y = ctx.input<0>();
    const T* p = TensorAccess::data_as<T>(y);
    const std::int64_t n = classes.count;
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.input<1>();
      const Targets<T> targets(t, classes);
      write_blocks<T>(ctx, 0, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        const T* const row = p + first * n;
        const auto slope = [&](std::int64_t i) { return scale / (Real<T>{row[i]} + kOffset).v; };
        if (targets.indices()) {
          std::fill_n(out, count * n, T{0});
          for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t i = r * n + targets.index(first + r);
            out[i] = slope(i);
          }
        } else {
          const T* const w = targets.weights(first);
          dispatch_isa([&] { simd_for(count * n, [&](std::int64_t i) { out[i] = w[i] * slope(i); }); });
        }
      });
    }
    if (ctx.needs_grad(1))
      write_elements<T>(ctx, 1, [&](std::int64_t i) { return scale * log(Real<T>{p[i]} + kOffset).v; });
  });
}

Tensor cross_entropy(const Tensor& y, const Tensor& t) { return apply_op(CrossEntropy{}, y, t); }

Tensor SoftmaxWithLoss::forward(const Tensor& x, const Tensor& t) const {
  const Classes classes = Classes::checked(name, "logits", x, t);
  return visit_floating(x.dtype(), [&]<class T> {
    const T* scores = TensorAccess::data_as<T>(x);
    const Targets<T> targets(t, classes);
    const std::int64_t n = classes.count;
    const auto block = [&](std::int64_t from, std::int64_t to) {
      std::vector<T, detail::PoolAllocator<T>> logs(static_cast<std::size_t>(detail::rows_together(n) * n));
      double total = 0;
      detail::few_rows(to - from, n, [&](std::int64_t first, std::int64_t count) {
        const std::int64_t row = from + first;
        detail::log_softmax_rows(scores + row * n, count, n, logs.data());
        if (targets.indices())
          for (std::int64_t r = 0; r < count; ++r)
            total += static_cast<double>(logs[static_cast<std::size_t>(r * n + targets.index(row + r))]);
        else
          dispatch_isa([&]() { total += weighted_sum(targets.weights(row), logs.data(), count * n); });
      });
      return total;
    };
    const double total = detail::sum_ranges(classes.rows, classes.together(), block);
    return Tensor::scalar(-total / static_cast<double>(classes.rows), x.dtype());
  });
}

void SoftmaxWithLoss::vjp(VjpContext<SoftmaxWithLoss>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  const Tensor g = row_gradient(ctx, classes);
  const Tensor x = ctx.input<0>();
  if (ctx.needs_grad(0)) {
    const Tensor t = as_weights(ctx.input<1>(), classes, ctx.input_dtype(0));
    const Tensor p = classes.indices ? softmax(x) : softmax(x) * sum(t, -1, KeepDims::yes);
    ctx.add(0, g * (p - t));
  }
  if (ctx.needs_grad(1)) ctx.add(1, -g * log_softmax(x));
}

void SoftmaxWithLoss::vjp_fused(VjpContext<SoftmaxWithLoss>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T scale = *TensorAccess::data_as<T>(ctx.grad_output()) / static_cast<T>(classes.rows);
    const Tensor x = ctx.input<0>();
    const T* scores = TensorAccess::data_as<T>(x);
    const std::int64_t n = classes.count;
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.input<1>();
      const Targets<T> targets(t, classes);
      write_blocks<T>(ctx, 0, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        dispatch_isa([&]() {
          const detail::RowsOfExponentials<T> e(scores + first * n, count, n, out);
          for (std::int64_t r = 0; r < count; ++r) {
            T* const row = out + r * n;
            T factor = scale / e.sum[r];
            if (targets.indices()) {
              simd_for(n, [&](std::int64_t c) { row[c] *= factor; });
              row[targets.index(first + r)] -= scale;
            } else {
              const T* const w = targets.weights(first + r);
              factor *= static_cast<T>(detail::sum_of(w, n));
              simd_for(n, [&](std::int64_t c) { row[c] = row[c] * factor - scale * w[c]; });
            }
          }
        });
      });
    }
    if (ctx.needs_grad(1))
      write_blocks<T>(ctx, 1, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        detail::log_softmax_rows(scores + first * n, count, n, out);
        for (std::int64_t i = 0; i < count * n; ++i) out[i] *= -scale;
      });
  });
}

Tensor softmax_with_loss(const Tensor& x, const Tensor& t) { return apply_op(SoftmaxWithLoss{}, x, t); }

}  // namespace tapegrad
