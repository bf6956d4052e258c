#include <algorithm>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/onnx/program.h>
#include <tapegrad/nn/io/onnx/read_tensor.h>
#include <tapegrad/ops/elementwise/math.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::nn::onnx {

namespace {

/// Inputs of operators that are weights, in models that do not say which are. Of others a constant may stand there.
constexpr struct {
  std::string_view type;
  std::size_t input;
} kWeights[] = {{"Conv", 1},
                {"Conv", 2},
                {"ConvTranspose", 1},
                {"ConvTranspose", 2},
                {"Gemm", 1},
                {"Gemm", 2},
                {"MatMul", 0},
                {"MatMul", 1},
                {"BatchNormalization", 1},
                {"BatchNormalization", 2},
                {"PRelu", 1},
                {"Gather", 0},
                {"Add", 0},
                {"Add", 1}};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace

Program::Program(Model model) : model_(std::move(model)) {
  if (model_.outputs.empty()) throw FileError("the model has no output");
  for (const ValueInfo& v : model_.inputs) {
    define(v.name, "input");
    if (!element_of_number(static_cast<std::int64_t>(v.type)))
      throw FileError(fmt::format(
          "the input '{}' has elements of the type {}; floating ones of 16 to 64 bits, integers and "
          "booleans are known here",
          v.name, static_cast<int>(v.type)));
  }
  add_parameters();
  add_constants();
  steps_.reserve(model_.nodes.size());
  for (Node& n : std::exchange(model_.nodes, {})) add_step(std::move(n));
  for (const ValueInfo& v : model_.outputs) outputs_.push_back(find(v.name, "the output of the model"));
  find_last_uses();
}

std::size_t Program::define(const std::string& name, const char* what) {
  if (name.empty()) throw FileError(fmt::format("an {} of the model has no name", what));
  const auto [place, is_new] = places_.try_emplace(name, places_.size());
  if (!is_new) throw FileError(fmt::format("two values have the name '{}'", name));
  return place->second;
}

std::size_t Program::find(const std::string& name, const std::string& reader) const {
  const auto place = places_.find(name);
  if (place == places_.end()) {
    for (const Step& step : steps_)
      if (std::ranges::find(step.node.outputs, name) != step.node.outputs.end())
        throw FileError(fmt::format(
            "{} takes '{}', an output of the node '{}' ({}) of which the first one alone is known here",
            reader, name, step.node.name, step.node.type));
    throw FileError(
        fmt::format("{} takes '{}', which is no input, no initializer, and of no node before it: nodes stand "
                    "behind those whose outputs they take, and there are no cycles",
                    reader, name));
  }
  return place->second;
}

/// The names of initializers that are to be trained.
std::set<std::string, std::less<>> Program::weights() const {
  std::set<std::string, std::less<>> names;
  if (const auto listed = model_.metadata.find(kParametersKey); listed != model_.metadata.end()) {
    for (std::string& name : lines_of(listed->second)) names.insert(std::move(name));
    return names;
  }
  for (const auto& [type, input] : kWeights)
    for (const Node& n : model_.nodes)
      if (n.type == type && input < n.inputs.size()) names.insert(n.inputs[input]);
  // Numbers without an axis are constants of formulas.
  for (const auto& [name, t] : model_.initializers)
    if (t.rank() == 0) names.erase(name);
  return names;
}

void Program::add_parameters() {
  auto& all = model_.initializers;
  const auto rest =
      std::stable_partition(all.begin(), all.end(), [names = weights()](const auto& initializer) {
        return is_floating(initializer.second.dtype()) && names.contains(initializer.first);
      });
  for (auto i = all.begin(); i != rest; ++i) {
    define(i->first, "initializer");
    parameter_names_.push_back(i->first);
    parameter_types_.emplace_back(i->second.shape(), i->second.dtype());
    initial_parameters_.push_back(std::move(i->second));
  }
  all.erase(all.begin(), rest);
}

void Program::add_constants() {
  for (auto& [name, t] : std::exchange(model_.initializers, {}))
    constants_.emplace_back(define(name, "initializer"), std::move(t));
}

std::vector<Tensor> Program::parameters_like() const {
  std::vector<Tensor> all;
  for (const auto& [shape, dtype] : parameter_types_) all.push_back(Tensor::zeros(shape, dtype));
  return all;
}

void Program::add_step(Node node) {
  Step step{std::move(node), nullptr, {}, {}, {}};
  step.row = &row_of(step.node);
  const std::string reader = fmt::format("the node '{}' ({})", step.node.name, step.node.type);
  for (const std::string& input : step.node.inputs)
    step.inputs.push_back(input.empty() ? std::nullopt : std::optional(find(input, reader)));
  // Of most operators the first output alone is known here.
  const bool all_known = step.node.type == "Split" || step.node.type == "TopK";
  const std::size_t known = all_known ? step.node.outputs.size() : 1;
  for (std::size_t i = 0; i < known; ++i) {
    const std::string& name = step.node.outputs[i];
    step.outputs.push_back(name.empty() ? std::nullopt : std::optional(define(name, "output")));
  }
  steps_.push_back(std::move(step));
}

void Program::find_last_uses() {
  std::vector<bool> used(places_.size());
  for (const std::size_t o : outputs_) used[o] = true;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    const auto use = [&](std::size_t place) {
      if (!used[place]) step->last_uses.push_back(place);
      used[place] = true;
    };
    for (const auto& input : step->inputs)
      if (input) use(*input);
    for (const auto& output : step->outputs)
      if (output) use(*output);
  }
}

