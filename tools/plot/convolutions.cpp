#include "convolutions.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

void require_planes(const char* what, const Tensor& t) {
  if (t.rank() != 4)
    throw ShapeError(fmt::format("plot: {} of {}; it must have four axes, of which the last two are planes",
                                 what, to_string(t.shape())));
  if (t.dtype() == i64) throw DtypeError(fmt::format("plot: {} of i64; it must be f32 or f64", what));
}

/// The first planes [h, w] of a tensor [..., h, w], as they are numbered in memory.
template <class Label>
std::vector<Image> planes_of(const Tensor& t, std::size_t count, const Label& label) {
  const Tensor numbers = cast(t.detach(), f32);
  const auto columns = static_cast<std::size_t>(t.dim(3));
  const std::size_t size = static_cast<std::size_t>(t.dim(2)) * columns;
  std::vector<Image> images;
  for (std::size_t i = 0; i < count; ++i)
    images.push_back(image_of_range(numbers.values<float>().subspan(i * size, size), columns, label(i)));
  return images;
}

}  // namespace

std::vector<Image> filters_of(const Tensor& weight, std::size_t most) {
  require_planes("filters", weight);
  const auto out = static_cast<std::size_t>(weight.dim(0)), in = static_cast<std::size_t>(weight.dim(1));
  return planes_of(weight, std::min(most, out * in), [&](std::size_t i) {
    return in == 1 ? std::string() : fmt::format("{} of {}", i % in, i / in);
  });
}

std::vector<Image> maps_of(const Tensor& images, std::size_t most) {
  require_planes("maps", images);
  if (images.dim(0) == 0)
    throw ShapeError(fmt::format("plot: maps of {}: there is no image", to_string(images.shape())));
  return planes_of(images, std::min(most, static_cast<std::size_t>(images.dim(1))),
                   [](std::size_t) { return std::string(); });
}

FirstConvolution first_convolution(const nn::Module& net, const nn::Dataset& data, std::int64_t item) {
  const std::unique_ptr<nn::Module> copy = net.clone();
  copy->eval();
  const Pause untracked;
  FirstConvolution first;
  const nn::Hook hook([&](std::string_view path, const nn::ModuleBase& module, const Tensor& output) {
    const auto* const conv = dynamic_cast<const nn::Conv2d*>(&module);
    if (!conv || !first.maps.empty()) return;
    first.layer = path;
    first.filters = filters_of(conv->weight());
    first.maps = maps_of(output);
  });
  const Tensor x = data.batch(item, item + 1).x;
  (*copy)(x);
  if (!first.maps.empty() && x.rank() == 4) first.input = maps_of(x);
  return first;
}

}  // namespace tapegrad::plot
