// Networks from words, and the table that summary makes of a network.

#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/summary.h>

#include "module_support.h"
#include "op_support.h"

namespace layer_words_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::layers_from_words;

BOOST_AUTO_TEST_SUITE(layer_words)

BOOST_AUTO_TEST_CASE(the_simple_network_of_the_book) {
  Generator g(1), h(1);
  nn::Sequential net =
      layers_from_words("conv:30x5, relu, pool:2, flatten, affine:100, relu, affine:10", {1, 28, 28}, g);
  // The same numbers as of layers that are written out.
  nn::Sequential written{nn::Conv2d(1, 30, 5, h),  nn::Relu(), nn::MaxPool2d(2),      nn::Flatten(),
                         nn::Affine(4320, 100, h), nn::Relu(), nn::Affine(100, 10, h)};
  const Tensor x = random({3, 1, 28, 28}, f32, 0, 1);
  check_tensor(net(x), {3, 10}, numbers(written(x)), 0);
  BOOST_TEST(net.parameter_count() == 30 * 26 + 4320 * 100 + 100 + 1010);
  std::vector<std::string> names;
  for (const auto& [name, p] : net.parameters()) names.push_back(name);
  BOOST_TEST(names == (std::vector<std::string>{"conv1.weight", "conv1.bias", "affine1.weight",
                                                "affine1.bias", "affine2.weight", "affine2.bias"}));
}

BOOST_AUTO_TEST_CASE(the_networks_of_the_book) {
  Generator g(1);
  nn::Sequential simple = nn::simple_conv_net({1, 28, 28}, 10, g);
  BOOST_TEST(simple.parameter_count() == 433890);
  BOOST_TEST(to_string(simple(random({2, 1, 28, 28}, f32)).shape()) == "[2, 10]");
  BOOST_TEST(nn::simple_conv_words(10) == "conv:30x5,relu,pool:2,flatten,affine:100,relu,affine:10");
  BOOST_TEST(
      nn::simple_conv_words(3, {.hidden = 7, .activation = "gelu", .batch_norm = true, .dropout = 0.2}) ==
      "conv:30x5,batch-norm,gelu,dropout:0.2,pool:2,flatten,affine:7,batch-norm,gelu,dropout:0.2,affine:3");
  nn::Sequential deep = nn::deep_conv_net({1, 28, 28}, 10, g);
  std::vector<std::string> shapes;
  for (const nn::LayerSummary& l : nn::summary(deep, {1, 28, 28}).layers)
    if (l.kind == "Conv2d" || l.kind == "Affine") shapes.push_back(to_string(l.output));
  BOOST_TEST(shapes ==
             (std::vector<std::string>{"[16, 28, 28]", "[16, 28, 28]", "[32, 14, 14]", "[32, 16, 16]",
                                       "[64, 8, 8]", "[64, 8, 8]", "[50]", "[10]"}));
  BOOST_TEST(deep.get<nn::Dropout>("dropout2").ratio() == 0.5);
  const nn::InputStatistics statistics{Tensor::full({}, 0.5f), Tensor::full({}, 2.f)};
  BOOST_TEST(nn::deep_conv_net({1, 28, 28}, 10, g, {.standardize = statistics}).parameter_count() ==
             deep.parameter_count());
}

