#include <algorithm>
#include <map>
#include <string_view>

#include <tapegrad/graph/dot.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

using detail::Node;
using detail::TensorAccess;

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

std::string type_text(const detail::PackedShape& s) {
  const Shape shape = s.shape();
  return s.dtype == f32 ? to_string(shape) : fmt::format("{} {}", to_string(shape), name_of(s.dtype));
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
  Drawing(const Tape& tape, const DotOptions& options) : nodes_(tape.nodes()), options_(options) {
    for (const DotTensor& t : options.tensors) {
      const detail::Tag& tag = TensorAccess::tag(t.tensor);
      if (!t.tensor.defined() || !tag.epoch || !tape.is_live(tag.epoch))
        throw NotTracked(
            fmt::format("to_dot: the tensor '{}'{} is not on this tape; give what watch or an operation "
                        "returned while it was active",
                        t.name, t.tensor.defined() ? " of shape " + to_string(t.tensor.shape()) : ""));
      if (t.gradient.defined() && t.gradient.shape() != t.tensor.shape())
        throw ShapeError(fmt::format("to_dot: the gradient of '{}' has shape {}, the tensor has {}", t.name,
                                     to_string(t.gradient.shape()), to_string(t.tensor.shape())));
      tensors_[tag.node] = &t;
    }
    for (const Node* n : nodes_)
      for (std::size_t i = 0; i < n->inputs; ++i)
        if (n->edges()[i].node) ++uses_[n->edges()[i].node];
  }

  std::string text() const {
    std::string nodes;
    std::string edges;
    std::map<std::string_view, std::string> modules;
    for (const Node* n : nodes_) {
      // Parameters stand outside the frames: several modules may read one.
      const bool framed = n->scope && !n->leaf;
      (framed ? modules[n->scope->text()] : nodes) += "  " + node_line(*n);
      for (std::size_t i = 0; i < n->inputs; ++i) {
        const detail::Edge& e = n->edges()[i];
        if (e.node) {
          edges += edge_lines(*e.node, fmt::format("n{}", n->index));
        } else if (e.shape) {
          edges += fmt::format(
              "  c{}_{} [shape=note, fontsize=10, label=\"{}\"];\n  c{}_{} -> n{} [style=dashed];\n",
              n->index, i, type_text(*e.shape), n->index, i, n->index);
        }
      }
      if (const DotTensor* t = shown(*n); t && uses(*n) == 0) {
        edges += fmt::format("  r{} [shape=plaintext, label=\"{}\"];\n", n->index, escape(t->name));
        edges += edge_lines(*n, fmt::format("r{}", n->index));
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
  const DotTensor* shown(const Node& n) const {
    const auto found = tensors_.find(&n);
    return found == tensors_.end() ? nullptr : found->second;
  }
  std::size_t uses(const Node& n) const {
    const auto found = uses_.find(&n);
    return found == uses_.end() ? 0 : found->second;
  }

  std::string leaf_name(const Node& n) const {
    if (const DotTensor* t = shown(n); t && !t->name.empty()) return escape(t->name);
    const std::uint64_t id = n.as_leaf().parameter;
    if (id == 0) return "watched";
    const auto& names = options_.parameter_names;
    const auto named = std::find_if(names.begin(), names.end(), [&](const auto& p) { return p.first == id; });
    return named == names.end() ? "parameter" : escape(named->second);
  }

  std::string node_line(const Node& n) const {
    const DotTensor* t = shown(n);
    std::string label = n.leaf ? leaf_name(n) : n.op->name;
    if (t && !n.leaf && uses(n) > 0 && !t->name.empty()) label += "\\n" + escape(t->name);
    label += "\\n" + type_text(*n.shape);
    if (t && t->gradient.defined() && uses(n) > 1) label += "\\ngradient " + value_text(t->gradient);
    return fmt::format("n{} [{}label=\"{}\"];\n", n.index,
                       n.leaf ? "shape=box, style=filled, fillcolor=\"#dbe9f6\", " : "", label);
  }

  std::string edge_lines(const Node& from, const std::string& to) const {
    const DotTensor* t = shown(from);
    if (!t) return fmt::format("  n{} -> {};\n", from.index, to);
    std::string lines = fmt::format("  n{} -> {} [label=\"{}\", fontcolor=\"{}\"];\n", from.index, to,
                                    value_text(t->tensor), kValueColor);
    // Backward in its arrow alone: Graphviz lays both edges side by side.
    if (t->gradient.defined() && uses(from) <= 1)
      lines += fmt::format("  n{} -> {} [dir=back, label=\"{}\", color=\"{}\", fontcolor=\"{}\"];\n",
                           from.index, to, value_text(t->gradient), kGradientColor, kGradientColor);
    return lines;
  }

  std::vector<const Node*> nodes_;
  const DotOptions& options_;
  std::map<const Node*, const DotTensor*> tensors_;
  std::map<const Node*, std::size_t> uses_;
};

}  // namespace

std::string to_dot(const Tape& tape, const DotOptions& options) { return Drawing(tape, options).text(); }

}  // namespace tapegrad
