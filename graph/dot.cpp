#include <algorithm>
#include <map>
#include <string_view>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/dot.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/tape_view.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

using Node = TapeView::Node;

constexpr const char* kValueColor = "#2c5f8a";
constexpr const char* kGradientColor = "#b5302a";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string value_text(const Tensor& t) {
  constexpr std::int64_t kShown = 4;
  if (t.size() > kShown) return to_string(t.shape());
  std::string text = to_string(t);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// The tape with what is to be said of its tensors.
class Drawing {
 public:
  Drawing(const Tape& tape, const DotOptions& options)
      : tape_(tape), options_(options), tensors_(tape_.size()), uses_(tape_.size()) {
    for (const DotTensor& t : options.tensors) {
      const std::optional<std::size_t> node = tape_.find(t.tensor);
      if (!node)
        throw NotTracked(
            fmt::format("to_dot: the tensor '{}'{} is not on this tape; give what watch or an operation "
                        "returned while it was active",
                        t.name, t.tensor.defined() ? " of shape " + to_string(t.tensor.shape()) : ""));
      if (t.gradient.defined() && t.gradient.shape() != t.tensor.shape())
        throw ShapeError(fmt::format("to_dot: the gradient of '{}' has shape {}, the tensor has {}", t.name,
                                     to_string(t.gradient.shape()), to_string(t.tensor.shape())));
      tensors_[*node] = &t;
    }
    for (const Node n : tape_)
      for (std::size_t i = 0; i < n.inputs(); ++i)
        if (const auto from = n.input(i).node()) ++uses_[*from];
  }

  std::string text() const {
    std::string nodes;
    std::string edges;
    std::map<std::string_view, std::string> modules;
    for (const Node n : tape_) {
      // Parameters stand outside the frames: several modules may read one.
      const bool framed = !n.scope().empty() && !n.is_leaf();
      (framed ? modules[n.scope()] : nodes) += "  " + node_line(n);
      for (std::size_t i = 0; i < n.inputs(); ++i) edges += input_lines(n, i);
      if (const DotTensor* t = tensors_[n.index()]; t && uses_[n.index()] == 0) {
        edges += fmt::format("  r{} [shape=plaintext, label=\"{}\"];\n", n.index(), escape(t->name));
        edges += edge_lines(n.index(), fmt::format("r{}", n.index()));
      }
    }
    std::string frames;
    std::size_t count = 0;
    for (const auto& [path, lines] : modules)
      frames += fmt::format(
          "  subgraph cluster_{} {{\n  label=\"{}\"; color=\"#999999\"; fontname=Helvetica;\n{}  }}\n",
          count++, escape(path), lines);
    return fmt::format(
        "digraph tape {{\n  rankdir=LR;\n  node [fontname=Helvetica, fontsize=11];\n{}{}{}{}}}\n",
        tensors_.empty() ? "" : "  edge [fontname=Helvetica, fontsize=10];\n", nodes, frames, edges);
  }

 private:
  std::string leaf_name(const Node& n) const {
    if (const DotTensor* t = tensors_[n.index()]; t && !t->name.empty()) return escape(t->name);
    const std::uint64_t id = n.parameter();
    if (id == 0) return "watched";
    const auto& names = options_.parameter_names;
    const auto named = std::find_if(names.begin(), names.end(), [&](const auto& p) { return p.first == id; });
    return named == names.end() ? "parameter" : escape(named->second);
  }

  std::string node_line(const Node& n) const {
    const DotTensor* t = tensors_[n.index()];
    const std::size_t uses = uses_[n.index()];
    std::string label = n.is_leaf() ? leaf_name(n) : std::string(n.op());
    if (options_.attributes) label += attribute_line(n);
    if (t && !n.is_leaf() && uses > 0 && !t->name.empty()) label += "\\n" + escape(t->name);
    label += "\\n" + n.type_text();
    if (t && t->gradient.defined() && uses > 1) label += "\\ngradient " + value_text(t->gradient);
    return fmt::format("n{} [{}label=\"{}\"];\n", n.index(),
                       n.is_leaf() ? "shape=box, style=filled, fillcolor=\"#dbe9f6\", " : "", label);
  }

  static std::string attribute_line(const Node& n) {
    AttributeText attributes;
    n.describe(attributes);
    return attributes.text().empty() ? "" : "\\n" + escape(attributes.text());
  }

  /// What leads into a node from one of its inputs: nothing from an optional one that was not given.
  std::string input_lines(const Node& n, std::size_t i) const {
    const TapeView::Input input = n.input(i);
    if (!input.given()) return {};
    if (const auto from = input.node()) return edge_lines(*from, fmt::format("n{}", n.index()));
    return fmt::format("  c{}_{} [shape=note, fontsize=10, label=\"{}\"];\n  c{}_{} -> n{} [style=dashed];\n",
                       n.index(), i, input.type_text(), n.index(), i, n.index());
  }

  std::string edge_lines(std::size_t from, const std::string& to) const {
    const DotTensor* t = tensors_[from];
    if (!t) return fmt::format("  n{} -> {};\n", from, to);
    std::string lines = fmt::format("  n{} -> {} [label=\"{}\", fontcolor=\"{}\"];\n", from, to,
                                    value_text(t->tensor), kValueColor);
    // Backward in its arrow alone: Graphviz lays both edges side by side.
    if (t->gradient.defined() && uses_[from] <= 1)
      lines += fmt::format("  n{} -> {} [dir=back, label=\"{}\", color=\"{}\", fontcolor=\"{}\"];\n", from,
                           to, value_text(t->gradient), kGradientColor, kGradientColor);
    return lines;
  }

  TapeView tape_;
  const DotOptions& options_;
  // Of each node:
  std::vector<const DotTensor*> tensors_;
  std::vector<std::size_t> uses_;
};

}  // namespace

std::string to_dot(const Tape& tape, const DotOptions& options) { return Drawing(tape, options).text(); }

}  // namespace tapegrad
