#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/shape.h>

/// The structs behind <tapegrad/ops/tensor/shape.h>; <tapegrad/ops/op.h> explains the pattern. All are
/// linear: the gradient puts each element back where it came from.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Reshape {  // also flatten, squeeze, unsqueeze
  static constexpr auto name = "reshape";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Shape shape{};
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Reshape>& ctx);
  static void samples(Samples& s) {
    s.add(Reshape{.shape = {1, 1}}, {Shape{}});
    s.add(Reshape{.shape = {5, 3}}, {Shape{3, 5}});
    s.add(Reshape{.shape = {2, 3, 1, 101}}, {Shape{606}});
  }
};

struct Permute {
  static constexpr auto name = "permute";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::array<std::uint8_t, Shape::kMaxRank> order{};
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Permute>& ctx);
  static void samples(Samples& s) {
    s.add(Permute{}, {Shape{}});
    s.add(Permute{{1, 0}}, {Shape{3, 5}});
    s.add(Permute{{1, 0}}, {Shape{37, 19}});
    s.add(Permute{{1, 0}}, {Shape{263, 131}}, "for several threads");
    s.add(Permute{{0, 2, 1}}, {Shape{2, 3, 5}});
    s.add(Permute{{1, 0, 2}}, {Shape{2, 3, 5}});
    s.add(Permute{{2, 0, 1}}, {Shape{2, 3, 5}});
    s.add(Permute{{3, 1, 2, 0}}, {Shape{2, 3, 1, 5}});
  }
};

struct Flip {
  static constexpr auto name = "flip";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  AxisMask axes = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Flip>& ctx);
  static void samples(Samples& s) {
    s.add(Flip{0b1}, {Shape{7}});
    s.add(Flip{0b1}, {Shape{3, 5}});
    s.add(Flip{0b11}, {Shape{3, 5}});
    s.add(Flip{0b101}, {Shape{2, 3, 5}});
  }
};

/// Elements begin, begin + step, ... along an axis, `count` of them, all within.
struct Slice {
  static constexpr auto name = "slice";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t step = 1;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Slice>& ctx);
  static void vjp_fused(VjpContext<Slice>& ctx);
  static void samples(Samples& s) {
    s.add(Slice{.begin = 2, .count = 3}, {Shape{7}});
    s.add(Slice{.begin = 5, .count = 3, .step = -2}, {Shape{7}});
    s.add(Slice{.begin = 1, .count = 2}, {Shape{5, 3}});
    s.add(Slice{.axis = 1, .begin = 1, .count = 2, .step = 3}, {Shape{3, 5}});
    s.add(Slice{.axis = 1, .begin = 2, .count = 3, .step = -1}, {Shape{2, 3, 5}});
  }
};

/// Zeros, with x in place of the elements that such a slice of the result would take: the gradient of Slice.
struct Unslice {
  static constexpr auto name = "unslice";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  std::int64_t begin = 0;
  std::int64_t extent = 0;  ///< of the axis
  std::int64_t step = 1;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Unslice>& ctx);
  static void samples(Samples& s) {
    s.add(Unslice{.begin = 2, .extent = 7}, {Shape{3}});
    s.add(Unslice{.begin = 5, .extent = 7, .step = -2}, {Shape{3}});
    s.add(Unslice{.axis = 1, .begin = 1, .extent = 5, .step = 3}, {Shape{3, 2}});
  }
};

struct Concat {
  static constexpr auto name = "concat";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  Tensor forward(std::span<const Tensor* const> parts) const;
  static void vjp(VjpContext<Concat>& ctx);
  static void samples(Samples& s) {
    s.add(Concat{}, {Shape{3}});
    s.add(Concat{}, {Shape{3}, Shape{1}, Shape{5}});
    s.add(Concat{}, {Shape{2, 3}, Shape{1, 3}});
    s.add(Concat{}, {Shape{2, 3}, Shape{2, 3}});
    s.add(Concat{.axis = 1}, {Shape{2, 3}, Shape{2, 1}, Shape{2, 5}, Shape{2, 2}, Shape{2, 1}});
    s.add(Concat{.axis = 1}, {Shape{3, 2, 5}, Shape{3, 1, 5}});
  }
};

struct Pad {
  static constexpr auto name = "pad";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::array<Padding, Shape::kMaxRank> padding{};
  double value = 0;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Pad>& ctx);
  static void samples(Samples& s) {
    s.add(Pad{{{{2, 3}}}, 1.5}, {Shape{5}});
    s.add(Pad{{{{0, 0}, {1, 2}}}}, {Shape{3, 5}});
    s.add(Pad{{{{1, 0}, {0, 0}, {2, 1}}}}, {Shape{2, 3, 5}});
  }
};

struct BroadcastTo {
  static constexpr auto name = "broadcast_to";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Shape shape{};
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<BroadcastTo>& ctx);
  static void samples(Samples& s) {
    s.add(BroadcastTo{{3, 5}}, {Shape{}});
    s.add(BroadcastTo{{3, 5}}, {Shape{5}});
    s.add(BroadcastTo{{3, 5}}, {Shape{3, 1}});
    s.add(BroadcastTo{{2, 3, 5}}, {Shape{1, 3, 1}});
    s.add(BroadcastTo{{2, 3, 5}}, {Shape{3, 5}});
    s.add(BroadcastTo{{601, 2}}, {Shape{2}});
  }
};

}  // namespace TAPEGRAD_API
