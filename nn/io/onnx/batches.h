#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/nn/io/onnx/trace.h>

/// What of a graph grows with the batch. Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// The axis of each input that counts the items of a batch; -1 where there is none. Throws ArgumentError for options
/// that do not fit the inputs.
std::vector<std::int64_t> batch_axes(const std::vector<OnnxTensor>& inputs, const OnnxOptions& options);

/// Inputs of more items: those of the example, from the second on and round again.
std::vector<OnnxTensor> with_more_items(const std::vector<OnnxTensor>& inputs,
                                        const std::vector<std::int64_t>& axes, std::int64_t more);

/// One graph from runs on batches of which each has one item more than the one before, or from runs on the same inputs.
/// Throws ArgumentError where they are not the same but for sizes that grow linearly.
Graph common_graph(std::span<const Graph> runs, const std::vector<OnnxTensor>& inputs,
                   const std::vector<std::int64_t>& axes);

}  // namespace tapegrad::nn::onnx
