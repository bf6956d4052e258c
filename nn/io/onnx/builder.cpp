#include <algorithm>
#include <bit>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/builder.h>
#include <tapegrad/nn/io/onnx/program.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

// ---- terms ----

Term f_of_type(std::string_view type, ElementType output, const std::vector<Term>& inputs,
               std::vector<Attribute> attributes) {
  const auto given = std::ranges::find_if(inputs, [](const Term& t) { return t.builder; });
  return given->builder->node(type, inputs, output, std::move(attributes));
}

Term f(std::string_view type, const std::vector<Term>& inputs, std::vector<Attribute> attributes) {
  return f_of_type(type, inputs.at(0).type, inputs, std::move(attributes));
}

Term number(const Term& like, double value) { return like.builder->number(like.type, value); }

Term operator+(const Term& a, const Term& b) { return f("Add", {a, b}); }
Term operator-(const Term& a, const Term& b) { return f("Sub", {a, b}); }
Term operator*(const Term& a, const Term& b) { return f("Mul", {a, b}); }
Term operator/(const Term& a, const Term& b) { return f("Div", {a, b}); }
Term operator-(const Term& a) { return f("Neg", {a}); }
Term operator==(const Term& a, const Term& b) { return f_of_type("Equal", ElementType::boolean, {a, b}); }
Term operator<(const Term& a, const Term& b) { return f_of_type("Less", ElementType::boolean, {a, b}); }
Term operator>(const Term& a, const Term& b) { return f_of_type("Greater", ElementType::boolean, {a, b}); }

Term cast(const Term& x, ElementType to) {
  if (x.type == to) return x;
  return f_of_type("Cast", to, {x}, {{"to", static_cast<std::int64_t>(to)}});
}

Term as_mask(const Term& x) {
  if (const Term mask = x.builder->mask_behind(x); mask.builder) return mask;
  return cast(x, ElementType::boolean);
}

Term where(const Term& mask, const Term& a, const Term& b) {
  return f_of_type("Where", a.type, {mask, a, b});
}

Term reduce(std::string_view type, const Term& x, const std::vector<std::int64_t>& axes, bool keepdims) {
  if (axes.empty()) return x;
  // Of opset 17 the sum alone takes its axes as an input.
  std::vector<Term> inputs{x};
  std::vector<Attribute> attributes{{"keepdims", std::int64_t{keepdims}}};
  if (type == "ReduceSum")
    inputs.push_back(x.builder->integers(axes));
  else
    attributes.push_back({"axes", axes});
  return f(type, inputs, std::move(attributes));
}

// ---- the builder ----

namespace {

void require_text(const std::string& text) {
  if (!files::is_utf8(text)) throw ArgumentError(fmt::format("save_onnx: the name '{}' is not UTF-8", text));
}

}  // namespace

Builder::Builder(const Graph& graph, const OnnxOptions& options)
    : graph_(graph), terms_(graph.values.size()), free_sizes_(graph.free_sizes.size()) {
  model_.name = options.graph_name;
  model_.metadata = options.metadata;
  model_.metadata[kParametersKey] = "";
  require_text(model_.name);
  for (const auto& [key, value] : model_.metadata) require_text(key), require_text(value);
  const auto reserve = [&](const std::string& name, const char* what) {
    require_text(name);
    if (name.empty() || !names_.emplace(name, 1).second)
      throw ArgumentError(
          fmt::format("save_onnx: the {} '{}' has the name of another, or none; give names of their own in "
                      "OnnxOptions",
                      what, name));
  };
  for (const std::size_t v : graph.inputs) {
    reserve(graph.values[v].name, "input");
    model_.inputs.push_back(info_of(v, graph.values[v].name));
    terms_[v] = {this, graph.values[v].name, type_of(v)};
  }
  for (const std::string& name : graph.output_names) reserve(name, "output");
}

ElementType Builder::type_of(std::size_t value) const {
  return element_type_of(graph_.values[value].value.dtype());
}

ValueInfo Builder::info_of(std::size_t value, std::string name) const {
  ValueInfo info{std::move(name), type_of(value), {}};
  for (const Dim& d : graph_.values[value].dims)
    if (!d.is_free())
      info.sizes.emplace_back(d.constant);
    else
      info.sizes.emplace_back(to_string(d, graph_.free_sizes));
  return info;
}

std::string Builder::unique(std::string name) {
  int& count = names_[name];
  if (count++ == 0) return name;
  std::string numbered;
  do numbered = fmt::format("{}_{}", name, count++);
  while (!names_.emplace(numbered, 1).second);
  return numbered;
}

void Builder::enter(const Operation& op) {
  require_text(op.scope);
  prefix_ = op.scope.empty() ? std::string() : op.scope + "/";
}

Term Builder::node(std::string_view type, const std::vector<Term>& inputs, ElementType output,
                   std::vector<Attribute> attributes, std::size_t number) {
  const std::string name = unique(fmt::format("{}{}", prefix_, type));
  Node n{std::string(type), name, {}, {}, std::move(attributes)};
  for (std::size_t i = 0; i < number; ++i) n.outputs.push_back(unique(fmt::format("{}_unread", name)));
  n.outputs.push_back(name);
  for (const Term& input : inputs) n.inputs.push_back(input.name);
  Term result{this, n.name, output};
  if (type == "Cast" && inputs[0].type == ElementType::boolean) masks_[n.name] = inputs[0];
  model_.nodes.push_back(std::move(n));
  return result;
}

