#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/kernels/window_rows.h>
#include <tapegrad/ops/loops/destination.h>

/// The loops of max_pool2d over one plane of an image. `Place` is the type that keeps where in its window the largest
/// element stands, row major; kNowhere<Place> where all of the window lies in the padding.
namespace tapegrad::detail {

template <class Place>
inline constexpr Place kNowhere = static_cast<Place>(-1);

/// Bytes where they do: that is an eighth of the memory, and of what passes is seldom more.
template <class F>
void with_place_type(const Window2d& w, F&& f) {
  if (w.kernel[0] <= kNowhere<std::uint8_t> && w.kernel[1] <= kNowhere<std::uint8_t> &&
      w.area() <= kNowhere<std::uint8_t>)
    f.template operator()<std::uint8_t>();
  else
    f.template operator()<std::int64_t>();
}

/// Windows of 2 x 2 side by side, none of them in the padding: the usual ones, which loops of their own do at the speed
/// of memory.
inline bool is_two_by_two(const Window2d& w, const WindowRows& rows) {
  return w.kernel == Size2d{2, 2} && w.stride == Size2d{2, 2} && w.dilation == Size2d{1, 1} &&
         rows.h.before == 0 && rows.w.before == 0 && 2 * rows.h.windows <= rows.h.size &&
         2 * rows.w.windows <= rows.w.size;
}

/// Places while they are compared: as wide as an element, so that the same vectors choose both.
template <class T, class Place>
using WidePlace = std::conditional_t<sizeof(Place) == 1 && sizeof(T) == 4, std::int32_t, std::int64_t>;

/// Whether v takes the place of the largest so far: the first of equal ones stays, a NaN is the largest. Without `||`,
/// which would be a branch.
template <class T>
bool is_larger(T v, T largest) {
  return static_cast<bool>(static_cast<int>(v > largest) | static_cast<int>(v != v));
}

// ---- forward ----

template <class Wide, class Place>
void write_places(std::int64_t n, const Wide* from, Place* to) {
  simd_for_overlapping(n, [=](std::int64_t i) { to[i] = static_cast<Place>(from[i]); });
}

/// y, and where `places` is not null the places.
template <class T>
void max_pool_two_by_two(const WindowRows& rows, const T* x, T* y, std::uint8_t* places) {
  using Wide = WidePlace<T, std::uint8_t>;
  const std::int64_t width = rows.w.size, n = rows.w.windows;
  Workspace<Wide> row(places ? n : 0);
  for (std::int64_t o = 0; o < rows.h.windows; ++o) {
    const T *const top = x + 2 * o * width, *const bottom = top + width;
    T* const out = y + o * n;
    const auto largest = [=](std::int64_t i) {
      T m = top[2 * i];
      Wide place = 0;
      const auto take = [&](T v, Wide at) {
        const bool larger = is_larger(v, m);
        m = larger ? v : m;
        place = larger ? at : place;
      };
      take(top[2 * i + 1], 1);
      take(bottom[2 * i], 2);
      take(bottom[2 * i + 1], 3);
      out[i] = m;
      return place;
    };
    if (places) {
      simd_for_overlapping(n, [=, at = row.data()](std::int64_t i) { at[i] = largest(i); });
      write_places(n, row.data(), places + o * n);
    } else {
      simd_for_overlapping(n, [=](std::int64_t i) { (void)largest(i); });
    }
  }
}

/// For any windows: all of a row together, place by place.
template <class T, class Place>
class MaxPoolRows {
 public:
  explicit MaxPoolRows(const WindowRows& rows)
      : rows_(rows),
        padded_(rows, -std::numeric_limits<T>::infinity()),
        largest_(padded_.in_blocks()),
        places_(padded_.in_blocks()),
        first_(padded_.in_blocks()) {
    for (std::int64_t i = 0; i < first_.size(); ++i) {
      const WindowAxis::Range r = rows.w.places(std::min(i, rows.w.windows - 1));
      first_[i] = r.first < r.last ? static_cast<Wide>(r.first) : kNone;
    }
  }

