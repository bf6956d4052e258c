#include <algorithm>
#include <map>
#include <string_view>

#include <tapegrad/graph/dot.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

using detail::Node;

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

std::string leaf_name(const Node& n, const DotOptions& options) {
  const std::uint64_t id = n.as_leaf().parameter;
  if (id == 0) return "watched";
  const auto& names = options.parameter_names;
  const auto named = std::find_if(names.begin(), names.end(), [&](const auto& p) { return p.first == id; });
  return named == names.end() ? "parameter" : escape(named->second);
}

std::string node_line(const Node& n, const DotOptions& options) {
  if (n.leaf)
    return fmt::format("n{} [shape=box, style=filled, fillcolor=\"#dbe9f6\", label=\"{}\\n{}\"];\n", n.index,
                       leaf_name(n, options), type_text(*n.shape));
  return fmt::format("n{} [label=\"{}\\n{}\"];\n", n.index, n.op->name, type_text(*n.shape));
}

}  // namespace

std::string to_dot(const Tape& tape, const DotOptions& options) {
  std::string nodes;
  std::string edges;
  std::map<std::string_view, std::string> modules;
  for (const Node* n : tape.nodes()) {
    // Parameters stand outside the frames: several modules may read one.
    const bool framed = n->scope && !n->leaf;
    (framed ? modules[n->scope->text()] : nodes) += "  " + node_line(*n, options);
    for (std::size_t i = 0; i < n->inputs; ++i) {
      const detail::Edge& e = n->edges()[i];
      if (e.node) {
        edges += fmt::format("  n{} -> n{};\n", e.node->index, n->index);
      } else {
        edges += fmt::format(
            "  c{}_{} [shape=note, fontsize=10, label=\"{}\"];\n  c{}_{} -> n{} [style=dashed];\n", n->index,
            i, type_text(*e.shape), n->index, i, n->index);
      }
    }
  }
  std::string frames;
  std::size_t count = 0;
  for (const auto& [path, lines] : modules)
    frames += fmt::format(
        "  subgraph cluster_{} {{\n  label=\"{}\"; color=\"#999999\"; fontname=Helvetica;\n{}  }}\n", count++,
        escape(path), lines);
  return fmt::format("digraph tape {{\n  rankdir=LR;\n  node [fontname=Helvetica, fontsize=11];\n{}{}{}}}\n",
                     nodes, frames, edges);
}

}  // namespace tapegrad
