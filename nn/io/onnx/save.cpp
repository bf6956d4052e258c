#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/onnx/builder.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/op_rows.h>
#include <tapegrad/nn/io/onnx/trace.h>

#include <fmt/format.h>

namespace tapegrad {

namespace nn::onnx {
namespace {

/// Names that a user has given, in place of those of the tensors.
void rename(std::vector<std::string>& names, const std::vector<std::string>& given, const char* what) {
  if (given.empty()) return;
  if (given.size() != names.size())
    throw ArgumentError(fmt::format("save_onnx: {} {}_names are given, and there are {} {}s", given.size(),
                                    what, names.size(), what));
  names = given;
}

Model model_of(const Graph& graph, const OnnxOptions& options) {
  Builder builder(graph, options);
  for (const Operation& op : graph.operations) {
    builder.enter(op);
    OpContext context(builder, op);
    builder.define(op.output, row_of(*op.table)->emit(context));
  }
  return std::move(builder).finish();
}

}  // namespace
}  // namespace nn::onnx

void detail::save_onnx(const std::string& path, nn::ModuleBase& module, const nn::OnnxForward& forward,
                       const std::vector<nn::OnnxTensor>& inputs, const nn::OnnxOptions& options) {
  if (inputs.empty()) throw ArgumentError("save_onnx: there is no example input");
  std::vector<std::string> names;
  for (const nn::OnnxTensor& input : inputs) {
    if (!input.tensor.defined())
      detail::throw_undefined_tensor("save_onnx", "the example '" + input.name + "'");
    names.push_back(input.name);
  }
  nn::onnx::rename(names, options.input_names, "input");
  std::vector<nn::OnnxTensor> named = inputs;
  for (std::size_t i = 0; i < named.size(); ++i) named[i].name = names[i];

  nn::onnx::Graph graph = nn::onnx::trace(module, forward, named, options);
  nn::onnx::rename(graph.output_names, options.output_names, "output");
  nn::onnx::write_model(path, nn::onnx::model_of(graph, options), options.external_data_above);
}

namespace nn {

void save_onnx(const std::string& path, Module& network, const Tensor& example, const OnnxOptions& options) {
  const auto run = [&](std::span<const Tensor> in) {
    return std::vector<OnnxTensor>{{"output", network(in[0])}};
  };
  tapegrad::detail::save_onnx(path, network, OnnxForward(run), {{"input", example}}, options);
}

void save_onnx(const std::string& path, ModuleBase& module, TensorFunction f,
               const std::vector<Tensor>& examples, const OnnxOptions& options) {
  std::vector<OnnxTensor> inputs;
  for (std::size_t i = 0; i < examples.size(); ++i)
    inputs.push_back({examples.size() == 1 ? "input" : fmt::format("input{}", i), examples[i]});
  const auto run = [&](std::span<const Tensor> in) { return std::vector<OnnxTensor>{{"output", f(in)}}; };
  tapegrad::detail::save_onnx(path, module, OnnxForward(run), inputs, options);
}

}  // namespace nn
}  // namespace tapegrad
