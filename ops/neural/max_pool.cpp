#include <tapegrad/ops/neural/max_pool.h>

#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/max_pool.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/pool_window.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad {

using detail::Planes;
using detail::TensorAccess;
using detail::Window2d;
using detail::WindowRows;

// ---- places ----

namespace {

/// So many places are kept in an element of the tensor of places.
template <class Place>
constexpr std::int64_t kPerElement = static_cast<std::int64_t>(sizeof(std::int64_t) / sizeof(Place));

/// Elements of the tensor of places for each plane.
template <class Place>
std::int64_t elements_of_places(const Planes& p) {
  return detail::blocks_of(p.windows_size(), kPerElement<Place>);
}

/// f(rows, begin, end) for ranges of planes.
template <class Place, class F>
void for_ranges(const Planes& p, F&& f) {
  if constexpr (sizeof(Place) == 1)
    p.for_ranges(f);
  else
    p.for_ranges_of_base(f);
}

}  // namespace

Tensor detail::empty_places(const Planes& p) {
  Tensor places;
  with_place_type(p.window, [&]<class Place> {
    places = Tensor::empty({p.images[0], p.images[1], elements_of_places<Place>(p)}, i64);
  });
  return places;
}

std::int64_t* detail::places_from(const Tensor& places, std::int64_t image) {
  if (!places.defined()) return nullptr;
  return TensorAccess::data_as<std::int64_t>(places) + image * places.shape()[1] * places.shape()[2];
}

Tensor detail::digits_of(const Tensor& places) {
  constexpr std::int64_t kDigits = 64;
  Tensor digits = Tensor::empty({places.size(), kDigits}, i64);
  std::int64_t* to = digits.mutable_values<std::int64_t>().data();
  for (const std::int64_t element : places.values<std::int64_t>())
    for (std::int64_t digit = 0; digit < kDigits; ++digit) *to++ = element >> digit & 1;
  return digits;
}

// ---- loops over images ----

template <class T>
void detail::max_pool_scatter(const Planes& p, const T* g, const std::int64_t* places, Destination<T> to) {
  with_place_type(p.window, [&]<class Place> {
    for_ranges<Place>(p, [&](const WindowRows& rows, std::int64_t begin, std::int64_t end) {
      const PlacesInPlane in_plane(p.window, rows);
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const T* const in = g + plane * p.windows_size();
        const auto* const at = reinterpret_cast<const Place*>(places + plane * elements_of_places<Place>(p));
        const Destination<T> out = to + plane * p.image_size();
        if constexpr (sizeof(Place) == 1)
          if (is_two_by_two(p.window, rows)) {
            scatter_two_by_two(rows, in, at, out);
            continue;
          }
        scatter_any(in_plane, rows, in, at, out);
      }
    });
  });
}

template <class T>
void detail::max_pool_images(const Planes& p, const T* x, T* y, std::int64_t* places) {
  with_place_type(p.window, [&]<class Place> {
    const std::int64_t elements = elements_of_places<Place>(p);
    for_ranges<Place>(p, [&](const WindowRows& rows, std::int64_t begin, std::int64_t end) {
      const auto each = [&](auto&& pool) {
        for (std::int64_t plane = begin; plane < end; ++plane) {
          if (places) places[(plane + 1) * elements - 1] = 0;  // it may not be filled
          pool(x + plane * p.image_size(), y + plane * p.windows_size(),
               places ? reinterpret_cast<Place*>(places + plane * elements) : nullptr);
        }
      };
      if constexpr (sizeof(Place) == 1)
        if (is_two_by_two(p.window, rows))
          return each([&](const T* in, T* out, Place* at) { max_pool_two_by_two(rows, in, out, at); });
      MaxPoolRows<T, Place> any(rows);
      each([&](const T* in, T* out, Place* at) { any.plane(in, out, at); });
    });
  });
}

#define TAPEGRAD_INSTANTIATE(T)                                                           \
  template void detail::max_pool_scatter<T>(const Planes&, const T*, const std::int64_t*, \
                                            detail::Destination<T>);                      \
  template void detail::max_pool_images<T>(const Planes&, const T*, T*, std::int64_t*);
TAPEGRAD_INSTANTIATE(float)
TAPEGRAD_INSTANTIATE(double)
#undef TAPEGRAD_INSTANTIATE

