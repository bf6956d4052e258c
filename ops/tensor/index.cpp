#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/picks.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

/// Indices in [0, bound), in no order.
SampleInput picks_below(std::int64_t bound, const Shape& shape) {
  Tensor index = Tensor::empty(shape, i64);
  std::int64_t at = 0;
  for (std::int64_t& i : index.mutable_values<std::int64_t>()) i = (at++ * 7919) % bound;
  return SampleInput::constant(index);
}

}  // namespace

namespace op {

struct Gather {  // inputs x, index
  static constexpr auto name = "gather";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x, const Tensor& index) const;
  static void vjp(VjpContext<Gather>& ctx);
  static void vjp_fused(VjpContext<Gather>& ctx);
  static void samples(Samples& s) {
    s.add(Gather{}, {Shape{5}, SampleInput::constant(Tensor::from({4, 0, 4}, i64))});
    s.add(Gather{.axis = 1},
          {Shape{2, 3}, SampleInput::constant(Tensor::from({{2, 2, 0, 1}, {0, 0, 0, 1}}, i64))});
    s.add(Gather{.axis = 1},
          {Shape{2, 3, 2}, SampleInput::constant(Tensor::from({2, 0, 1, 1}, Shape{2, 1, 2}, i64))});
    s.add(Gather{.axis = 1}, {Shape{263, 7}, picks_below(7, {263, 131})}, "for several threads");
    s.add(Gather{}, {Shape{7, 263}, picks_below(7, {131, 263})}, "the same, by columns");
  }
};

struct ScatterAdd {  // inputs x, index, src
  static constexpr auto name = "scatter_add";
  static constexpr auto saves = saves_for(kNone, kNone, kIn1);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x, const Tensor& index, const Tensor& src) const;
  static void vjp(VjpContext<ScatterAdd>& ctx);
  static void samples(Samples& s) {
    s.add(ScatterAdd{}, {Shape{5}, SampleInput::constant(Tensor::from({4, 0, 4}, i64)), Shape{3}});
    s.add(ScatterAdd{}, {Shape{3}, SampleInput::constant(Tensor::from({2, 0, 1}, i64)), Shape{3}});
    s.add(ScatterAdd{.axis = 1},
          {Shape{2, 3}, SampleInput::constant(Tensor::from({{2, 2, 0, 1}, {0, 0, 0, 1}}, i64)), Shape{2, 4}});
    s.add(ScatterAdd{.axis = 1}, {Shape{263, 7}, picks_below(7, {263, 131}), Shape{263, 131}},
          "for several threads");
  }
};

struct IndexSelect {  // inputs x, indices
  static constexpr auto name = "index_select";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x, const Tensor& indices) const;
  static void vjp(VjpContext<IndexSelect>& ctx);
  static void vjp_fused(VjpContext<IndexSelect>& ctx);
  static void samples(Samples& s) {
    s.add(IndexSelect{}, {Shape{5, 3}, SampleInput::constant(Tensor::from({4, 0, 4, 2}, i64))});
    s.add(IndexSelect{.axis = 1}, {Shape{2, 3, 5}, SampleInput::constant(Tensor::from({2, 2}, i64))});
    s.add(IndexSelect{.axis = 1}, {Shape{3, 5}, SampleInput::constant(Tensor::from({4, 0, 4, 2}, i64))});
    s.add(IndexSelect{}, {Shape{7, 263}, picks_below(7, {131})}, "for several threads");
    s.add(IndexSelect{.axis = 1}, {Shape{263, 7}, picks_below(7, {131})}, "the same, by columns");
  }
};

struct IndexAdd {  // inputs x, indices, src
  static constexpr auto name = "index_add";
  static constexpr auto saves = saves_for(kNone, kNone, kIn1);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x, const Tensor& indices, const Tensor& src) const;
  static void vjp(VjpContext<IndexAdd>& ctx);
  static void samples(Samples& s) {
    s.add(IndexAdd{}, {Shape{5, 3}, SampleInput::constant(Tensor::from({4, 0, 4, 2}, i64)), Shape{4, 3}});
    s.add(IndexAdd{}, {Shape{3, 2}, SampleInput::constant(Tensor::from({2, 0, 1}, i64)), Shape{3, 2}});
    s.add(IndexAdd{.axis = 1}, {Shape{2, 3}, SampleInput::constant(Tensor::from({2, 2}, i64)), Shape{2, 2}});
    s.add(IndexAdd{}, {Shape{7, 263}, picks_below(7, {131}), Shape{131, 263}}, "for several threads");
  }
};