BOOST_AUTO_TEST_CASE(every_word_and_option) {
  Generator g(2);
  nn::Sequential net = layers_from_words(
      "conv:4x3x5:pad=2:stride=2:dilation=2:no-bias,batch-norm,gelu,conv:6x3:same:groups=2,avg-pool:2x1,"
      "dropout:0.25,dropout2d:0.125,upsample:2,upsample:1.5:align-corners:bilinear,"
      "pool:2:stride=1,global-avg-pool,affine:7:no-bias",
      {2, 20, 21}, g, {.init = nn::Init::normal(0.1), .dtype = f64});
  const auto& conv = net.get<nn::Conv2d>("conv1");
  BOOST_TEST(to_string(conv.weight().shape()) == "[4, 2, 3, 5]");
  BOOST_TEST(conv.options().dilation[1] == 2);
  BOOST_TEST(!conv.bias().defined());
  BOOST_TEST(to_string(net.get<nn::Conv2d>("conv2").weight().shape()) == "[6, 2, 3, 3]");
  BOOST_TEST(net.get<nn::Dropout>("dropout1").ratio() == 0.25);
  BOOST_TEST(net.get<nn::Dropout2d>("dropout2d1").ratio() == 0.125);
  BOOST_TEST(net.get<nn::Upsample>("upsample1").options().scale == 2);
  BOOST_TEST((net.get<nn::Upsample>("upsample1").options().mode == UpsampleMode::nearest));
  BOOST_TEST(net.get<nn::Upsample>("upsample2").options().scale == 1.5);
  BOOST_TEST((net.get<nn::Upsample>("upsample2").options().mode == UpsampleMode::bilinear));
  BOOST_TEST(net.get<nn::Upsample>("upsample2").options().align_corners);
  BOOST_TEST(to_string(net(random({5, 2, 20, 21})).shape()) == "[5, 7]");
  BOOST_TEST(net.training());
  BOOST_TEST(to_string(layers_from_words("affine:3", {4}, g)(random({2, 4}, f32)).shape()) == "[2, 3]");
}

BOOST_AUTO_TEST_CASE(errors_name_the_word_and_the_cure) {
  Generator g;
  const auto refuses = [&](const char* words, const Shape& item, const auto& check) {
    BOOST_CHECK_EXCEPTION(layers_from_words(words, item, g), Error, check);
  };
  const Shape image{1, 28, 28};
  refuses("", image, mentions("''", "conv:CHANNELS"));
  refuses("conv:3x3,,relu", image, mentions("''", "not known"));
  refuses("convolution:3x3", image,
          mentions("'convolution:3x3'", "not known", "conv:CHANNELS", "relu", "pool:KERNEL"));
  refuses("conv", image, mentions("'conv'", "conv:CHANNELSxKERNEL"));
  refuses("conv:3", image, mentions("'conv:3'", "1 numbers", "conv:CHANNELS"));
  refuses("conv:3x3x3x3", image, mentions("4 numbers"));
  refuses("conv:3xx", image, mentions("'' is no number"));
  refuses("conv:axb", image, mentions("'a' is no number"));
  refuses("conv:3x3:padding=1", image, mentions("'padding=1' is no option of conv", "pad=N"));
  refuses("conv:3x3:pad=1:same", image, mentions("both pad and same"));
  refuses("conv:3x3:pad=x", image, mentions("'x' is no number"));
  refuses("conv:99999999999999999999x3", image, mentions("no number"));
  refuses("relu:3", image, mentions("'relu:3'", "takes nothing"));
  refuses("dropout:1.5", image, mentions("'dropout:1.5'", "ratio"));
  refuses("dropout", image, mentions("dropout:RATIO"));
  refuses("dropout:0.5:0.5", image, mentions("'0.5' is no option of dropout", "dropout:RATIO"));
  refuses("dropout2d:-1", image, mentions("'dropout2d:-1'", "ratio"));
  refuses("flatten,dropout2d:0.5", image, mentions("'dropout2d:0.5'", "[1, 784]", "[n, c, ...]"));
  refuses("upsample", image, mentions("upsample:SCALE"));
  refuses("upsample:x", image, mentions("'x' is no number", "upsample:SCALE"));
  refuses("upsample:0", image, mentions("'upsample:0'", "scale"));
  refuses("upsample:0.01", image, mentions("'upsample:0.01'", "axis 2", "at least 1"));
  refuses("upsample:2:align-corners", image, mentions("align_corners is of bilinear"));
  refuses("upsample:2:cubic", image, mentions("'cubic' is no option of upsample", "[:bilinear]"));
  refuses("pool:2:stride=-1", image, mentions("stride is -1"));
  refuses("conv:30x5,affine:10", image, mentions("'affine:10'", "[30, 24, 24]", "flatten"));
  refuses("conv:30x5,conv:30x25", image, mentions("'conv:30x25'", "kernel 25", "[1, 30, 24, 24]"));
  refuses("conv:30x5", {784}, mentions("'conv:30x5'", "[1, 784]", "[n, c, h, w]"));
  refuses("pool:3,pool:3,pool:3,pool:3", image, mentions("'pool:3'", "size 0"));
}

