#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/rows.h>

#include <fmt/format.h>

/// What a tensor of indices picks along an axis, and how threads share it.
namespace tapegrad::detail {

/// The elements of a tensor of indices, each found to be in [0, bound). They are examined where they are
/// used: whoever kept a span of them may have written to it since.
inline const std::int64_t* checked_indices(const Tensor& index, std::int64_t bound, const char* op) {
  const auto* v = TensorAccess::data_as<std::int64_t>(index);
  std::int64_t bad = 0;
  const auto search = [&] {
    bad = first_where(v, index.size(), [bound](std::int64_t i) { return i < 0 || i >= bound; });
  };
  if (index.size() < kLongUnroll)
    search();
  else
    dispatch_isa(search);
  if (bad < index.size())
    throw ArgumentError(fmt::format("{}: index {} at {} of {} is outside [0, {})", op_label(op), v[bad],
                                    index_text(bad, index.shape()), to_string(index.shape()), bound));
  return v;
}

/// What an index tensor picks of x along an axis: `count` for each outer. A pick is a row of `inner` elements, of
/// which each has an index of its own, or that have one together.
struct Picks : AxisView {
  std::int64_t count;
  Picks(const Shape& x, std::size_t axis, std::int64_t picked) : AxisView(x, axis), count(picked) {}
};

/// f(outer, first, last) for picks of each outer, shared among threads: each pick writes elements of its own.
template <class F>
void for_each_pick(const Picks& p, F&& f) {
  const auto picks = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin / p.count, at = begin; at < end; ++o) {
      const std::int64_t next = std::min(end, (o + 1) * p.count);
      f(o, at - o * p.count, next - o * p.count);
      at = next;
    }
  };
  parallel_ranges(p.outer * p.count, grain_for(p.inner), picks);
}

/// f(outer, first, last) for columns of each outer, shared among threads, where picks are added to x: an element gets
/// all that is added to it from one thread, in the order of the picks. Columns are parted for as many threads as there
/// are: narrow ones read a few elements here and a few there.
template <class F>
void for_each_strip(const Picks& p, F&& f) {
  if (p.outer * p.count * p.inner <= kGrain) {
    for (std::int64_t o = 0; o < p.outer; ++o) f(o, std::int64_t{0}, p.inner);
    return;
  }
  constexpr std::int64_t kLeastColumns = 64;
  const std::int64_t parts = blocks_of(threads_here(), p.outer);
  const std::int64_t columns = std::max(kLeastColumns, blocks_of(p.inner, parts));
  const std::int64_t strips = blocks_of(p.inner, columns);
  parallel_ranges(p.outer * strips, grain_for(p.count * std::min(columns, p.inner)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t strip = begin; strip < end; ++strip) {
                      const std::int64_t first = strip % strips * columns;
                      f(strip / strips, first, std::min(p.inner, first + columns));
                    }
                  });
}

/// f(inner), a constant where it is 1, so that there is no loop over a pick of one element.
template <class F>
void with_inner(const Picks& p, F&& f) {
  if (p.inner == 1)
    f(std::integral_constant<std::int64_t, 1>{});
  else
    f(p.inner);
}

}  // namespace tapegrad::detail
