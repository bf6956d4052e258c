#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/parameter.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/node_call.h>

/// Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// The nodes of a model in the order of computing, with places for their values. It does not change: modules share it.
class Program {
 public:
  /// Throws FileError for a model that is not what it should be: operators that are not known, values that nothing
  /// computes, or that two do.
  explicit Program(Model model);

  /// The places of values in front: inputs, then parameters.
  const std::vector<ValueInfo>& inputs() const { return model_.inputs; }
  const std::vector<ValueInfo>& outputs() const { return model_.outputs; }
  const Metadata& metadata() const { return model_.metadata; }
  const std::vector<std::string>& parameter_names() const { return parameter_names_; }
  /// The values that the model has for them, once.
  std::vector<Tensor> take_initial_parameters() { return std::move(initial_parameters_); }
  /// Tensors of their shapes and dtypes.
  std::vector<Tensor> parameters_like() const;

  /// Throws what operations throw, and FileError for a node that cannot take what it is given; both name the node and
  /// its operator.
  std::vector<Tensor> run(std::span<const Tensor> inputs, std::span<const Parameter> parameters) const;

 private:
  struct Step {
    Node node;
    const OperatorRow* row;
    std::vector<std::optional<std::size_t>> inputs;
    std::vector<std::optional<std::size_t>> outputs;  ///< none of one without a name, which nothing reads
    std::vector<std::size_t> last_uses;               ///< values that no later step reads
  };

  void add_parameters();
  void add_constants();
  void add_step(Node node);
  void find_last_uses();
  std::size_t define(const std::string& name, const char* what);
  std::size_t find(const std::string& name, const std::string& reader) const;
  std::set<std::string, std::less<>> weights() const;
  void require_input(std::size_t i, const Tensor& given) const;

  Model model_;
  std::map<std::string, std::size_t, std::less<>> places_;
  std::vector<std::string> parameter_names_;
  std::vector<Tensor> initial_parameters_;
  std::vector<std::pair<Shape, Dtype>> parameter_types_;
  std::vector<std::pair<std::size_t, Tensor>> constants_;
  std::vector<Step> steps_;
  std::vector<std::size_t> outputs_;
};

/// The entry of the metadata that lists the parameters, each in a line.
inline constexpr const char* kParametersKey = "tapegrad.parameters";

}  // namespace tapegrad::nn::onnx
