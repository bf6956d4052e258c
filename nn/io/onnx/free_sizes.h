#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/nn/io/onnx/trace.h>

/// Graphs that hold for inputs of any size along some axes. Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// The batch, where it is free, then the other names of the options in their order. Throws ArgumentError for options
/// that do not fit the inputs.
std::vector<FreeSize> free_sizes(const std::vector<OnnxTensor>& inputs, const OnnxOptions& options);

/// What to do where a graph does not hold for any of these sizes.
std::string advice(const std::vector<FreeSize>& sizes);
/// "batch and 'sequence'"
std::string names_of(const std::vector<FreeSize>& sizes);

/// By how much each free size is larger than that of the example.
using Growth = std::vector<std::int64_t>;
/// The runs that a graph for all sizes takes: run number m, for each m below 2^n, has the sizes one larger whose bits m
/// has; more runs, with sizes two larger, tell whether what the first ones say is so; and the last one has the
/// example's sizes again, to notice what changes from run to run.
std::vector<Growth> growths_of_runs(std::size_t free_sizes);

/// Inputs that are larger along the free axes: with the items of the example from the second on and round again.
std::vector<OnnxTensor> grown(const std::vector<OnnxTensor>& inputs, const std::vector<FreeSize>& sizes,
                              const Growth& growth);

/// Inputs of the same shapes with other elements, which are much like the given ones: all are from their first half, in
/// another order, and numbers are 3/4 of them, or 1/8 instead of 0. What a network has computed of its inputs outside
/// of operations, as in other threads or of text, is another then.
std::vector<OnnxTensor> varied(const std::vector<OnnxTensor>& inputs);

/// One graph from runs that have grown so. Throws ArgumentError where they are not the same but for sizes that are
/// sums of products of different free sizes.
Graph common_graph(std::span<const Graph> runs, const std::vector<FreeSize>& sizes);

}  // namespace tapegrad::nn::onnx
