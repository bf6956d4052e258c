#pragma once

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

/// Whether v takes the place of the largest so far: the first of equal ones stays, a NaN is the largest.
template <class T>
bool is_larger(T v, T largest) {
  return v > largest || v != v;
}

// ---- forward ----

template <class T>
void max_pool_two_by_two(const WindowRows& rows, const T* x, T* y, std::uint8_t* places) {
  const std::int64_t width = rows.w.size, n = rows.w.windows;
  for (std::int64_t o = 0; o < rows.h.windows; ++o) {
    const T *const top = x + 2 * o * width, *const bottom = top + width;
    T* const out = y + o * n;
    const auto largest = [=](std::int64_t i, auto&& note) {
      T m = top[2 * i];
      std::int32_t place = 0;
      const auto take = [&](T v, std::int32_t at) {
        const bool larger = is_larger(v, m);
        m = larger ? v : m;
        place = larger ? at : place;
      };
      take(top[2 * i + 1], 1);
      take(bottom[2 * i], 2);
      take(bottom[2 * i + 1], 3);
      out[i] = m;
      note(place);
    };
    if (places)
      simd_for_short(n, [=, at = places + o * n](std::int64_t i) {
        largest(i, [=](std::int32_t place) { at[i] = static_cast<std::uint8_t>(place); });
      });
    else
      simd_for_short(n, [=](std::int64_t i) { largest(i, [](std::int32_t) {}); });
  }
}

/// y, and where `places` is not null the places.
template <class T, class Place>
void max_pool_any(const WindowRows& rows, const T* x, T* y, Place* places) {
  // As wide as an element, so that both are compared and chosen by the same vectors.
  using Wide = std::conditional_t<sizeof(Place) == 1 && sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr Wide kNone = -1;
  const std::int64_t n = rows.w.windows;
  Workspace<Wide> row(n);
  for (std::int64_t o = 0; o < rows.h.windows; ++o) {
    T* const largest = y + o * n;
    Wide* const at = row.data();
    simd_for_short(n,
                   [=](std::int64_t i) { largest[i] = -std::numeric_limits<T>::infinity(), at[i] = kNone; });
    rows.for_each_run(o, [&](std::int64_t place, std::int64_t first, std::int64_t count, std::int64_t from) {
      with_stride(rows.w.stride, [&](auto stride) {
        simd_for_short(count, [=, in = x + from, m = largest + first, p = at + first](std::int64_t i) {
          const T v = in[i * stride];
          const bool larger = is_larger(v, m[i]) || p[i] == kNone;
          m[i] = larger ? v : m[i];
          p[i] = larger ? static_cast<Wide>(place) : p[i];
        });
      });
    });
    if (places)
      simd_for_short(n, [=, to = places + o * n](std::int64_t i) { to[i] = static_cast<Place>(at[i]); });
  }
}

// ---- backward, and its own derivative ----

/// The elements of a plane that places stand for.
class PlacesInPlane {
 public:
  PlacesInPlane(const Window2d& w, const WindowRows& rows)
      : rows_(rows), area_(static_cast<std::uint64_t>(w.area())), steps_(kTable < w.area() ? 0 : w.area()) {
    for (std::int64_t p = 0; p < steps_.size(); ++p) steps_[p] = step_to(p);
  }

  /// f(window, element) for each window that has one, in order, and f(window, -1) for any other.
  template <class Place, class F>
  void for_each(const Place* places, F&& f) const {
    for (std::int64_t o = 0, window = 0; o < rows_.h.windows; ++o)
      for (std::int64_t i = 0; i < rows_.w.windows; ++i, ++window)
        f(window, element(places[window], rows_.h.start(o), rows_.w.start(i)));
  }

 private:
  static constexpr std::int64_t kTable = kNowhere<std::uint8_t>;

  Size2d step_to(std::int64_t place) const {
    return {place / rows_.w.kernel * rows_.h.dilation, place % rows_.w.kernel * rows_.w.dilation};
  }
  template <class Place>
  std::int64_t element(Place place, std::int64_t row, std::int64_t column) const {
    if (static_cast<std::uint64_t>(place) >= area_) return -1;
    const Size2d step = sizeof(Place) == 1 ? steps_[static_cast<std::int64_t>(place)]
                                           : step_to(static_cast<std::int64_t>(place));
    const std::int64_t y = row + step[0], x = column + step[1];
    // A place that forward did not find may lie in the padding.
    if (y < 0 || y >= rows_.h.size || x < 0 || x >= rows_.w.size) return -1;
    return y * rows_.w.size + x;
  }

  const WindowRows& rows_;
  std::uint64_t area_;
  Workspace<Size2d> steps_;
};

template <class T>
void scatter_two_by_two(const WindowRows& rows, const T* g, const std::uint8_t* places, Destination<T> to) {
  constexpr T kNone = static_cast<T>(kNothing);
  const std::int64_t width = rows.w.size, n = rows.w.windows;
  for (std::int64_t o = 0; o < rows.h.windows; ++o) {
    T *const top = to.data + 2 * o * width, *const bottom = top + width;
    to.choose([&](auto put) {
      simd_for_short(n, [=, in = g + o * n, at = places + o * n](std::int64_t i) {
        const T v = in[i];
        const std::int32_t place = at[i];
        put(top[2 * i], place == 0 ? v : kNone);
        put(top[2 * i + 1], place == 1 ? v : kNone);
        put(bottom[2 * i], place == 2 ? v : kNone);
        put(bottom[2 * i + 1], place == 3 ? v : kNone);
      });
    });
    (Destination<T>{top + 2 * n, to.add}).clear(width - 2 * n);
    (Destination<T>{bottom + 2 * n, to.add}).clear(width - 2 * n);
  }
  (to + 2 * rows.h.windows * width).clear((rows.h.size - 2 * rows.h.windows) * width);
}

/// What each window has in g goes to the element at its place.
template <class T, class Place>
void scatter_any(const PlacesInPlane& in_plane, const WindowRows& rows, const T* g, const Place* places,
                 Destination<T> to) {
  to.clear(rows.h.size * rows.w.size);
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
