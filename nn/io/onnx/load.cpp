#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/program.h>

#include <fmt/format.h>

namespace tapegrad::nn {

OnnxModel::OnnxModel(std::shared_ptr<const onnx::Program> program, const std::vector<Tensor>& parameters)
    : program_(std::move(program)) {
  for (const Tensor& t : parameters) parameters_.emplace_back(t);
}

OnnxModel::OnnxModel(OnnxModel&&) noexcept = default;
OnnxModel::~OnnxModel() = default;

void OnnxModel::visit(Visitor& v) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) v(program_->parameter_names()[i], parameters_[i]);
}

std::vector<Tensor> OnnxModel::run(std::span<const Tensor> inputs) {
  const NameScope inside = scope();
  return program_->run(inputs, parameters_);
}

Tensor OnnxModel::forward(const Tensor& x) {
  if (program_->inputs().size() != 1 || program_->outputs().size() != 1)
    throw ArgumentError(
        fmt::format("onnx: the model has {} inputs and {} outputs; call run() with a tensor for each input",
                    program_->inputs().size(), program_->outputs().size()));
  return program_->run({&x, 1}, parameters_)[0];
}

std::vector<std::string> OnnxModel::input_names() const {
  std::vector<std::string> names;
  for (const onnx::ValueInfo& v : program_->inputs()) names.push_back(v.name);
  return names;
}

std::vector<std::string> OnnxModel::output_names() const {
  std::vector<std::string> names;
  for (const onnx::ValueInfo& v : program_->outputs()) names.push_back(v.name);
  return names;
}

const Metadata& OnnxModel::metadata() const { return program_->metadata(); }

std::unique_ptr<ModuleBase> OnnxModel::new_like() const {
  return std::unique_ptr<ModuleBase>(new OnnxModel(program_, program_->parameters_like()));
}

std::unique_ptr<OnnxModel> load_onnx(const std::string& path) {
  onnx::Model model = onnx::read_model(path);
  try {
    auto program = std::make_shared<onnx::Program>(std::move(model));
    const std::vector<Tensor> parameters = program->take_initial_parameters();
    return std::unique_ptr<OnnxModel>(new OnnxModel(std::move(program), parameters));
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}': {}", path, e.what()));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("'{}': there is not enough memory for the model", path));
  }
}

}  // namespace tapegrad::nn
