#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/index.h>

/// The structs behind <tapegrad/ops/tensor/index.h>; <tapegrad/ops/op.h> explains the pattern. Gathering and
/// scattering are each other's gradients.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Gather {  // inputs x, index
  static constexpr auto name = "gather";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  Tensor forward(const Tensor& x, const Tensor& index) const;
  static void vjp(VjpContext<Gather>& ctx);
  static void vjp_fused(VjpContext<Gather>& ctx);
  static void samples(Samples& s) {
    s.add(Gather{}, {Shape{5}, SampleInput::constant(Tensor::from({4, 0, 4}, i64))});
    s.add(Gather{.axis = 1},
          {Shape{2, 3}, SampleInput::constant(Tensor::from({{2, 2, 0, 1}, {0, 0, 0, 1}}, i64))});
    s.add(Gather{.axis = 1},
          {Shape{2, 3, 2}, SampleInput::constant(Tensor::from({2, 0, 1, 1}, Shape{2, 1, 2}, i64))});
  }
};

struct ScatterAdd {  // inputs x, index, src
  static constexpr auto name = "scatter_add";
  static constexpr auto saves = saves_for(kNone, kNone, kIn1);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  Tensor forward(const Tensor& x, const Tensor& index, const Tensor& src) const;
  static void vjp(VjpContext<ScatterAdd>& ctx);
  static void samples(Samples& s) {
    s.add(ScatterAdd{}, {Shape{5}, SampleInput::constant(Tensor::from({4, 0, 4}, i64)), Shape{3}});
    s.add(ScatterAdd{}, {Shape{3}, SampleInput::constant(Tensor::from({2, 0, 1}, i64)), Shape{3}});
    s.add(ScatterAdd{.axis = 1},
          {Shape{2, 3}, SampleInput::constant(Tensor::from({{2, 2, 0, 1}, {0, 0, 0, 1}}, i64)), Shape{2, 4}});
  }
};

struct IndexSelect {  // inputs x, indices
  static constexpr auto name = "index_select";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  Tensor forward(const Tensor& x, const Tensor& indices) const;
  static void vjp(VjpContext<IndexSelect>& ctx);
  static void vjp_fused(VjpContext<IndexSelect>& ctx);
  static void samples(Samples& s) {
    s.add(IndexSelect{}, {Shape{5, 3}, SampleInput::constant(Tensor::from({4, 0, 4, 2}, i64))});
    s.add(IndexSelect{.axis = 1}, {Shape{2, 3, 5}, SampleInput::constant(Tensor::from({2, 2}, i64))});
  }
};

struct IndexAdd {  // inputs x, indices, src
  static constexpr auto name = "index_add";
  static constexpr auto saves = saves_for(kNone, kNone, kIn1);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  Tensor forward(const Tensor& x, const Tensor& indices, const Tensor& src) const;
  static void vjp(VjpContext<IndexAdd>& ctx);
  static void samples(Samples& s) {
    s.add(IndexAdd{}, {Shape{5, 3}, SampleInput::constant(Tensor::from({4, 0, 4, 2}, i64)), Shape{4, 3}});
    s.add(IndexAdd{}, {Shape{3, 2}, SampleInput::constant(Tensor::from({2, 0, 1}, i64)), Shape{3, 2}});
    s.add(IndexAdd{.axis = 1}, {Shape{2, 3}, SampleInput::constant(Tensor::from({2, 2}, i64)), Shape{2, 2}});
  }
};

struct OneHot {
  static constexpr auto name = "one_hot";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  std::int64_t classes = 0;
  Dtype dtype = f32;
  Tensor forward(const Tensor& labels) const;
  static void samples(Samples& s) {
    s.add(OneHot{.classes = 3, .dtype = f64}, {SampleInput::constant(Tensor::from({2, 0, 1, 1}, i64))});
  }
};

}  // namespace TAPEGRAD_API
