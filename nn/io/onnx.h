#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/tensors.h>

/// Networks as ONNX models (https://onnx.ai), which other runtimes and tools read.
namespace tapegrad::nn {

/// An axis of an input whose size a model leaves open, such as the length of sequences.
struct OnnxFreeAxis {
  std::string name{};     ///< of the size, as "sequence"; axes of one name are of one size
  std::size_t input = 0;  ///< counted from 0
  std::int64_t axis = 1;  ///< of that input
};

/// What save_onnx leaves open, and how it names things.
struct OnnxOptions {
  /// Whether the model takes batches of any size, and not of the example's alone. It names the size "batch".
  bool free_batch = true;
  /// Which axis of each input counts the items of a batch; -1: none. Empty: the first axis of every input.
  std::vector<std::int64_t> batch_axes{};
  /// Axes of other sizes that are free beside the batch, at most four sizes with it:
  ///
  ///     nn::save_onnx("net.onnx", net, tokens, {.free_axes = {{.name = "sequence", .axis = 1}}});
  std::vector<OnnxFreeAxis> free_axes{};
  /// Empty: "input", or "input0", "input1", ... of several; of arguments that hold tensors as in "input1.h".
  std::vector<std::string> input_names{};
  /// Empty: "output"; of several the names in the result (tensors.h), as in "h", or of a vector "0", "1", ...
  std::vector<std::string> output_names{};
  /// Whether the network may take numbers out of what it computes of its inputs, with item(), values(), to_vector(),
  /// mutable_values() or copy(), as to print them. What it decides or computes by them is in the model as it is for the
  /// example; nothing is looked for by a run on other numbers (see save_onnx).
  bool allow_reads = false;
  std::string graph_name = "network";  ///< what the model calls its graph
  Metadata metadata{};                 ///< texts that go along
  /// Where the weights have more bytes than this, those of a kilobyte or more go to a second file, PATH.data, which
  /// has to stay beside the model. The format limits one file to 2^31 - 1 bytes.
  std::uint64_t external_data_above = 2'000'000'000;
};

/// A tensor with the name it has in a model.
struct OnnxTensor {
  std::string name;  ///< as in the model
  Tensor tensor;     ///< an input or an output
};
/// Runs a network on inputs, and returns its results.
using OnnxForward = Callback<std::vector<OnnxTensor>(std::span<const Tensor> inputs)>;

}  // namespace tapegrad::nn

namespace tapegrad::detail {
TAPEGRAD_API void save_onnx(const std::string& path, nn::ModuleBase& module, const nn::OnnxForward& forward,
                            const std::vector<nn::OnnxTensor>& inputs, const nn::OnnxOptions& options);
}  // namespace tapegrad::detail