void Program::require_input(std::size_t i, const Tensor& given) const {
  const ValueInfo& info = model_.inputs[i];
  if (!given.defined())
    throw ArgumentError(fmt::format("onnx: the input '{}' is an undefined tensor", info.name));
  const files::Element element = *element_of_number(static_cast<std::int64_t>(info.type));
  if (const Dtype dtype = files::widened_dtype(element); dtype != given.dtype())
    throw DtypeError(fmt::format("onnx: the input '{}' is of {}; the model takes {}{}", info.name,
                                 name_of(given.dtype()), name_of(dtype),
                                 files::element_of(dtype) == element
                                     ? ""
                                     : fmt::format(" in place of its {}", files::name_of(element))));
  if (given.dtype() == i64)
    if (const auto outside = outside_of(element, given))
      throw ArgumentError(fmt::format("onnx: the input '{}' holds {}", info.name, *outside));
  bool fits = info.sizes.size() == given.rank();
  std::vector<std::string> sizes;
  for (std::size_t k = 0; k < info.sizes.size(); ++k) {
    const auto* const fixed = std::get_if<std::int64_t>(&info.sizes[k]);
    fits = fits && (!fixed || *fixed == given.shape()[k]);
    sizes.push_back(fixed ? fmt::format("{}", *fixed) : std::get<std::string>(info.sizes[k]));
  }
  if (!fits && !info.sizes.empty())
    throw ShapeError(fmt::format("onnx: the input '{}' is {}; the model takes [{}]", info.name,
                                 tapegrad::to_string(given.shape()), fmt::join(sizes, ", ")));
}

std::vector<Tensor> Program::run(std::span<const Tensor> inputs,
                                 std::span<const Parameter> parameters) const {
  if (inputs.size() != model_.inputs.size())
    throw ArgumentError(
        fmt::format("onnx: the model takes {} inputs, {} are given", model_.inputs.size(), inputs.size()));
  std::vector<Tensor> values(places_.size());
  std::size_t place = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    require_input(i, inputs[i]);
    // Booleans are 0 and 1.
    values[place++] =
        model_.inputs[i].type == ElementType::boolean ? cast(not_equal(inputs[i], 0), i64) : inputs[i];
  }
  for (const Parameter& p : parameters) values[place++] = p.value();
  for (const auto& [at, t] : constants_) values[at] = t;
  std::vector<Tensor> arguments;
  for (const Step& step : steps_) {
    const NameScope inside(step.node.name);
    arguments.clear();
    for (const auto& input : step.inputs) arguments.push_back(input ? values[*input] : Tensor());
    const std::vector<Tensor> results = tapegrad::detail::named(
        step.node.type, [&] { return step.row->run(NodeCall(step.node, arguments)); });
    for (std::size_t i = 0; i < step.outputs.size(); ++i)
      if (step.outputs[i]) values[*step.outputs[i]] = results.at(i);
    for (const std::size_t last : step.last_uses) values[last] = Tensor();
  }
  std::vector<Tensor> outputs;
  for (const std::size_t o : outputs_) outputs.push_back(values[o]);
  return outputs;
}

}  // namespace tapegrad::nn::onnx
