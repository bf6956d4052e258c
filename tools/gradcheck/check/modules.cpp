#include <tapegrad/gradcheck/check/modules.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/multi_layer_net.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>

namespace tapegrad::gradcheck::detail {

namespace {

template <class M, class... A>
ModuleSample sample(std::string label, std::vector<SampleInput> inputs, A&&... arguments) {
  return {std::move(label), std::make_unique<M>(std::forward<A>(arguments)...), std::move(inputs)};
}

/// A layer that applies one elementwise op.
template <class M>
std::vector<ModuleSample> activation(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<M>("", {SampleInput({3, 5}, {-2, 2, {0}})}));
  return all;
}

std::vector<ModuleSample> affine(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::Affine>("", {Shape{4, 3}}, 3, 2, g));
  all.push_back(sample<nn::Affine>("without bias", {Shape{4, 3}}, 3, 2, g, nn::AffineOptions{.bias = false}));
  return all;
}

std::vector<ModuleSample> conv1d(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back(
      sample<nn::Conv1d>("", {Shape{2, 3, 6}}, 3, 2, 3, g, nn::Conv1dLayerOptions{.padding = "same"}));
  all.push_back(
      sample<nn::Conv1d>("without bias", {Shape{2, 2, 7}}, 2, 4, 2, g,
                         nn::Conv1dLayerOptions{.stride = 2, .dilation = 2, .groups = 2, .bias = false}));
  return all;
}

std::vector<ModuleSample> conv2d(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::Conv2d>("", {Shape{2, 2, 4, 5}}, 2, 3, Sizes<2>{3, 2}, g));
  all.push_back(
      sample<nn::Conv2d>("without bias", {Shape{1, 4, 5, 4}}, 4, 2, 3, g,
                         nn::Conv2dLayerOptions{.stride = {2, 1}, .padding = 1, .groups = 2, .bias = false}));
  return all;
}

std::vector<ModuleSample> conv_transpose2d(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::ConvTranspose2d>("", {Shape{2, 2, 3, 3}}, 2, 3, Sizes<2>{3, 2}, g));
  all.push_back(sample<nn::ConvTranspose2d>(
      "without bias", {Shape{1, 4, 2, 3}}, 4, 2, 3, g,
      nn::ConvTranspose2dLayerOptions{
          .stride = 2, .padding = 1, .output_padding = {1, 0}, .groups = 2, .bias = false}));
  return all;
}

std::vector<ModuleSample> batch_norm(Generator& g) {
  std::vector<ModuleSample> all;
  const auto made = [&] {
    auto m = std::make_unique<nn::BatchNorm>(3);
    m->gamma().assign(uniform({3}, g, 0.5, 2));
    m->beta().assign(uniform({3}, g, -1, 1));
    return m;
  };
  all.push_back({"training", made(), {Shape{5, 3}}});
  auto trained = made();
  (*trained)(uniform({20, 3}, g, -2, 3));  // running statistics that are not the initial ones
  trained->eval();
  auto of_images = trained->clone();
  all.push_back({"evaluation", std::move(trained), {Shape{5, 3}}});
  all.push_back({"images, training", made(), {Shape{2, 3, 3, 2}}});
  all.push_back({"images, evaluation", std::move(of_images), {Shape{2, 3, 3, 2}}});
  return all;
}

template <class M>
std::vector<ModuleSample> dropout(Generator& g, const Shape& shape) {
  std::vector<ModuleSample> all;
  all.push_back(sample<M>("training", {shape}, 0.4, g));
  auto evaluated = sample<M>("evaluation", {shape}, 0.4, g);
  evaluated.module->eval();
  all.push_back(std::move(evaluated));
  return all;
}

std::vector<ModuleSample> max_pool2d(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::MaxPool2d>("", {SampleInput::distinct({2, 3, 4, 6})}, 2));
  all.push_back(sample<nn::MaxPool2d>(
      "overlapping", {SampleInput::distinct({1, 2, 6, 5})},
      MaxPool2dOptions{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}));
  return all;
}

std::vector<ModuleSample> max_pool1d(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::MaxPool1d>("", {SampleInput::distinct({2, 3, 6})}, 2));
  all.push_back(sample<nn::MaxPool1d>("overlapping", {SampleInput::distinct({1, 2, 9})},
                                      MaxPool1dOptions{.kernel = 3, .stride = 1, .dilation = 2}));
  return all;
}

std::vector<ModuleSample> avg_pool2d(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::AvgPool2d>("", {Shape{2, 3, 4, 6}}, 2));
  all.push_back(sample<nn::AvgPool2d>("overlapping", {Shape{1, 2, 6, 5}},
                                      AvgPool2dOptions{.kernel = {3, 3},
                                                       .stride = {2, 2},
                                                       .padding = {1, 1},
                                                       .ceil_mode = true,
                                                       .count_include_pad = false}));
  return all;
}