// ---- max_pool2d ----

Tensor op::MaxPool2d::forward(const Tensor& x, Residuals<1>& r) const {
  detail::require_floating(name, x);
  const Planes p(name, x.shape(), window);
  Tensor y = Tensor::empty(p.pooled(), x.dtype());
  if (r.needed()) r[0] = empty_places(p);
  visit_floating(x.dtype(), [&]<class T> {
    max_pool_images(p, TensorAccess::data_as<T>(x), TensorAccess::data_as<T>(y),
                    detail::places_from(r[0], 0));
  });
  return y;
}

void op::MaxPool2d::vjp(VjpContext<MaxPool2d>& ctx) {
  const Shape x = ctx.input_shape(0);
  ctx.add(
      0, apply_op(op::MaxPool2dScatter{ctx.op().window, {x[2], x[3]}}, ctx.grad_output(), ctx.residual<0>()));
}

void op::MaxPool2d::vjp_fused(VjpContext<MaxPool2d>& ctx) {
  const Planes p(name, ctx.input_shape(0), ctx.op().window);
  const Tensor places = ctx.residual<0>();
  visit_floating(ctx.input_dtype(0), [&]<class T> {
    const T* const g = TensorAccess::data_as<T>(ctx.grad_output());
    ctx.accumulate<T>(
        0, [&](detail::Destination<T> to) { max_pool_scatter(p, g, detail::places_from(places, 0), to); });
  });
}

Tensor op::MaxPool2d::branches(std::span<const Tensor* const> in) const {
  std::array<Tensor, 1> places;
  apply_op(*this, places, *in[0]);
  return detail::digits_of(places[0]);
}

// ---- its gradient, and the gradient of that ----

Tensor op::MaxPool2dScatter::forward(const Tensor& g, const Tensor& places) const {
  const Planes p(name, g.shape().with(2, image[0]).with(3, image[1]), window);
  Tensor y = Tensor::empty(p.images, g.dtype());
  visit_floating(g.dtype(), [&]<class T> {
    max_pool_scatter(p, TensorAccess::data_as<T>(g), detail::places_from(places, 0),
                     detail::Destination<T>{TensorAccess::data_as<T>(y), false});
  });
  return y;
}
void op::MaxPool2dScatter::vjp(VjpContext<MaxPool2dScatter>& ctx) {
  ctx.add(0, apply_op(op::MaxPool2dGather{ctx.op().window}, ctx.grad_output(), ctx.input<1>()));
}

Tensor op::MaxPool2dGather::forward(const Tensor& x, const Tensor& places) const {
  const Planes p(name, x.shape(), window);
  Tensor y = Tensor::empty(p.pooled(), x.dtype());
  detail::with_place_type(window, [&]<class Place> {
    const std::int64_t elements = elements_of_places<Place>(p);
    visit_floating(x.dtype(), [&]<class T> {
      for_ranges<Place>(p, [&](const WindowRows& rows, std::int64_t begin, std::int64_t end) {
        const detail::PlacesInPlane in_plane(window, rows);
        for (std::int64_t plane = begin; plane < end; ++plane)
          gather_any(in_plane, TensorAccess::data_as<T>(x) + plane * p.image_size(),
                     reinterpret_cast<const Place*>(detail::places_from(places, 0) + plane * elements),
                     TensorAccess::data_as<T>(y) + plane * p.windows_size());
      });
    });
  });
  return y;
}
void op::MaxPool2dGather::vjp(VjpContext<MaxPool2dGather>& ctx) {
  const Shape x = ctx.input_shape(0);
  ctx.add(0,
          apply_op(op::MaxPool2dScatter{ctx.op().window, {x[2], x[3]}}, ctx.grad_output(), ctx.input<1>()));
}

// ---- samples ----