  /// y, and where `places` is not null the places.
  void plane(const T* x, T* y, Place* places) {
    const std::int64_t n = rows_.w.windows;
    padded_.start(x);
    for (std::int64_t o = 0; o < rows_.h.windows; ++o) {
      padded_.advance(o);
      row(o);
      simd_for_overlapping(n, [from = largest_.data(), to = y + o * n](std::int64_t i) { to[i] = from[i]; });
      if (places) write_places(n, places_.data(), places + o * n);
    }
  }

 private:
  using Wide = WidePlace<T, Place>;
  static constexpr Wide kNone = -1;

  /// The largest of row o, and their places. Nothing is larger than the first place that does not lie in the padding,
  /// until something is.
  void row(std::int64_t o) {
    const WindowAxis::Range r = rows_.h.places(o);
    const bool in_padding = r.first == r.last;
    const std::int64_t blocks = padded_.in_blocks();
    T* const m = largest_.data();
    Wide* const p = places_.data();
    simd_blocks<kUnroll>(0, blocks,
                         [=, first = static_cast<const Wide*>(first_.data()),
                          above = static_cast<Wide>(r.first * rows_.w.kernel)](std::int64_t i) {
                           const Wide f = first[i];
                           m[i] = -std::numeric_limits<T>::infinity();
                           p[i] = in_padding || f == kNone ? kNone : static_cast<Wide>(above + f);
                         });
    for (std::int64_t k = r.first; k < r.last; ++k) {
      const T* const in_row = padded_.row(rows_.h.start(o) + k * rows_.h.dilation);
      for (std::int64_t j = 0; j < rows_.w.places_met(); ++j)
        simd_blocks<kUnroll>(0, blocks,
                             [=, in = in_row + padded_.offset(j),
                              here = static_cast<Wide>(k * rows_.w.kernel + j)](std::int64_t i) {
                               const T v = in[i];
                               const bool larger = is_larger(v, m[i]);
                               m[i] = larger ? v : m[i];
                               p[i] = larger ? here : p[i];
                             });
    }
  }

  const WindowRows& rows_;
  PaddedRows<T> padded_;
  Workspace<T> largest_;
  Workspace<Wide> places_;
  Workspace<Wide> first_;  ///< of the places of each window along w, kNone where all lie in the padding
};

// ---- backward, and its own derivative ----

/// The elements of a plane that places stand for.
class PlacesInPlane {
 public:
  PlacesInPlane(const Window2d& w, const WindowRows& rows)
      : rows_(rows),
        area_(static_cast<std::uint64_t>(w.area())),
        inner_{rows.w.windows_with(0).first, rows.w.windows_with(w.kernel[1] - 1).last} {
    steps_.fill(0);
    for (std::int64_t p = 0; p < std::min(kTable, w.area()); ++p)
      steps_[static_cast<std::size_t>(p)] = offset(step_to(p));
  }

  /// f(window, element) for each window that has one, in order, and f(window, -1) for any other.
  template <class Place, class F>
  void for_each(const Place* places, F&& f) const {
    const std::int64_t n = rows_.w.windows;
    for (std::int64_t o = 0; o < rows_.h.windows; ++o) {
      const std::int64_t row = rows_.h.start(o);
      const WindowAxis::Range r = rows_.h.places(o);
      const bool inner = r.first == 0 && r.last == rows_.h.kernel && inner_.first < inner_.last;
      const std::int64_t first = inner ? inner_.first : n, last = inner ? inner_.last : n;
      const auto any = [&](std::int64_t i) {
        f(o * n + i, element(places[o * n + i], row, rows_.w.start(i)));
      };
      for (std::int64_t i = 0; i < first; ++i) any(i);
      // Of these no place lies in the padding.
      for (std::int64_t i = first, at = row * rows_.w.size + rows_.w.start(first); i < last;
           ++i, at += rows_.w.stride)
        f(o * n + i, at + step(places[o * n + i]));
      for (std::int64_t i = last; i < n; ++i) any(i);
    }
  }

