#include <string_view>

#include <tapegrad/ops/neural/conv_ops.h>
#include <tapegrad/ops/samples.h>

/// The points at which the checker tries the three operations of a convolution: one list of geometries for all.
namespace tapegrad::op {

namespace {

using detail::both_sides;
using detail::Size2d;

struct Geometry {
  std::string_view label;
  Window2d window;
  std::int64_t groups;
  Shape x;
  std::int64_t out;  ///< channels of y
  bool bias = false;

  Shape weight() const { return {out, x[1] / groups, window.kernel[0], window.kernel[1]}; }
  Size2d size() const { return {x[2], x[3]}; }
  Shape y() const {
    const Size2d size = detail::windows_of("conv2d", x, window);
    return {x[0], out, size[0], size[1]};
  }
};

/// f(geometry) for each.
template <class F>
void for_each_geometry(const F& f) {
  const Geometry all[] = {
      {"", {.kernel = {2, 3}}, 1, {2, 2, 4, 5}, 3, true},
      {"one weight", {.kernel = {1, 1}}, 1, {2, 3, 2, 2}, 2},
      {"input and weight of one shape", {.kernel = {2, 2}}, 1, {2, 2, 2, 2}, 2},
      {"result and weight of one shape", {.kernel = {2, 2}}, 1, {2, 2, 3, 3}, 2},
      {"the kernel is the image", {.kernel = {3, 2}}, 1, {1, 2, 3, 2}, 2, true},
      {"padding", {.kernel = {3, 3}, .padding = both_sides({1, 2})}, 1, {1, 2, 3, 3}, 2},
      {"other padding at the end",
       {.kernel = {2, 2}, .padding = {{{0, 1}, {2, 1}}}},
       1,
       {1, 1, 3, 2},
       2,
       true},
      {"more padding than the kernel", {.kernel = {2, 1}, .padding = both_sides({3, 2})}, 1, {1, 1, 2, 2}, 1},
      {"stride", {.kernel = {3, 2}, .stride = {2, 3}, .padding = both_sides({1, 0})}, 1, {2, 1, 6, 7}, 2},
      {"a stride beyond the kernel", {.kernel = {1, 2}, .stride = {3, 3}}, 1, {1, 2, 5, 6}, 2, true},
      {"dilation", {.kernel = {2, 3}, .dilation = {3, 2}}, 1, {1, 2, 5, 6}, 2},
      {"stride and dilation",
       {.kernel = {3, 3}, .stride = {2, 4}, .padding = both_sides({2, 3}), .dilation = {4, 2}},
       1,
       {1, 1, 8, 7},
       2},
      {"groups", {.kernel = {2, 2}, .padding = both_sides({1, 0})}, 2, {2, 4, 3, 3}, 6, true},
      {"depthwise", {.kernel = {3, 3}, .padding = both_sides({1, 1})}, 3, {1, 3, 4, 4}, 3},
      {"beyond one tile", {.kernel = {2, 2}}, 1, {1, 17, 4, 14}, 35},
      {"for several threads", {.kernel = {3, 3}, .padding = both_sides({1, 1})}, 1, {4, 8, 31, 33}, 16, true},
      {"Winograd's filtering", {.kernel = {3, 3}, .padding = both_sides({1, 1})}, 1, {2, 16, 7, 9}, 16, true},
      {"depthwise with a stride",
       {.kernel = {3, 3}, .stride = {2, 2}, .padding = both_sides({1, 1})},
       3,
       {1, 3, 7, 8},
       3,
       true},
  };
  for (const Geometry& g : all) f(g);
}

SampleInput bias_of(bool given, std::int64_t channels) {
  return given ? SampleInput(Shape{channels}) : SampleInput::absent();
}

}  // namespace

void Conv2d::samples(Samples& s) {
  for_each_geometry([&](const Geometry& g) {
    s.add(Conv2d{g.window, g.groups}, {g.x, g.weight(), bias_of(g.bias, g.out)}, g.label);
  });
  const Geometry g{
      "", {.kernel = {2, 2}, .stride = {1, 2}, .padding = both_sides({1, 1})}, 1, {1, 2, 3, 3}, 2};
  s.add(Conv2d{g.window, 1, Gradient::left}, {g.x, g.weight(), SampleInput::absent()}, "gradient and weight");
  s.add(Conv2d{g.window, 1, Gradient::right}, {g.x, g.weight(), SampleInput::absent()}, "input and gradient");
  s.add(Conv2d{g.window, 1, Gradient::both}, {g.x, g.weight(), SampleInput::absent()},
        "gradient and gradient");
}

void Conv2dRelu::samples(Samples& s) {
  for_each_geometry([&](const Geometry& g) {
    s.add(Conv2dRelu{g.window, g.groups}, {g.x, g.weight(), bias_of(g.bias, g.out)}, g.label);
  });
  s.add(Conv2dRelu{{.kernel = {2, 2}}},
        {SampleInput::of(Tensor::ones({1, 2, 3, 3}, f64)), Shape{3, 2, 2, 2}, Shape{3}}, "equal elements");
}

void ConvTranspose2d::samples(Samples& s) {
  for_each_geometry([&](const Geometry& g) {
    s.add(ConvTranspose2d{g.window, g.groups, g.size()}, {g.y(), g.weight(), bias_of(g.bias, g.x[1])},
          g.label);
  });
  const Geometry g{
      "", {.kernel = {2, 2}, .stride = {1, 2}, .padding = both_sides({1, 1})}, 1, {1, 2, 3, 3}, 2};
  s.add(ConvTranspose2d{g.window, 1, g.size(), Gradient::left}, {g.y(), g.weight(), SampleInput::absent()},
        "gradient and weight");
  s.add(ConvTranspose2d{g.window, 1, g.size(), Gradient::right}, {g.y(), g.weight(), SampleInput::absent()},
        "result and gradient");
  s.add(ConvTranspose2d{g.window, 1, g.size(), Gradient::both}, {g.y(), g.weight(), SampleInput::absent()},
        "gradient and gradient");
}

void ConvWeight2d::samples(Samples& s) {
  for_each_geometry([&](const Geometry& g) {
    s.add(ConvWeight2d{g.window, g.groups}, {g.x, g.y()}, g.label);
  });
  const Geometry g{
      "", {.kernel = {2, 2}, .stride = {1, 2}, .padding = both_sides({1, 1})}, 1, {1, 2, 3, 3}, 2};
  s.add(ConvWeight2d{g.window, 1, Gradient::left}, {g.x, g.y()}, "gradient and result");
  s.add(ConvWeight2d{g.window, 1, Gradient::right}, {g.x, g.y()}, "input and gradient");
  s.add(ConvWeight2d{g.window, 1, Gradient::both}, {g.x, g.y()}, "gradient and gradient");
}

}  // namespace tapegrad::op
