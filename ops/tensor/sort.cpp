#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/sort.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

struct ArgSort {  // where the first `count` elements along an axis are, in order
  static constexpr auto name = "argsort";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  std::int64_t count = 0;
  bool descending = false;
  void describe(AttributeVisitor& v) const {
    v("axis", axis), v("count", count), v("descending", descending);
  }
  Tensor forward(const Tensor& x) const;
  static void samples(Samples& s) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    s.add(ArgSort{.count = 1}, {SampleInput::distinct({1})});
    s.add(ArgSort{.count = 7}, {SampleInput::distinct({7})});
    s.add(ArgSort{.count = 0}, {SampleInput::distinct({0})}, "of no elements");
    s.add(ArgSort{.count = 5}, {SampleInput::constant(Tensor::from({2, 1, 2, 1, 1}, f64))}, "ties");
    s.add(ArgSort{.count = 7},
          {SampleInput::constant(Tensor::from({3, 1e300, -kInf, 0, -0.0, kInf, 1e-300}, f64))}, "far");
    s.add(ArgSort{.axis = 1, .count = 2, .descending = true}, {SampleInput::distinct({3, 5})});
    s.add(ArgSort{.axis = 1, .count = 5}, {SampleInput::distinct({2, 5, 3})});
    s.add(ArgSort{.count = 131, .descending = true}, {SampleInput::distinct({131, 263})},
          "for several threads");
  }
};

}  // namespace op

using detail::TensorAccess;

namespace {

/// A number whose order is that of the elements: a NaN is the greatest, and 0 equals -0.
template <class T>
auto key_of(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    using Key = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr Key kSign = ~(std::numeric_limits<Key>::max() >> 1);
    if (x != x) return std::numeric_limits<Key>::max();
    const Key bits = std::bit_cast<Key>(x == T{0} ? T{0} : x);
    return bits & kSign ? static_cast<Key>(~bits) : static_cast<Key>(bits | kSign);
  } else {
    return std::bit_cast<std::uint64_t>(x) ^ (std::uint64_t{1} << 63);
  }
}

template <class Key>
struct Entry {
  Key key;
  std::int64_t index;
  friend bool operator<(const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  }
};

/// Writes where the first `count` of n elements in order are; both `apart` elements from each other.
template <class T, class E>
void sort_row(const T* x, std::int64_t n, std::int64_t apart, std::int64_t count, bool descending, E* entries,
              std::int64_t* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto key = key_of(x[i * apart]);
    entries[i] = {descending ? static_cast<decltype(key)>(~key) : key, i};
  }
  if (count < n) std::nth_element(entries, entries + count, entries + n);
  std::sort(entries, entries + count);
  for (std::int64_t i = 0; i < count; ++i) out[i * apart] = entries[i].index;
}

Tensor in_order(const Tensor& x, std::size_t axis, std::int64_t count, bool descending) {
  return apply_op(op::ArgSort{static_cast<std::uint8_t>(axis), count, descending}, x);
}

ValuesAndIndices gathered(const Tensor& x, std::size_t axis, const Tensor& indices) {
  return {gather(x, static_cast<std::int64_t>(axis), indices), indices};
}

}  // namespace

Tensor op::ArgSort::forward(const Tensor& x) const {
  Tensor y = Tensor::empty(x.shape().with(axis, count), i64);
  if (y.size() == 0) return y;
  const detail::AxisView view(x.shape(), axis);
  visit_dtype(x.dtype(), [&]<class T> {
    using E = Entry<decltype(key_of(T{}))>;
    const T* const in = TensorAccess::data_as<T>(x);
    auto* const out = TensorAccess::data_as<std::int64_t>(y);
    detail::parallel_ranges(view.outer * view.inner, detail::grain_for(view.size),
                            [&](std::int64_t begin, std::int64_t end) {
                              detail::Workspace<E> entries(view.size);
                              for (std::int64_t row = begin; row < end; ++row) {
                                const std::int64_t o = row / view.inner;
                                const std::int64_t i = row % view.inner;
                                sort_row(in + o * view.size * view.inner + i, view.size, view.inner, count,
                                         descending, entries.data(), out + o * count * view.inner + i);
                              }
                            });
  });
  return y;
}

Tensor argsort(const Tensor& x, std::int64_t axis, SortOptions options) {
  const std::size_t a = detail::axis_of(x, axis, op::ArgSort::name);
  return in_order(x, a, x.shape()[a], options.descending);
}

ValuesAndIndices sort(const Tensor& x, std::int64_t axis, SortOptions options) {
  const std::size_t a = detail::axis_of(x, axis, "sort");
  return gathered(x, a, in_order(x, a, x.shape()[a], options.descending));
}

ValuesAndIndices topk(const Tensor& x, std::int64_t k, std::int64_t axis, TopkOptions options) {
  const std::size_t a = detail::axis_of(x, axis, "topk");
  if (k < 0 || k > x.shape()[a])
    throw ArgumentError(fmt::format("{}: k is {}; of the {} elements along axis {} of {} it takes 0 to all",
                                    op_label("topk"), k, x.shape()[a], axis, to_string(x.shape())));
  return gathered(x, a, in_order(x, a, k, options.largest));
}

template const OpInfo& detail::info_of<op::ArgSort>();

}  // namespace tapegrad