 private:
  static constexpr std::int64_t kTable = 256;

  Size2d step_to(std::int64_t place) const {
    return {place / rows_.w.kernel * rows_.h.dilation, place % rows_.w.kernel * rows_.w.dilation};
  }
  std::int64_t offset(const Size2d& step) const { return step[0] * rows_.w.size + step[1]; }

  /// From the first place of a window to another one.
  std::int64_t step(std::uint8_t place) const { return steps_[place]; }
  std::int64_t step(std::int64_t place) const { return offset(step_to(place)); }

  /// -1 where the place lies in the padding, or is none.
  template <class Place>
  std::int64_t element(Place place, std::int64_t row, std::int64_t column) const {
    if (static_cast<std::uint64_t>(place) >= area_) return -1;
    const Size2d step = step_to(static_cast<std::int64_t>(place));
    const std::int64_t y = row + step[0], x = column + step[1];
    if (y < 0 || y >= rows_.h.size || x < 0 || x >= rows_.w.size) return -1;
    return y * rows_.w.size + x;
  }

  const WindowRows& rows_;
  std::uint64_t area_;
  WindowAxis::Range inner_;  ///< the windows along w of which no place lies in the padding
  std::array<std::int64_t, kTable> steps_;
};

template <class T>
void scatter_two_by_two(const WindowRows& rows, const T* g, const std::uint8_t* places, Destination<T> to) {
  using Wide = WidePlace<T, std::uint8_t>;
  const std::int64_t width = rows.w.size, n = rows.w.windows;
  Workspace<Wide> row(n);
  for (std::int64_t o = 0; o < rows.h.windows; ++o) {
    simd_for_overlapping(
        n, [to = row.data(), from = places + o * n](std::int64_t i) { to[i] = static_cast<Wide>(from[i]); });
    for (Wide half = 0; half < 2; ++half) {
      T* const out = to.data + (2 * o + half) * width;
      const auto pair = [=, in = g + o * n, at = static_cast<const Wide*>(row.data())](auto put) {
        return [=](std::int64_t i) {
          const T v = in[i];
          const Wide place = at[i];
          put(out[2 * i], place == 2 * half ? v : static_cast<T>(kNothing));
          put(out[2 * i + 1], place == 2 * half + 1 ? v : static_cast<T>(kNothing));
        };
      };
      if (to.add)
        simd_for_short(n, pair(AddTo{}));
      else
        simd_for_overlapping(n, pair(WriteTo{}));
      Destination<T>{out + 2 * n, to.add}.clear(width - 2 * n);
    }
  }
  (to + 2 * rows.h.windows * width).clear((rows.h.size - 2 * rows.h.windows) * width);
}

/// What each window has in g goes to the element at its place.
template <class T, class Place>
void scatter_any(const PlacesInPlane& in_plane, const WindowRows& rows, const T* g, const Place* places,
                 Destination<T> to) {
  if (!to.add)
    simd_for(rows.h.size * rows.w.size, [x = to.data](std::int64_t i) { x[i] = static_cast<T>(kNothing); });
  in_plane.for_each(places, [g, x = to.data](std::int64_t window, std::int64_t element) {
    if (element >= 0) x[element] += g[window];
  });
}

/// The element at each window's place.
template <class T, class Place>
void gather_any(const PlacesInPlane& in_plane, const T* x, const Place* places, T* y) {
  in_plane.for_each(places, [x, y](std::int64_t window, std::int64_t element) {
    y[window] = element < 0 ? static_cast<T>(kNothing) : x[element];
  });
}

}  // namespace tapegrad::detail