BOOST_AUTO_TEST_CASE(words_that_ask_for_hours_are_refused_at_once) {
  Generator g;
  const auto refuses = [&](const std::string& words, const Shape& item, const auto& check) {
    BOOST_CHECK_EXCEPTION(layers_from_words(words, item, g), ArgumentError, check);
  };
  std::string relus = "relu";
  for (int i = 0; i < 10'000; ++i) relus += ",relu";
  refuses(relus, {4}, mentions("there are 10001 words; there may be 10000"));
  const auto too_much = mentions("multiplications; 1e+11 are the most", "smaller");
  refuses("conv:2000x3:same,conv:2000x3:same", {1, 60, 60}, mentions("'conv:2000x3:same'", "1.3e+11"));
  refuses("conv:4x3:pad=1000000", {1, 8, 8}, too_much);
  refuses("pool:400x400:stride=1:pad=200", {10, 400, 400}, too_much);
  refuses("avg-pool:3000x3000:stride=1:pad=1500", {1, 500, 500}, too_much);
  refuses("upsample:1e6", {1, 8, 8}, too_much);
  // A network of the size that is trained on such images in a week is none of these.
  const nn::Sequential net = layers_from_words(
      "conv:64x7:stride=2:pad=3,relu,pool:2,conv:64x3:same,relu,pool:2,conv:128x3:same,relu,pool:2,"
      "conv:256x3:same:groups=4,relu,global-avg-pool,affine:1000",
      {3, 64, 64}, g);
  BOOST_TEST(net.size() == 13U);
}

BOOST_AUTO_TEST_CASE(a_summary_lists_layers_shapes_and_parameters) {
  Generator g;
  nn::Sequential net =
      layers_from_words("conv:3x3,relu,leaky-relu,pool:2,flatten,batch-norm,affine:10", {1, 8, 6}, g);
  nn::Sequential outer{nn::named("body", std::move(net)), nn::named("last", nn::Affine(10, 2, g))};
  const nn::Summary s = nn::summary(outer, {1, 8, 6});
  BOOST_TEST(s.parameters == 30 + 2 * 18 + 190 + 22);
  BOOST_TEST(s.parameters == outer.parameter_count());
  BOOST_TEST_REQUIRE(s.layers.size() == 8u);
  BOOST_TEST(s.layers[0].path == "body.conv1");
  BOOST_TEST(s.layers[0].kind == "Conv2d");
  BOOST_TEST(to_string(s.layers[0].output) == "[3, 6, 4]");
  BOOST_TEST(s.layers[0].parameters == 30);
  BOOST_TEST(s.layers[1].kind == "relu");
  BOOST_TEST(s.layers[2].kind == "LeakyRelu");
  BOOST_TEST(s.layers[7].path == "last");
  BOOST_TEST(outer.training());
  BOOST_TEST(nn::to_string(nn::summary(outer.get<nn::Affine>("last"), {10})) ==
             "layer   kind    output  parameters\n"
             "        Affine  [2]             22\n"
             "in all                          22\n");
  // Nothing is recorded, and nothing learnt.
  Tape tape;
  const nn::State before = outer.state();
  (void)nn::summary(outer, {1, 8, 6});
  BOOST_TEST(tape.size() == 0u);
  const nn::State after = outer.state();
  for (std::size_t i = 0; i < before.size(); ++i)
    BOOST_TEST(numbers(before[i].second) == numbers(after[i].second));
  BOOST_CHECK_EXCEPTION(nn::summary(outer, {2, 8, 6}), ShapeError, mentions("body.conv1", "expects 1"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace layer_words_test
