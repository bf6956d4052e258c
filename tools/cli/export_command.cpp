#include <memory>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "program.h"
#include "saved_model.h"

namespace tapegrad::cli {

namespace {

struct ExportOptions {
  std::string run;
  std::string out;
  bool best = false;
  bool probabilities = false;
};

void export_model(const ExportOptions& o) {
  const std::string parameters = parameters_file(o.run, o.best);
  require_other_file("--out", o.out, {parameters});
  require_extension("--out", o.out, {".onnx"}, "the model is ONNX");
  const SavedModel saved = load_model(parameters);
  nn::Module& net = *saved.model.net;
  const std::vector<std::string> classes =
      saved.format ? saved.format->classes() : std::vector<std::string>();
  const bool classifies = !saved.format || !classes.empty();
  if (o.probabilities && !classifies)
    throw ArgumentError("--probabilities: the network predicts numbers, not classes");

  nn::OnnxOptions options{.input_names = {saved.format ? "features" : "images"},
                          .output_names = {o.probabilities ? "probabilities"
                                           : classifies    ? "scores"
                                                           : "predictions"},
                          .metadata = {{"model", saved.model.description}}};
  if (saved.format) options.metadata.emplace("table", saved.format->text());  // its columns and classes
  std::vector<std::int64_t> dims{1};
  dims.insert(dims.end(), saved.item.dims().begin(), saved.item.dims().end());
  const Tensor example = Tensor::zeros(Shape(std::span<const std::int64_t>(dims)));
  nn::save_onnx(
      o.out, net, [&](const Tensor& x) { return o.probabilities ? softmax(net(x)) : net(x); }, {example},
      options);
  fmt::print(beside(o.out), "{}: the model is in {}; it takes '{}' [batch, {}] and gives '{}'\n",
             saved.model.description, written_name(o.out), options.input_names[0],
             fmt::join(saved.item.dims(), ", "), options.output_names[0]);
}

}  // namespace

void add_export_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExportOptions>();
  ExportOptions& o = *options;
  CLI::App& c = *app.add_subcommand("export", "Write a network that train has saved as an ONNX model");
  c.add_option("run", o.run, "Folder that train has written, its --out")->check(not_empty())->required();
  c.add_option("--out", o.out, "Model to write, as in net.onnx; - is the standard output")
      ->required()
      ->transform(file_to_write());
  c.add_flag("--best", o.best, "The parameters of the best epoch");
  c.add_flag("--probabilities", o.probabilities,
             "End in a softmax: the model gives the probability of each class in place of its score");
  c.callback([options, &exit_code] {
    export_model(*options);
    exit_code = 0;
  });
}

}  // namespace tapegrad::cli
