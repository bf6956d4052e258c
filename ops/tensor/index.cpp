#include <algorithm>
#include <cstring>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/tensor/index_ops.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::TensorAccess;

namespace {

/// The elements of a tensor of indices, each found to be in [0, bound). They are examined where they are
/// used: whoever kept a span of them may have written to it since.
const std::int64_t* checked_indices(const Tensor& index, std::int64_t bound, const char* op) {
  const auto* v = TensorAccess::data_as<std::int64_t>(index);
  const auto* end = v + index.size();
  const auto* bad = std::find_if(v, end, [&](std::int64_t i) { return i < 0 || i >= bound; });
  if (bad != end)
    throw ArgumentError(fmt::format("{}: index {} at {} of {} is outside [0, {})", op_label(op), *bad,
                                    detail::index_text(bad - v, index.shape()), to_string(index.shape()),
                                    bound));
  return v;
}

void require_i64(const Tensor& index, const char* op) {
  if (index.dtype() != i64)
    throw DtypeError(
        fmt::format("{}: the indices are {}; cast them to i64", op_label(op), name_of(index.dtype())));
}

void require_same_dtype(const Tensor& x, const Tensor& src, const char* op) {
  if (x.dtype() != src.dtype())
    throw DtypeError(fmt::format("{}: x is {}, src is {}; cast one of them", op_label(op), name_of(x.dtype()),
                                 name_of(src.dtype())));
}

/// What an index tensor picks of x along an axis: `count` for each outer.
struct Picks : detail::RowLayout {
  std::int64_t count;
  Picks(const Shape& x, std::size_t axis, std::int64_t picked) : RowLayout(x, axis), count(picked) {}
};

/// An index for each element: f(offset in x, offset in the picked).
template <class F>
void each_element(const Picks& p, const std::int64_t* index, F&& f) {
  std::int64_t at = 0;
  for (std::int64_t o = 0; o < p.outer; ++o)
    for (std::int64_t j = 0; j < p.count; ++j)
      for (std::int64_t i = 0; i < p.inner; ++i, ++at) f((o * p.extent + index[at]) * p.inner + i, at);
}

/// An index for each entry of `inner` elements: f(offset in x, offset in the picked).
template <class F>
void each_entry(const Picks& p, const std::int64_t* index, F&& f) {
  std::int64_t at = 0;
  for (std::int64_t o = 0; o < p.outer; ++o)
    for (std::int64_t j = 0; j < p.count; ++j, at += p.inner) f((o * p.extent + index[j]) * p.inner, at);
}

Picks gather_picks(const Shape& x, std::size_t axis, const Tensor& index, const char* op) {
  require_i64(index, op);
  if (index.rank() != x.rank() || index.shape().with(axis, 0) != x.with(axis, 0))
    throw ShapeError(
        fmt::format("{}: the index is {}, x is {}; all extents but that of axis {} must be equal",
                    op_label(op), to_string(index.shape()), to_string(x), axis));
  return Picks(x, axis, index.shape()[axis]);
}

Picks entry_picks(const Shape& x, std::size_t axis, const Tensor& indices, const char* op) {
  require_i64(indices, op);
  if (indices.rank() != 1)
    throw ShapeError(fmt::format("{}: the indices are {}; they must be a vector", op_label(op),
                                 to_string(indices.shape())));
  return Picks(x, axis, indices.size());
}

template <class T>
void add_elements(const Picks& p, const std::int64_t* index, T* x, const T* src) {
  each_element(p, index,
               [&](std::int64_t to, std::int64_t from) { x[to] = detail::wrapping_add(x[to], src[from]); });
}

template <class T>
void add_entries(const Picks& p, const std::int64_t* index, T* x, const T* src) {
  each_entry(p, index, [&](std::int64_t to, std::int64_t from) {
    for (std::int64_t i = 0; i < p.inner; ++i) x[to + i] = detail::wrapping_add(x[to + i], src[from + i]);
  });
}

/// First-order: the gradient of x, with gy added by `put` where x was picked.
template <class Op, class Put>
void add_picked(VjpContext<Op>& ctx, Put&& put) {
  ctx.accumulate(0, [&](Tensor& gx, bool add) {
    visit_floating(gx.dtype(), [&]<class T> {
      T* to = TensorAccess::data_as<T>(gx);
      if (!add) std::fill_n(to, gx.size(), T{0});
      put(to, static_cast<const T*>(TensorAccess::data_as<T>(ctx.grad_output())));
    });
  });
}

}  // namespace

// ---- an index for each element ----

Tensor Gather::forward(const Tensor& x, const Tensor& index) const {
  const Picks p = gather_picks(x.shape(), axis, index, name);
  const std::int64_t* at = checked_indices(index, p.extent, name);
  Tensor y = Tensor::empty(index.shape(), x.dtype());
  visit_dtype(x.dtype(), [&]<class T> {
    const T* from = TensorAccess::data_as<T>(x);
    T* out = TensorAccess::data_as<T>(y);
    each_element(p, at, [&](std::int64_t i, std::int64_t o) { out[o] = from[i]; });
  });
  return y;
}
void Gather::vjp(VjpContext<Gather>& ctx) {
  ctx.add(0, scatter_add(Tensor::zeros(ctx.input_shape(0), ctx.input_dtype(0)), ctx.op().axis, ctx.input<1>(),
                         ctx.grad_output()));
}
void Gather::vjp_fused(VjpContext<Gather>& ctx) {
  const Tensor index = ctx.input<1>();
  const Picks p = gather_picks(ctx.input_shape(0), ctx.op().axis, index, name);
  const std::int64_t* at = checked_indices(index, p.extent, name);
  add_picked(ctx, [&]<class T>(T* gx, const T* gy) { add_elements(p, at, gx, gy); });
}