std::vector<ModuleSample> avg_pool1d(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::AvgPool1d>("", {Shape{2, 3, 6}}, 2));
  all.push_back(sample<nn::AvgPool1d>("overlapping", {Shape{1, 2, 9}},
                                      AvgPool1dOptions{.kernel = 3, .stride = 1, .padding = 1}));
  return all;
}

std::vector<ModuleSample> global_avg_pool(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::GlobalAvgPool>("images", {Shape{2, 3, 4, 5}}));
  all.push_back(sample<nn::GlobalAvgPool>("sequences", {Shape{2, 3, 4}}));
  return all;
}

std::vector<ModuleSample> upsample(Generator&) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::Upsample>("nearest", {Shape{2, 3, 2, 3}}, 2));
  all.push_back(sample<nn::Upsample>(
      "bilinear", {Shape{1, 2, 3, 4}},
      UpsampleOptions{.size = {5, 7}, .mode = UpsampleMode::bilinear, .align_corners = true}));
  return all;
}

std::vector<ModuleSample> sequential(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back({"a network",
                 std::make_unique<nn::Sequential>(
                     nn::Sequential{nn::Affine(4, 6, g), nn::Tanh(), nn::BatchNorm(6), nn::Dropout(0.3, g),
                                    nn::Sequential{nn::Affine(6, 5, g), nn::Sigmoid()}, nn::Affine(5, 3, g)}),
                 {Shape{6, 4}}});
  return all;
}

nn::InputStatistics statistics(Generator& g) { return {uniform({4}, g, -2, 3), uniform({4}, g, 0.5, 2)}; }

std::vector<ModuleSample> standardize(Generator& g) {
  std::vector<ModuleSample> all;
  all.push_back(sample<nn::Standardize>("by feature", {Shape{3, 4}}, statistics(g)));
  all.push_back(sample<nn::Standardize>("all together", {Shape{3, 4}},
                                        nn::InputStatistics{Tensor::full({}, 0.5), Tensor::full({}, 2)}));
  return all;
}

std::vector<ModuleSample> multi_layer_net(Generator& g) {
  std::vector<ModuleSample> all;
  const auto normalised = [&] {
    auto net = std::make_unique<nn::MultiLayerNet>(4, 3, g,
                                                   nn::MultiLayerOptions{.hidden = {6, 5},
                                                                         .activation = "tanh",
                                                                         .batch_norm = true,
                                                                         .dropout = 0.3,
                                                                         .standardize = statistics(g)});
    return net;
  };
  all.push_back({"plain",
                 std::make_unique<nn::MultiLayerNet>(
                     4, 3, g, nn::MultiLayerOptions{.hidden = {6, 5}, .activation = "sigmoid"}),
                 {Shape{6, 4}}});
  all.push_back({"training", normalised(), {Shape{6, 4}}});
  auto trained = normalised();
  (*trained)(uniform({20, 4}, g, -2, 3));  // running statistics that are not the initial ones
  trained->eval();
  all.push_back({"evaluation", std::move(trained), {Shape{6, 4}}});
  return all;
}

}  // namespace

void add_library_modules(Catalog& c) {
  c.add_module("nn.Affine", affine);
  c.add_module("nn.Conv1d", conv1d);
  c.add_module("nn.Conv2d", conv2d);
  c.add_module("nn.ConvTranspose2d", conv_transpose2d);
#define TAPEGRAD_ROW(function, Op, ...) c.add_module("nn." #Op, activation<nn::Op>);
  TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
  TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
  TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
  TAPEGRAD_ROW(identity, Identity)
#undef TAPEGRAD_ROW
  c.add_module("nn.Flatten", activation<nn::Flatten>);
  c.add_module("nn.BatchNorm", batch_norm);
  c.add_module("nn.Dropout", [](Generator& g) { return dropout<nn::Dropout>(g, {5, 7}); });
  c.add_module("nn.Dropout2d", [](Generator& g) { return dropout<nn::Dropout2d>(g, {3, 4, 2, 3}); });
  c.add_module("nn.MaxPool2d", max_pool2d);
  c.add_module("nn.MaxPool1d", max_pool1d);
  c.add_module("nn.AvgPool2d", avg_pool2d);
  c.add_module("nn.AvgPool1d", avg_pool1d);
  c.add_module("nn.GlobalAvgPool", global_avg_pool);
  c.add_module("nn.Upsample", upsample);
  c.add_module("nn.Standardize", standardize);
  c.add_module("nn.Sequential", sequential);
  c.add_module("nn.MultiLayerNet", multi_layer_net);
}

}  // namespace tapegrad::gradcheck::detail
