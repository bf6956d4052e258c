#pragma once

#include <cstdint>
#include <span>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/neural/planes.h>
#include <tapegrad/ops/op.h>

/// The operations of max pooling, and their loops over images for what pools as a part of it.
namespace tapegrad {

namespace op {

/// y = the largest element of each window; its gradient goes to where that stands.
struct MaxPool2d {
  static constexpr auto name = "max_pool2d";
  static constexpr auto saves = saves_for(kResidual0);
  static constexpr bool composed = false;
  detail::Window2d window;
  void describe(AttributeVisitor& v) const { describe_window(v, window); }
  Tensor forward(const Tensor& x,
                 Residuals<1>& r) const;  // r[0]: the places of the largest, see empty_places
  Tensor branches(std::span<const Tensor* const> in) const;  // see digits_of
  static void vjp(VjpContext<MaxPool2d>& ctx);
  static void vjp_fused(VjpContext<MaxPool2d>& ctx);
  static void samples(Samples& s);
};

/// Inputs g [n, c, windows], places: images in which each window's element of g is added at its place.
struct MaxPool2dScatter {
  static constexpr auto name = "max_pool2d_scatter";
  static constexpr auto saves = saves_for(kIn1);
  static constexpr bool composed = false;
  detail::Window2d window;
  detail::Size2d image{};
  void describe(AttributeVisitor& v) const {
    describe_window(v, window);
    v("image", std::span<const std::int64_t>(image));
  }
  Tensor forward(const Tensor& g, const Tensor& places) const;
  static void vjp(VjpContext<MaxPool2dScatter>& ctx);
  static void samples(Samples& s);
};

/// Inputs x [n, c, h, w], places: the element of x at each window's place.
struct MaxPool2dGather {
  static constexpr auto name = "max_pool2d_gather";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  detail::Window2d window;
  void describe(AttributeVisitor& v) const { describe_window(v, window); }
  Tensor forward(const Tensor& x, const Tensor& places) const;
  static void vjp(VjpContext<MaxPool2dGather>& ctx);
  static void samples(Samples& s);
};

}  // namespace op

namespace detail {

/// A tensor for the places of the largest elements, [n, c, elements of a plane]: of each plane those of its windows, in
/// order, several in an element.
Tensor empty_places(const Planes& p);
/// The places of an image and of those behind it. Null for an undefined tensor.
std::int64_t* places_from(const Tensor& places, std::int64_t image);
/// The binary digits of places: which of the elements are the largest, for the checker.
Tensor digits_of(const Tensor& places);

/// Images with the elements of g at their places.
template <class T>
void max_pool_scatter(const Planes& p, const T* g, const std::int64_t* places, Destination<T> to);
/// y, and the places where they are not null.
template <class T>
void max_pool_images(const Planes& p, const T* x, T* y, std::int64_t* places);

}  // namespace detail

}  // namespace tapegrad