namespace {

/// Windows and images that differ in all that the loops distinguish.
struct PoolSample {
  Window2d window;
  Shape images;
  const char* label = "";
};
std::vector<PoolSample> pool_samples() {
  using detail::both_sides;
  return {
      {{.kernel = {2, 2}, .stride = {2, 2}}, {2, 3, 4, 6}},
      {{.kernel = {2, 2}, .stride = {2, 2}}, {1, 1, 5, 7}, "a row and a column are left"},
      {{.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true}, {1, 2, 5, 7}, "the last windows overhang"},
      {{.kernel = {3, 3}, .stride = {2, 2}, .padding = both_sides({1, 1})}, {2, 1, 7, 6}, "overlapping"},
      {{.kernel = {3, 2}, .stride = {1, 3}, .padding = both_sides({0, 1}), .dilation = {2, 1}}, {1, 2, 6, 8}},
      {{.kernel = {2, 2}, .stride = {1, 1}, .padding = both_sides({1, 1}), .dilation = {2, 3}},
       {1, 1, 2, 3},
       "windows in the padding"},
      {{.kernel = {1, 3}, .stride = {1, 1}}, {3, 2, 1, 5}, "a sequence"},
      {{.kernel = {16, 17}, .stride = {1, 2}}, {1, 1, 17, 20}, "places of more than a byte"},
      {{.kernel = {2, 2}, .stride = {2, 2}}, {0, 3, 4, 4}, "no images"},
      {{.kernel = {2, 2}, .stride = {2, 2}}, {5, 7, 40, 40}, "for several threads"},
      {{.kernel = {3, 3}, .stride = {2, 2}, .padding = both_sides({1, 1})},
       {5, 7, 39, 40},
       "overlapping, for several threads"},
  };
}

/// The places that forward finds in random images.
Tensor some_places(const PoolSample& sample) {
  Generator g(1);
  std::array<Tensor, 1> places;
  apply_op(op::MaxPool2d{sample.window}, places, uniform(sample.images, g, -2, 2, f64));
  return places[0];
}

}  // namespace

void op::MaxPool2d::samples(Samples& s) {
  for (const PoolSample& p : pool_samples())
    s.add(MaxPool2d{p.window}, {SampleInput::distinct(p.images)}, p.label);
  s.add(MaxPool2d{{.kernel = {2, 2}, .stride = {2, 1}}},
        {SampleInput::distinct({1, 2, 4, 5}, {1e8, 1e8 + 100})}, "far values");
  s.convention(MaxPool2d{{.kernel = {2, 2}, .stride = {2, 2}}},
               Tensor::from({3, 3, 1, 2, 3, 3, 2, 2}, {1, 1, 2, 4}, f64),
               Tensor::from({1, 0, 0, 1, 0, 0, 0, 0}, {1, 1, 2, 4}, f64));
  s.convention(MaxPool2d{{.kernel = {2, 2}, .stride = {1, 1}}}, Tensor::ones({1, 1, 3, 3}, f64),
               Tensor::from({1, 1, 0, 1, 1, 0, 0, 0, 0}, {1, 1, 3, 3}, f64));
}
void op::MaxPool2dScatter::samples(Samples& s) {
  for (const PoolSample& p : pool_samples()) {
    const Shape pooled = Planes(name, p.images, p.window).pooled();
    s.add(MaxPool2dScatter{p.window, {p.images[2], p.images[3]}},
          {pooled, SampleInput::constant(some_places(p))}, p.label);
  }
}
void op::MaxPool2dGather::samples(Samples& s) {
  for (const PoolSample& p : pool_samples())
    s.add(MaxPool2dGather{p.window}, {p.images, SampleInput::constant(some_places(p))}, p.label);
}

// ---- what users call ----

Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& o) {
  return apply_op(op::MaxPool2d{detail::pool_window(op::MaxPool2d::name, x, o, o.dilation)}, x);
}
Tensor max_pool2d(const Tensor& x, std::int64_t kernel) {
  return max_pool2d(x, MaxPool2dOptions{.kernel = kernel});
}
Tensor max_pool1d(const Tensor& x, const MaxPool1dOptions& o) {
  const op::MaxPool2d pool{detail::pool_window("max_pool1d", x, o, o.dilation)};
  return detail::on_sequences(x, [&](const Tensor& images) { return apply_op(pool, images); });
}
Tensor max_pool1d(const Tensor& x, std::int64_t kernel) {
  return max_pool1d(x, MaxPool1dOptions{.kernel = kernel});
}

template const OpInfo& detail::info_of<op::MaxPool2d>();
template const OpInfo& detail::info_of<op::MaxPool2dScatter>();
template const OpInfo& detail::info_of<op::MaxPool2dGather>();

}  // namespace tapegrad