struct OneHot {
  static constexpr auto name = "one_hot";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  std::int64_t classes = 0;
  Dtype dtype = f32;
  void describe(AttributeVisitor& v) const { v("classes", classes), v("dtype", dtype); }
  Tensor forward(const Tensor& labels) const;
  static void samples(Samples& s) {
    s.add(OneHot{.classes = 3, .dtype = f64}, {SampleInput::constant(Tensor::from({2, 0, 1, 1}, i64))});
  }
};

}  // namespace op

using detail::checked_indices;
using detail::for_each_pick;
using detail::for_each_strip;
using detail::Picks;
using detail::TensorAccess;
using detail::with_inner;

namespace {

Picks gather_picks(const Shape& x, std::size_t axis, const Tensor& index, const char* op) {
  detail::require_indices(op, index);
  if (index.rank() != x.rank() || index.shape().with(axis, 0) != x.with(axis, 0))
    throw ShapeError(fmt::format("{}: the index is {}, x is {}; all sizes but that of axis {} must be equal",
                                 op_label(op), to_string(index.shape()), to_string(x), axis));
  return Picks(x, axis, index.shape()[axis]);
}

Picks entry_picks(const Shape& x, std::size_t axis, const Tensor& indices, const char* op) {
  detail::require_indices(op, indices);
  if (indices.rank() != 1)
    throw ShapeError(fmt::format("{}: the indices are {}; they must be a vector", op_label(op),
                                 to_string(indices.shape())));
  return Picks(x, axis, indices.size());
}

template <class T>
void add_elements(const Picks& p, const std::int64_t* index, T* x, const T* src) {
  with_inner(p, [&](auto inner) {
    for_each_strip(p, [&](std::int64_t o, std::int64_t first, std::int64_t last) {
      T* const to = x + o * p.size * inner;
      const std::int64_t* const at = index + o * p.count * inner;
      const T* const from = src + o * p.count * inner;
      const auto add = [=](std::int64_t k, std::int64_t i) {
        T& sum = to[at[k] * inner + i];
        sum = detail::wrapping_add(sum, from[k]);
      };
      if constexpr (!std::is_same_v<decltype(inner), std::int64_t>)
        for (std::int64_t j = 0; j < p.count; ++j) add(j, 0);
      else
        for (std::int64_t j = 0; j < p.count; ++j)
          for (std::int64_t i = first; i < last; ++i) add(j * inner + i, i);
    });
  });
}

template <class T>
void add_entries(const Picks& p, const std::int64_t* index, T* x, const T* src) {
  for_each_strip(p, [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    const auto add = [&] {
      for (std::int64_t j = 0; j < p.count; ++j) {
        T* const to = x + (o * p.size + index[j]) * p.inner + first;
        const T* const from = src + (o * p.count + j) * p.inner + first;
        detail::simd_for(last - first, [=](std::int64_t i) { to[i] = detail::wrapping_add(to[i], from[i]); });
      }
    };
    if (last - first < detail::kUnroll)
      add();
    else
      detail::dispatch_isa_for<T>(add);
  });
}

/// First-order: the gradient of x, with grad_output added by `put` where x was picked.
template <class Op, class Put>
void add_picked(VjpContext<Op>& ctx, Put&& put) {
  visit_floating(ctx.input_dtype(0), [&]<class T> {
    ctx.template accumulate<T>(0, [&](detail::Destination<T> grad_input) {
      grad_input.clear(ctx.input_shape(0).size());
      put(grad_input.data, static_cast<const T*>(TensorAccess::data_as<T>(ctx.grad_output())));
    });
  });
}

}  // namespace

// ---- an index for each element ----