Term Builder::mask_behind(const Term& number) const {
  const auto found = masks_.find(number.name);
  return found == masks_.end() ? Term{} : found->second;
}

Term Builder::constant(const Tensor& t, std::string_view hint) {
  Term result{this, unique(std::string(hint)), element_type_of(t.dtype())};
  model_.initializers.emplace_back(result.name, t);
  return result;
}

Term Builder::number(ElementType type, double value) {
  const auto [place, is_new] = numbers_.try_emplace({type, std::bit_cast<std::uint64_t>(value)});
  if (is_new) {
    const Dtype dtype = type == ElementType::f32 ? f32 : type == ElementType::f64 ? f64 : i64;
    place->second = constant(Tensor::scalar(value, dtype), fmt::format("{:g}", value));
  }
  return place->second;
}

Term Builder::integers(const std::vector<std::int64_t>& values) {
  const auto [place, is_new] = integers_.try_emplace(values);
  if (is_new) place->second = constant(Tensor::from(values), fmt::format("[{}]", fmt::join(values, ",")));
  return place->second;
}

/// Of the first input that has the size.
Term Builder::free_size(std::size_t k) {
  if (!free_sizes_[k].builder) {
    const std::vector<std::int64_t>& axes = graph_.free_sizes[k].axes;
    const auto axis = std::ranges::find_if(axes, [](std::int64_t a) { return a >= 0; });
    const Term& input = terms_[graph_.inputs[static_cast<std::size_t>(axis - axes.begin())]];
    free_sizes_[k] = node("Shape", {input}, ElementType::i64, {{"start", *axis}, {"end", *axis + 1}});
  }
  return free_sizes_[k];
}

Term Builder::grown(const Dim& dim) {
  Term sum;
  for (const auto& [set, factor] : dim.products) {
    Term product;
    for (std::size_t k = 0; k < free_sizes_.size(); ++k)
      if (set >> k & 1) product = product.builder ? product * free_size(k) : free_size(k);
    if (factor != 1) product = product * static_cast<double>(factor);
    sum = sum.builder ? sum + product : product;
  }
  return dim.constant == 0 ? sum : sum + static_cast<double>(dim.constant);
}

Term Builder::sizes(const Dims& dims) {
  std::vector<Term> parts;
  std::vector<std::int64_t> constants;
  const auto end_constants = [&] {
    if (!constants.empty()) parts.push_back(integers(constants));
    constants.clear();
  };
  for (const Dim& d : dims) {
    if (!d.is_free()) {
      constants.push_back(d.constant);
      continue;
    }
    end_constants();
    parts.push_back(grown(d));
  }
  end_constants();
  if (parts.empty()) return integers({});
  return parts.size() == 1 ? parts[0] : f("Concat", parts, {{"axis", std::int64_t{0}}});
}

Term Builder::size(const Dim& dim, ElementType type) {
  if (!dim.is_free()) return number(type, static_cast<double>(dim.constant));
  return cast(f("Squeeze", {sizes({dim})}), type);
}

Term Builder::expanded(const Value& value, Term one) {
  return any_free(value.dims) ? f("Expand", {one, sizes(value.dims)}) : one;
}

Term Builder::term(std::size_t v) {
  if (!terms_[v].builder) {
    const Value& value = graph_.values[v];
    require_text(value.name);
    const Term one = constant(value.value, value.name.empty() ? prefix_ + "constant" : value.name);
    terms_[v] = expanded(value, one);
    if (value.origin == Value::Origin::parameter) model_.metadata[kParametersKey] += one.name + '\n';
  }
  return terms_[v];
}

void Builder::define(std::size_t value, Term term) { terms_[value] = std::move(term); }

Model Builder::finish() && {
  prefix_.clear();
  std::map<std::string, std::string> renamed;
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const std::size_t v = graph_.outputs[i];
    const std::string& name = graph_.output_names[i];
    const Term result = term(v);
    const bool of_node =
        std::ranges::any_of(model_.nodes, [&](const Node& n) { return n.outputs[0] == result.name; });
    if (of_node && !renamed.contains(result.name)) {
      renamed[result.name] = name;
    } else {  // an input, an initializer, or an output already
      Node n{.type = "Identity",
             .name = unique("Identity"),
             .inputs = {result.name},
             .outputs = {name},
             .attributes = {}};
      model_.nodes.push_back(std::move(n));
    }
    model_.outputs.push_back(info_of(v, name));
  }
  const auto rename = [&](std::string& name) {
    if (const auto found = renamed.find(name); found != renamed.end()) name = found->second;
  };
  for (Node& n : model_.nodes) {
    std::ranges::for_each(n.inputs, rename);
    std::ranges::for_each(n.outputs, rename);
  }
  return std::move(model_);
}

}  // namespace tapegrad::nn::onnx
