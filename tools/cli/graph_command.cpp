#include <memory>
#include <vector>

#include <tapegrad/graph/dot.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "commands.h"
#include "models.h"
#include "plot/tape.h"
#include "program.h"

namespace tapegrad::cli {

namespace {

struct GraphOptions {
  ModelOptions model;
  std::vector<std::int64_t> inputs{};  ///< empty: MNIST's
  std::int64_t classes = 10;
  std::int64_t batch = 100;
  std::string out;
};

int draw(const GraphOptions& o) {
  Generator generator(0);
  const Shape item = !o.inputs.empty()        ? Shape(o.inputs)
                     : o.model.takes_images() ? Shape{1, 28, 28}
                                              : Shape{784};
  const Model model = build_model(o.model, item, o.classes, generator);
  nn::Module& net = *model.net;
  DotOptions names;
  for (const auto& [name, parameter] : net.parameters())
    names.parameter_names.emplace_back(parameter.id(), name);

  Tape tape;
  const Tensor scores = net(uniform(item.inserted(0, o.batch), generator));
  nn::SoftmaxWithLoss()(scores, Tensor::zeros({o.batch}, i64));
  const std::string what = fmt::format("{}: {} nodes of {}", o.out, tape.size(), model.description);
  if (o.out.ends_with(".svg")) {
    plot::save(o.out, plot::draw_tape(tape, names.parameter_names));
    fmt::print("{}\n", what);
    return 0;
  }
  nn::AtomicFile file(o.out);
  file.write(to_dot(tape, names));
  file.commit();
  fmt::print("{}; draw it with: dot -Tsvg -O {}\n", what, o.out);
  return 0;
}

}  // namespace

void add_graph_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<GraphOptions>();
  GraphOptions& o = *options;
  CLI::App& c = *app.add_subcommand(
      "graph", "Write the recorded tape of a model's training step, as a picture or for Graphviz");
  o.model.add_to(c);
  c.add_option("--inputs", o.inputs,
               "Sizes of an item: 784 by default, or 1,28,28 where the network takes images")
      ->delimiter(',')
      ->check(at_least(1));
  c.add_option("--classes", o.classes, "Width of the output")->check(at_least(1))->capture_default_str();
  c.add_option("--batch", o.batch, "Rows of the input")->check(at_least(1))->capture_default_str();
  c.add_option("--out", o.out, "File to write: a picture where it ends in .svg, otherwise Graphviz DOT")
      ->required();
  c.callback([options, &exit_code] { exit_code = draw(*options); });
}

}  // namespace tapegrad::cli