Tensor op::Gather::forward(const Tensor& x, const Tensor& index) const {
  const Picks p = gather_picks(x.shape(), axis, index, name);
  const std::int64_t* at = checked_indices(index, p.size, name);
  Tensor y = Tensor::empty(index.shape(), x.dtype());
  visit_dtype(x.dtype(), [&]<class T> {
    const T* from = TensorAccess::data_as<T>(x);
    T* out = TensorAccess::data_as<T>(y);
    with_inner(p, [&](auto inner) {
      for_each_pick(p, [&](std::int64_t o, std::int64_t first, std::int64_t last) {
        const T* const of_outer = from + o * p.size * inner;
        std::int64_t k = (o * p.count + first) * inner;
        for (std::int64_t j = first; j < last; ++j)
          for (std::int64_t i = 0; i < inner; ++i, ++k) out[k] = of_outer[at[k] * inner + i];
      });
    });
  });
  return y;
}
void op::Gather::vjp(VjpContext<Gather>& ctx) {
  ctx.add(0, scatter_add(Tensor::full(ctx.input_shape(0), detail::kNothing, ctx.input_dtype(0)),
                         ctx.op().axis, ctx.input<1>(), ctx.grad_output()));
}
void op::Gather::vjp_fused(VjpContext<Gather>& ctx) {
  const Tensor index = ctx.input<1>();
  const Picks p = gather_picks(ctx.input_shape(0), ctx.op().axis, index, name);
  const std::int64_t* at = checked_indices(index, p.size, name);
  add_picked(ctx, [&]<class T>(T* grad_input, const T* grad_output) {
    add_elements(p, at, grad_input, grad_output);
  });
}

Tensor op::ScatterAdd::forward(const Tensor& x, const Tensor& index, const Tensor& src) const {
  const Picks p = gather_picks(x.shape(), axis, index, name);
  detail::require_same_dtype(name, x, src, "x", "src");
  if (src.shape() != index.shape())
    throw ShapeError(fmt::format("{}: the index is {}, src is {}; they must be equal", op_label(name),
                                 to_string(index.shape()), to_string(src.shape())));
  const std::int64_t* at = checked_indices(index, p.size, name);
  Tensor y = x.copy();
  visit_dtype(x.dtype(), [&]<class T> {
    add_elements(p, at, TensorAccess::data_as<T>(y), static_cast<const T*>(TensorAccess::data_as<T>(src)));
  });
  return y;
}
void op::ScatterAdd::vjp(VjpContext<ScatterAdd>& ctx) {
  if (ctx.needs_grad(0)) ctx.add(0, ctx.grad_output());
  if (ctx.needs_grad(2)) ctx.add(2, gather(ctx.grad_output(), ctx.op().axis, ctx.input<1>()));
}

// ---- an index for each entry ----

namespace {

/// Entries of one element: of two outers at a time, so that an index is read once for both.
template <class T>
void copy_elements(const Picks& p, const std::int64_t* index, const T* from, T* out) {
  const auto copy = [=](auto rows, std::int64_t o, std::int64_t first, std::int64_t last) {
    const T* const x = from + o * p.size;
    T* const y = out + o * p.count;
    detail::simd_for(last - first, [=, at = first](std::int64_t j) {
      const std::int64_t i = index[at + j];
      for (std::int64_t r = 0; r < rows; ++r) y[r * p.count + at + j] = x[r * p.size + i];
    });
  };
  using One = std::integral_constant<std::int64_t, 1>;
  using Two = std::integral_constant<std::int64_t, 2>;
  Picks pairs = p;
  pairs.outer = p.outer / 2;
  pairs.inner = 2;
  for_each_pick(pairs, [&](std::int64_t o, auto... range) { copy(Two{}, 2 * o, range...); });
  if (p.outer % 2 == 0) return;
  Picks last = p;
  last.outer = 1;
  for_each_pick(last, [&](std::int64_t, auto... range) { copy(One{}, p.outer - 1, range...); });
}

/// Entries of so many bytes, a constant where they are few, so that no function is called for each.
template <class Bytes>
void copy_entries(const Picks& p, const std::int64_t* index, const std::byte* from, std::byte* out,
                  Bytes bytes) {
  for_each_pick(p, [=](std::int64_t o, std::int64_t first, std::int64_t last) {
    for (std::int64_t j = first; j < last; ++j)
      std::memcpy(out + static_cast<std::size_t>(o * p.count + j) * bytes,
                  from + static_cast<std::size_t>(o * p.size + index[j]) * bytes, bytes);
  });
}

/// f(bytes), a constant where it is that of two to four elements.
template <std::size_t... Count, class F>
void with_small_size(std::size_t bytes, std::index_sequence<Count...>, F&& f) {
  const bool small =
      ((bytes == 8 + 4 * Count && (f(std::integral_constant<std::size_t, 8 + 4 * Count>{}), true)) || ...);
  if (!small) f(bytes);
}

}  // namespace