namespace tapegrad::nn {

/// Writes what a network computes in evaluation mode as an ONNX model: opset 17, IR version 8.
///
///     nn::save_onnx("net.onnx", net, Tensor::zeros({1, 784}));
///
/// The network runs on the example, and each operation that it applies becomes one node or several; its loops, and the
/// branches that it takes by shapes and by its own state, are those of that run. A network that reads numbers which it
/// computes of its inputs (item(), values()), and so may decide by them, throws ArgumentError, unless `allow_reads`;
/// one that opens a tape of its own throws Error. Parameters become initializers under their paths ("fc1.weight"), and
/// nodes are named after the modules they are computed in. What is computed of buffers and constants alone becomes one
/// initializer.
///
/// The network runs again on other numbers of the example's sizes, made of the example's. Where what it computes
/// outside of operations is another then, as by other threads, of text, or of what batch_norm gives beside its result,
/// it is refused; not where `allow_reads` is set or the network throws an Error on these numbers. An example of
/// integers that are all the same stays as it is: give one of different numbers.
///
/// With a free batch the network runs twice more, on one and two items more, repeated from the example, to find what
/// grows with the batch; the model then holds for each. So it does with every free axis, and with several of them
/// together: sizes may be sums of products of different free sizes, as batch * sequence. A number that a free size
/// decides in another way (a mean as x * (1 / batch)), a constant that does, a loop over a free axis, a stride along
/// one, and random numbers throw ArgumentError, naming the operation and the module.
///
/// Values agree with the network's to rounding: expm1, log1p and erfc have the digits of the formulas e^x - 1, ln(1 +
/// x) and 1 - erf(x). Throws ArgumentError for an operation that ONNX has not and that is no composite of what it
/// has, naming it, FileError where the file cannot be written. The file appears complete or not at all.
TAPEGRAD_API void save_onnx(const std::string& path, Module& network, const Tensor& example,
                            const OnnxOptions& options = {});

/// The same of a function that calls the module, such as one that ends in a softmax:
///
///     nn::save_onnx("net.onnx", net, [&](const Tensor& x) { return softmax(net(x)); }, {example});
TAPEGRAD_API void save_onnx(const std::string& path, ModuleBase& module, TensorFunction f,
                            const std::vector<Tensor>& examples, const OnnxOptions& options = {});

/// The same of layer(arguments...), with any arguments and results: all tensors that the arguments hold (tensors.h) are
/// inputs of the model, all that the result holds are outputs.
///
///     nn::save_onnx("cell.onnx", lstm_cell, {x, LstmState{h, c}});
template <class R, class... A>
void save_onnx(const std::string& path, Layer<R(A...)>& layer,
               const std::type_identity_t<std::tuple<std::remove_cvref_t<A>...>>& arguments,
               const OnnxOptions& options = {}) {
  const auto for_each_argument = [](auto& all, auto f) {
    std::size_t i = 0;
    const auto visit = [&](auto& argument) {
      const std::string name = sizeof...(A) == 1 ? "input" : "input" + std::to_string(i);
      ++i;
      if constexpr (lists_tensors<std::remove_cvref_t<decltype(argument)>>)
        for_each_tensor(argument, [&](std::string_view member, Tensor& t) {
          if (t.defined()) f(member.empty() ? name : name + "." + std::string(member), t);
        });
    };
    std::apply([&](auto&... argument) { (visit(argument), ...); }, all);
  };
  auto varied = arguments;
  std::vector<OnnxTensor> inputs;
  for_each_argument(varied, [&](std::string name, Tensor& t) { inputs.push_back({std::move(name), t}); });
  const auto run = [&](std::span<const Tensor> in) {
    std::size_t next = 0;
    for_each_argument(varied, [&](const std::string&, Tensor& t) { t = in[next++]; });
    const R result = std::apply([&](auto&... a) { return layer(std::forward<A>(a)...); }, varied);
    std::vector<OnnxTensor> results;
    for_each_tensor(result, [&](std::string_view name, const Tensor& t) {
      if (t.defined()) results.push_back({name.empty() ? "output" : std::string(name), t});
    });
    return results;
  };
  tapegrad::detail::save_onnx(path, layer, OnnxForward(run), inputs, options);
}

namespace onnx {
class Program;
}

/// A network that was read from an ONNX model. It is computed by the library's operations, node by node, so that it
/// can be trained further: weights are parameters under the names that they have in the model. Of a model that
/// save_onnx wrote these are those of the network that was saved; of others the floating initializers that
/// convolutions, products, normalisations, embeddings and sums take. All else is constant; freeze() parameters that
/// are to be so as well.
///
/// It computes what the model does in inference, in training mode, too: its BatchNormalization goes by the running
/// statistics, its Dropout does nothing.
class TAPEGRAD_API OnnxModel final : public Module {
 public:
  OnnxModel(OnnxModel&&) noexcept;
  ~OnnxModel() override;

  /// The names of inputs and outputs, in the model's order, and what it says about itself.
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  const Metadata& metadata() const;

  /// The outputs for these inputs, in the order of their names. Throws ArgumentError, DtypeError and ShapeError for
  /// inputs that the model does not take (for integers outside of an input's type: ArgumentError), what operations
  /// throw, and FileError for a node that cannot take what it is given.
  std::vector<Tensor> run(std::span<const Tensor> inputs);
  std::vector<Tensor> run(std::initializer_list<Tensor> inputs) {
    return run(std::span<const Tensor>(inputs.begin(), inputs.size()));
  }
  /// The same of a model of one input and one output; of others ArgumentError.
  Tensor forward(const Tensor& x) override;

  void visit(Visitor& v) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  friend TAPEGRAD_API std::unique_ptr<OnnxModel> load_onnx(const std::string& path);
  OnnxModel(std::shared_ptr<const onnx::Program> program, const std::vector<Tensor>& parameters);

  std::shared_ptr<const onnx::Program> program_;
  std::vector<Parameter> parameters_;
};

/// Reads an ONNX model, of save_onnx or of another tool: opsets 13 to 21, with the operators that save_onnx writes and
/// some more (nn/io/onnx/*_operators.cpp lists them). Elements in files of their own are read, from the model's folder
/// or below. Throws FileError for a file that is missing, truncated, damaged or no such model, for one with a cycle,
/// and for a node with an operator or attribute that is not known here, naming it; OutOfMemory where there is no room.
///
/// 16-bit floats are widened to f32, integers of all types (i8 to i32, u8 to u64) and booleans to i64, also those of
/// inputs. The model is then given tensors of these, and computes in them:
///
///   - Integers are computed in 64 bits: what overflows a narrower type, i32 as well, does not wrap as it would there
///     (1 - 2 of u8 is -1, not 255). An input of a narrower type, and what is cast to one, must have values of that
///     type; others are refused, as are those of u64 above the largest i64.
///   - A cast to 16-bit floats neither rounds nor makes infinities of large values.
///   - Powers of integers by integers are exact, and refused where i64 does not hold them. Those of negative exponents
///     are truncated: 2 to the power -1 is 0, and 0 to the power -1 is refused.
///
///     const std::unique_ptr<nn::OnnxModel> net = nn::load_onnx("net.onnx");
///     optim::Adam adam(net->parameters(), 0.001);
TAPEGRAD_API std::unique_ptr<OnnxModel> load_onnx(const std::string& path);

}  // namespace tapegrad::nn
