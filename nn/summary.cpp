#include <algorithm>
#include <string_view>
#include <typeinfo>
#include <utility>

#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/hook.h>
#include <tapegrad/nn/summary.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// "Conv2d" of the class tapegrad::nn::Conv2d; a template of a function, as activations are, is called as the function.
std::string kind_of(const ModuleBase& m) {
  std::string name = tapegrad::detail::class_name(typeid(m));
  if (const std::size_t function = name.find("<&"); function != std::string::npos) {
    name.erase(0, function + 2);
    name.resize(name.find_first_of("(>,"));
  }
  const std::size_t colons = name.rfind("::", name.find('<'));
  return colons == std::string::npos ? name : name.substr(colons + 2);
}

Shape without_batch(const Shape& s) { return s.rank() == 0 ? s : s.removed(0); }

/// Counts the parameters that a module names itself.
class OwnParameters final : public Visitor {
 public:
  static std::int64_t of(const ModuleBase& m) {
    OwnParameters own;
    const_cast<ModuleBase&>(m).visit(own);  // visit names members and changes nothing
    return own.count_;
  }

 private:
  void parameter(std::string_view, Parameter& p) override { count_ += p.defined() ? p.size() : 0; }
  std::int64_t count_ = 0;
};

/// Whether a module lies within the one with this path.
bool lies_within(std::string_view path, std::string_view outer) {
  return outer.empty() ? !path.empty()
                       : path.size() > outer.size() && path.starts_with(outer) && path[outer.size()] == '.';
}

}  // namespace

Summary summary(Module& net, const Shape& item, Dtype dtype) {
  Summary all;
  all.parameters = net.parameter_count();
  const EvaluationMode evaluation(net);
  const Pause untracked;
  const Hook hook([&](std::string_view path, const ModuleBase& m, const Tensor& y) {
    const std::int64_t own = OwnParameters::of(m);
    // Inner modules are told before those around them.
    const bool holds_others = std::any_of(all.layers.begin(), all.layers.end(),
                                          [&](const LayerSummary& l) { return lies_within(l.path, path); });
    if (!holds_others || own > 0)
      all.layers.push_back({std::string(path), kind_of(m), without_batch(y.shape()), own});
  });
  net(Tensor::zeros(item.inserted(0, 1), dtype));
  return all;
}

std::string to_string(const Summary& summary) {
  struct Line {
    std::string path, kind, output, parameters;
  };
  std::vector<Line> lines{{"layer", "kind", "output", "parameters"}};
  for (const LayerSummary& l : summary.layers)
    lines.push_back({l.path, l.kind, tapegrad::to_string(l.output), fmt::format("{}", l.parameters)});
  lines.push_back({"in all", "", "", fmt::format("{}", summary.parameters)});
  const auto width = [&](std::string Line::*column) {
    std::size_t most = 0;
    for (const Line& l : lines) most = std::max(most, (l.*column).size());
    return most;
  };
  std::string text;
  for (const Line& l : lines)
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>{}}\n", l.path, width(&Line::path), l.kind,
                        width(&Line::kind), l.output, width(&Line::output), l.parameters,
                        width(&Line::parameters));
  return text;
}

}  // namespace tapegrad::nn
