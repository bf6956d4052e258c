#include "convolutions.h"

#include <fmt/format.h>

namespace tapegrad::bench {

namespace {

constexpr ConvolutionTask kLayers[] = {
    // the middle of residual networks
    {.batch = 8, .in = 64, .out = 64, .side = 56},
    {.batch = 8, .in = 128, .out = 128, .side = 28},
    {.batch = 8, .in = 256, .out = 256, .side = 14},
    {.batch = 8, .in = 256, .out = 256, .side = 7},
    {.batch = 8, .in = 64, .out = 128, .side = 56, .stride = 2},
    {.batch = 8, .in = 64, .out = 256, .side = 56, .kernel = 1},
    {.batch = 8, .in = 256, .out = 64, .side = 56, .kernel = 1},
    // networks of digits
    {.batch = 100, .in = 1, .out = 16, .side = 28},
    {.batch = 100, .in = 1, .out = 32, .side = 28, .kernel = 5},
    {.batch = 100, .in = 16, .out = 16, .side = 28},
    {.batch = 100, .in = 32, .out = 32, .side = 16},
    {.batch = 100, .in = 64, .out = 64, .side = 8},
    // a kernel for each channel
    {.batch = 8, .in = 64, .out = 64, .side = 56, .groups = 64},
    {.batch = 8, .in = 128, .out = 128, .side = 28, .groups = 128},
    {.batch = 8, .in = 128, .out = 128, .side = 56, .stride = 2, .groups = 128},
};

constexpr const char* kPasses[] = {"forward", "input", "weight"};

Workload workload_of(const ConvolutionTask& t) {
  const char* const pass = kPasses[static_cast<std::size_t>(t.pass)];
  const std::string channels = t.groups > 1    ? fmt::format("{}dw", t.in)
                               : t.in == t.out ? fmt::format("{}", t.in)
                                               : fmt::format("{}>{}", t.in, t.out);
  Workload w{.name = fmt::format("conv-{}-{}x{}-{}x{}{}", pass, channels, t.side, t.kernel, t.kernel,
                                 t.stride > 1 ? fmt::format("s{}", t.stride) : ""),
             .description = fmt::format(
                 "a convolution of {} images, {}, beside oneDNN's", t.batch,
                 t.pass == ConvolutionPass::forward ? "forward" : fmt::format("gradient of the {}", pass)),
             .metric = {"speed", "GFLOPS", true}};
  w.per_call =
      2e-9 * static_cast<double>(t.y_size()) * static_cast<double>(t.in / t.groups * t.kernel * t.kernel);
  w.processor_time = true;
  w.make = [t](Contender& c) { return c.convolution(t); };
  return w;
}

}  // namespace

std::vector<Workload> convolution_workloads() {
  std::vector<Workload> all;
  for (ConvolutionTask t : kLayers)
    for (const auto pass : {ConvolutionPass::forward, ConvolutionPass::input, ConvolutionPass::weight}) {
      t.pass = pass;
      all.push_back(workload_of(t));
    }
  return all;
}

}  // namespace tapegrad::bench