Tensor ScatterAdd::forward(const Tensor& x, const Tensor& index, const Tensor& src) const {
  const Picks p = gather_picks(x.shape(), axis, index, name);
  require_same_dtype(x, src, name);
  if (src.shape() != index.shape())
    throw ShapeError(fmt::format("{}: the index is {}, src is {}; they must be equal", op_label(name),
                                 to_string(index.shape()), to_string(src.shape())));
  const std::int64_t* at = checked_indices(index, p.extent, name);
  Tensor y = x.copy();
  visit_dtype(x.dtype(), [&]<class T> {
    add_elements(p, at, TensorAccess::data_as<T>(y), static_cast<const T*>(TensorAccess::data_as<T>(src)));
  });
  return y;
}
void ScatterAdd::vjp(VjpContext<ScatterAdd>& ctx) {
  if (ctx.needs_grad(0)) ctx.add(0, ctx.grad_output());
  if (ctx.needs_grad(2)) ctx.add(2, gather(ctx.grad_output(), ctx.op().axis, ctx.input<1>()));
}

// ---- an index for each entry ----

Tensor IndexSelect::forward(const Tensor& x, const Tensor& indices) const {
  const Picks p = entry_picks(x.shape(), axis, indices, name);
  const std::int64_t* at = checked_indices(indices, p.extent, name);
  Tensor y = Tensor::empty(x.shape().with(axis, p.count), x.dtype());
  const std::size_t size = size_of(x.dtype());
  const std::size_t bytes = static_cast<std::size_t>(p.inner) * size;
  if (bytes == 0) return y;
  each_entry(p, at, [&](std::int64_t i, std::int64_t o) {
    std::memcpy(TensorAccess::data(y) + static_cast<std::size_t>(o) * size,
                TensorAccess::data(x) + static_cast<std::size_t>(i) * size, bytes);
  });
  return y;
}
void IndexSelect::vjp(VjpContext<IndexSelect>& ctx) {
  ctx.add(0, index_add(Tensor::zeros(ctx.input_shape(0), ctx.input_dtype(0)), ctx.op().axis, ctx.input<1>(),
                       ctx.grad_output()));
}
void IndexSelect::vjp_fused(VjpContext<IndexSelect>& ctx) {
  const Tensor indices = ctx.input<1>();
  const Picks p = entry_picks(ctx.input_shape(0), ctx.op().axis, indices, name);
  const std::int64_t* at = checked_indices(indices, p.extent, name);
  add_picked(ctx, [&]<class T>(T* gx, const T* gy) { add_entries(p, at, gx, gy); });
}

Tensor IndexAdd::forward(const Tensor& x, const Tensor& indices, const Tensor& src) const {
  const Picks p = entry_picks(x.shape(), axis, indices, name);
  require_same_dtype(x, src, name);
  if (src.shape() != x.shape().with(axis, p.count))
    throw ShapeError(fmt::format("{}: src is {}; {} indices along axis {} of {} take {}", op_label(name),
                                 to_string(src.shape()), p.count, axis, to_string(x.shape()),
                                 to_string(x.shape().with(axis, p.count))));
  const std::int64_t* at = checked_indices(indices, p.extent, name);
  Tensor y = x.copy();
  visit_dtype(x.dtype(), [&]<class T> {
    add_entries(p, at, TensorAccess::data_as<T>(y), static_cast<const T*>(TensorAccess::data_as<T>(src)));
  });
  return y;
}
void IndexAdd::vjp(VjpContext<IndexAdd>& ctx) {
  if (ctx.needs_grad(0)) ctx.add(0, ctx.grad_output());
  if (ctx.needs_grad(2)) ctx.add(2, index_select(ctx.grad_output(), ctx.op().axis, ctx.input<1>()));
}

// ---- one_hot ----

Tensor OneHot::forward(const Tensor& labels) const {
  require_i64(labels, name);
  const std::int64_t* label = checked_indices(labels, classes, name);
  Tensor y = Tensor::zeros(labels.shape().inserted(labels.rank(), classes), dtype);
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(y);
    for (std::int64_t i = 0; i < labels.size(); ++i) out[i * classes + label[i]] = T{1};
  });
  return y;
}

// ---- what users call ----

namespace {
std::uint8_t small_axis(const Tensor& x, std::int64_t axis, const char* op) {
  return static_cast<std::uint8_t>(detail::axis_of(x, axis, op));
}
}  // namespace

Tensor gather(const Tensor& x, std::int64_t axis, const Tensor& index) {
  return apply_op(Gather{.axis = small_axis(x, axis, Gather::name)}, x, index);
}
Tensor index_select(const Tensor& x, std::int64_t axis, const Tensor& indices) {
  return apply_op(IndexSelect{.axis = small_axis(x, axis, IndexSelect::name)}, x, indices);
}
Tensor scatter_add(const Tensor& x, std::int64_t axis, const Tensor& index, const Tensor& src) {
  return apply_op(ScatterAdd{.axis = small_axis(x, axis, ScatterAdd::name)}, x, index, src);
}
Tensor index_add(const Tensor& x, std::int64_t axis, const Tensor& indices, const Tensor& src) {
  return apply_op(IndexAdd{.axis = small_axis(x, axis, IndexAdd::name)}, x, indices, src);
}

Tensor one_hot(const Tensor& labels, std::int64_t classes, Dtype dtype) {
  if (classes < 0) throw ArgumentError(fmt::format("{}: {} classes", op_label(OneHot::name), classes));
  return apply_op(OneHot{.classes = classes, .dtype = dtype}, labels);
}

}  // namespace tapegrad