Tensor op::IndexSelect::forward(const Tensor& x, const Tensor& indices) const {
  const Picks p = entry_picks(x.shape(), axis, indices, name);
  const std::int64_t* at = checked_indices(indices, p.size, name);
  Tensor y = Tensor::empty(x.shape().with(axis, p.count), x.dtype());
  if (y.size() == 0) return y;
  if (p.inner == 1)
    visit_dtype(x.dtype(), [&]<class T> {
      copy_elements(p, at, static_cast<const T*>(TensorAccess::data_as<T>(x)), TensorAccess::data_as<T>(y));
    });
  else
    with_small_size(
        static_cast<std::size_t>(p.inner) * size_of(x.dtype()), std::make_index_sequence<7>{},
        [&](auto bytes) { copy_entries(p, at, TensorAccess::data(x), TensorAccess::data(y), bytes); });
  return y;
}
void op::IndexSelect::vjp(VjpContext<IndexSelect>& ctx) {
  ctx.add(0, index_add(Tensor::full(ctx.input_shape(0), detail::kNothing, ctx.input_dtype(0)), ctx.op().axis,
                       ctx.input<1>(), ctx.grad_output()));
}
void op::IndexSelect::vjp_fused(VjpContext<IndexSelect>& ctx) {
  const Tensor indices = ctx.input<1>();
  const Picks p = entry_picks(ctx.input_shape(0), ctx.op().axis, indices, name);
  const std::int64_t* at = checked_indices(indices, p.size, name);
  add_picked(ctx, [&]<class T>(T* grad_input, const T* grad_output) {
    add_entries(p, at, grad_input, grad_output);
  });
}

Tensor op::IndexAdd::forward(const Tensor& x, const Tensor& indices, const Tensor& src) const {
  const Picks p = entry_picks(x.shape(), axis, indices, name);
  detail::require_same_dtype(name, x, src, "x", "src");
  if (src.shape() != x.shape().with(axis, p.count))
    throw ShapeError(fmt::format("{}: src is {}; {} indices along axis {} of {} take {}", op_label(name),
                                 to_string(src.shape()), p.count, axis, to_string(x.shape()),
                                 to_string(x.shape().with(axis, p.count))));
  const std::int64_t* at = checked_indices(indices, p.size, name);
  Tensor y = x.copy();
  visit_dtype(x.dtype(), [&]<class T> {
    add_entries(p, at, TensorAccess::data_as<T>(y), static_cast<const T*>(TensorAccess::data_as<T>(src)));
  });
  return y;
}
void op::IndexAdd::vjp(VjpContext<IndexAdd>& ctx) {
  if (ctx.needs_grad(0)) ctx.add(0, ctx.grad_output());
  if (ctx.needs_grad(2)) ctx.add(2, index_select(ctx.grad_output(), ctx.op().axis, ctx.input<1>()));
}

// ---- one_hot ----

Tensor op::OneHot::forward(const Tensor& labels) const {
  detail::require_indices(name, labels);
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
  return apply_op(op::Gather{.axis = small_axis(x, axis, op::Gather::name)}, x, index);
}
Tensor index_select(const Tensor& x, std::int64_t axis, const Tensor& indices) {
  return apply_op(op::IndexSelect{.axis = small_axis(x, axis, op::IndexSelect::name)}, x, indices);
}
Tensor scatter_add(const Tensor& x, std::int64_t axis, const Tensor& index, const Tensor& src) {
  return apply_op(op::ScatterAdd{.axis = small_axis(x, axis, op::ScatterAdd::name)}, x, index, src);
}
Tensor index_add(const Tensor& x, std::int64_t axis, const Tensor& indices, const Tensor& src) {
  return apply_op(op::IndexAdd{.axis = small_axis(x, axis, op::IndexAdd::name)}, x, indices, src);
}

Tensor one_hot(const Tensor& labels, std::int64_t classes, Dtype dtype) {
  if (classes < 0)
    throw ArgumentError(
        fmt::format("{}: {} classes; there must be at least 0", op_label(op::OneHot::name), classes));
  return apply_op(op::OneHot{.classes = classes, .dtype = dtype}, labels);
}

template const OpInfo& detail::info_of<op::Gather>();
template const OpInfo& detail::info_of<op::ScatterAdd>();
template const OpInfo& detail::info_of<op::IndexSelect>();
template const OpInfo& detail::info_of<op::IndexAdd>();
template const OpInfo& detail::info_of<op::OneHot>();

}  // namespace tapegrad
