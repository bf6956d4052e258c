#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/report/shell_word.h>
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

/// Graphviz makes any picture of DOT; text under the name of a picture would be found out later, elsewhere.
void require_format(const std::string& path) {
  const std::string extension = extension_of(path);
  if (!extension.empty() && extension != ".svg" && extension != ".dot" && extension != ".gv")
    throw ArgumentError(
        fmt::format("--out {}: {} is not among what is written, .svg, .dot and .gv; another picture is made "
                    "by: tapegrad graph --out - | dot -T{} >{}",
                    path, extension, extension.substr(1), gradcheck::detail::shell_word(path)));
}

int draw(const GraphOptions& o) {
  require_format(o.out);
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
  const Tensor input = uniform(item.inserted(0, o.batch), generator);
  const Tensor targets = Tensor::zeros({o.batch}, i64);
  nn::SoftmaxWithLoss()(net(input), targets);
  std::FILE* const say = beside(o.out);
  const std::string what =
      fmt::format("{}: {} nodes of {}", written_name(o.out), tape.size(), model.description);
  if (extension_of(o.out) == ".svg") {
    plot::save(o.out,
               plot::draw_tape(tape, {names.parameter_names, {{input, "input"}, {targets, "targets"}}}));
    fmt::print(say, "{}\n", what);
    return 0;
  }
  nn::AtomicFile file(o.out);
  file.write(to_dot(tape, names));
  file.commit();
  if (say == stdout)
    fmt::print("{}; draw it with: dot -Tsvg -O {}\n", what, gradcheck::detail::shell_word(o.out));
  else
    fmt::print(say, "{}; draw it with: | dot -Tsvg\n", what);
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
      ->check(whole(1));
  c.add_option("--classes", o.classes, "Width of the output")->check(whole(1))->capture_default_str();
  c.add_option("--batch", o.batch, "Rows of the input")->check(whole(1))->capture_default_str();
  c.add_option("--out", o.out,
               "File to write: NAME.svg for a picture, NAME.dot or NAME.gv for Graphviz; - is DOT on the "
               "standard output")
      ->required()
      ->transform(file_to_write());
  c.callback([options, &exit_code] { exit_code = draw(*options); });
}

}  // namespace tapegrad::cli
