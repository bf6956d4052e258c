#include "models.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/conv_nets.h>
#include <tapegrad/nn/layers/layer_words.h>
#include <tapegrad/nn/layers/multi_layer_net.h>
#include <tapegrad/nn/summary.h>
#include <tapegrad/nn/weight_decay.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "program.h"

namespace tapegrad::cli {

namespace {

/// A network that describes itself and groups its parameters.
template <class M>
Model model_of(std::unique_ptr<M> net) {
  std::string description = net->describe();
  optim::ParameterGroups groups = net->groups();
  return {std::move(net), std::move(description), std::move(groups)};
}

Model fully_connected(const ModelOptions& o, std::vector<std::int64_t> hidden, const Shape& item,
                      std::int64_t classes, Generator& generator) {
  for (const std::int64_t width : hidden)
    if (width < 1)
      throw ArgumentError(fmt::format("--hidden {}: a width must be at least 1", fmt::join(hidden, ",")));
  return model_of(std::make_unique<nn::MultiLayerNet>(
      item.size(), classes, generator,
      nn::MultiLayerOptions{.hidden = std::move(hidden),
                            .activation = o.activation,
                            .init = nn::Init::parse(o.init.empty() ? "std:0.01" : o.init),
                            .batch_norm = o.batch_norm,
                            .dropout = o.dropout.value_or(0),
                            .weight_decay = o.weight_decay,
                            .standardize = o.standardize}));
}

Model two_layer(const ModelOptions& o, const Shape& item, std::int64_t classes, Generator& generator) {
  if (o.hidden.size() > 1)
    throw ArgumentError(
        fmt::format("--hidden {}: a two-layer model has one hidden layer; use --model multi-layer for {}",
                    fmt::join(o.hidden, ","), o.hidden.size()));
  return fully_connected(o, o.hidden.empty() ? std::vector<std::int64_t>{50} : o.hidden, item, classes,
                         generator);
}

Model multi_layer(const ModelOptions& o, const Shape& item, std::int64_t classes, Generator& generator) {
  return fully_connected(o, o.hidden.empty() ? std::vector<std::int64_t>{100, 100} : o.hidden, item, classes,
                         generator);
}

/// A network of words: `init` is what it was made with.
Model model_of_words(const ModelOptions& o, nn::Sequential net, const Shape& item, const std::string& words,
                     const nn::Init& init) {
  std::string description = fmt::format("{} {} {}", fmt::join(item.dims(), "x"), words, init.text());
  if (o.standardize) description += ", standardised inputs";
  if (o.weight_decay) description += fmt::format(", weight decay {}", *o.weight_decay);
  auto made = std::make_unique<nn::Sequential>(std::move(net));
  optim::ParameterGroups groups = nn::weight_decay_groups(*made, o.weight_decay);
  return {std::move(made), std::move(description), std::move(groups)};
}

nn::ConvNetOptions conv_options(const ModelOptions& o, const nn::Init& otherwise) {
  if (o.hidden.size() > 1 || (o.hidden.size() == 1 && o.hidden[0] < 1))
    throw ArgumentError(
        fmt::format("--hidden {}: a {} model has one hidden affine layer, of a width of at least 1",
                    fmt::join(o.hidden, ","), o.model));
  return {.hidden = o.hidden.empty() ? 0 : o.hidden[0],
          .activation = o.activation,
          .init = o.init.empty() ? otherwise : nn::Init::parse(o.init),
          .batch_norm = o.batch_norm,
          .dropout = o.dropout,
          .standardize = o.standardize};
}

Model simple_conv(const ModelOptions& o, const Shape& item, std::int64_t classes, Generator& generator) {
  const nn::ConvNetOptions options = conv_options(o, nn::Init::normal(0.01));
  return model_of_words(o, nn::simple_conv_net(item, classes, generator, options), item,
                        nn::simple_conv_words(classes, options), *options.init);
}

Model deep_conv(const ModelOptions& o, const Shape& item, std::int64_t classes, Generator& generator) {
  const nn::ConvNetOptions options = conv_options(o, nn::init_for(o.activation));
  return model_of_words(o, nn::deep_conv_net(item, classes, generator, options), item,
                        nn::deep_conv_words(classes, options), *options.init);
}

/// What --layers says. The words have to end in as many numbers as there are classes.
Model of_words(const ModelOptions& o, const Shape& item, std::int64_t classes, Generator& generator) {
  const nn::Init init = o.init.empty() ? nn::Init::he() : nn::Init::parse(o.init);
  nn::Sequential net = [&] {
    try {
      return nn::layers_from_words(o.layers, item, generator, {.init = init, .standardize = o.standardize});
    } catch (const ShapeError& e) {  // of what was asked for, not of the data
      throw ArgumentError(e.what());
    }
  }();
  const Shape out = nn::summary(net, item).layers.back().output;
  if (out != Shape{classes})
    throw ArgumentError(fmt::format(
        "--layers {}: they make {} of an item; it must be [{}], a score for each class or a number for each target",
        o.layers, to_string(out), classes));
  return model_of_words(o, std::move(net), item, o.layers, init);
}

/// All models. A new one is a row, with a function that builds it.
constexpr struct {
  std::string_view name;
  std::string_view help;
  bool takes_images;
  Model (*build)(const ModelOptions&, const Shape& item, std::int64_t classes, Generator&);
} kModels[] = {
    {"two-layer", "one hidden layer, by default of width 50", false, two_layer},
    {"multi-layer", "any number of hidden layers, by default 100,100", false, multi_layer},
    {"simple-conv", "one convolution of 30 channels and 5 x 5, and a hidden layer, by default of width 100",
     true, simple_conv},
    {"deep-conv", "six convolutions of 3 x 3, and a hidden layer, by default of width 50, with dropout 0.5",
     true, deep_conv},
};

const auto& row_of(const std::string& model) {
  const auto row = std::ranges::find_if(kModels, [&](const auto& r) { return r.name == model; });
  if (row == std::end(kModels)) throw ArgumentError(fmt::format("--model {} is not known", model));
  return *row;
}

}  // namespace

void ModelOptions::add_to(CLI::App& command) {
  std::vector<std::string> names, help;
  for (const auto& row : kModels) {
    names.emplace_back(row.name);
    help.push_back(fmt::format("{}: {}", row.name, row.help));
  }
  CLI::Option* const words = command
                                 .add_option("--layers", layers,
                                             "A network of these layers, in place of a model, as in "
                                             "conv:30x5,relu,pool:2,flatten,affine:100,relu,affine:10; of " +
                                                 nn::layer_word_forms())
                                 ->check(not_empty());
  // What the words say themselves.
  for (CLI::Option* const other :
       {command.add_option("--model", model, fmt::format("{}", fmt::join(help, "; ")))
            ->check(CLI::IsMember(names))
            ->capture_default_str(),
        command.add_option("--hidden", hidden, "Widths of the hidden layers")
            ->delimiter(',')
            ->check(whole(1)),
        command.add_option("--activation", activation, "Of the hidden layers")
            ->check(CLI::IsMember(nn::activation_names()))
            ->capture_default_str(),
        command.add_flag("--batch-norm", batch_norm, "Normalise over the batch before each activation"),
        command.add_option("--dropout", dropout,
                           "Ratio dropped behind each activation, of deep-conv behind its affine layers")})
    words->excludes(other);
  command.add_option("--init", init,
                     fmt::format("Initial weights; by default std:0.01, of deep-conv and --layers he: {}",
                                 nn::Init::forms()));
}

bool ModelOptions::takes_images() const { return !layers.empty() || row_of(model).takes_images; }

Model build_model(const ModelOptions& options, const Shape& item, std::int64_t classes,
                  Generator& generator) {
  if (!options.layers.empty()) return of_words(options, item, classes, generator);
  return row_of(options.model).build(options, item, classes, generator);
}

}  // namespace tapegrad::cli
