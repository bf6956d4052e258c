#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/weight_decay.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

namespace multi_layer_net_test {

using namespace tapegrad;
using test::mentions;

BOOST_AUTO_TEST_SUITE(multi_layer_net)

namespace {

std::vector<std::string> names_of(const nn::Module& net) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : net.state()) names.push_back(name);
  return names;
}
std::vector<double> doubles(const Tensor& t) {
  return t.dtype() == f64 ? t.to_vector<double>() : cast(t, f64).to_vector<double>();
}

/// Sets a decay of 0.1, but for what is called "bias".
struct Decayed final : nn::Module {
  nn::Affine inner;
  nn::MultiLayerNet net;
  Parameter shared;
  explicit Decayed(Generator& rng)
      : inner(4, 4, rng), net(4, 2, rng, {.hidden = {}, .weight_decay = 0.5}), shared(Tensor::ones({1})) {}
  Tensor forward(const Tensor& x) override { return net(inner(x)) * shared; }
  void visit(nn::Visitor& v) override {
    v("inner", inner);
    v("net", net);
    v("shared", shared);
    v("again", shared);
  }
  std::optional<double> weight_decay(std::string_view path) const override {
    return path == "inner.bias" ? std::optional(0.0) : std::optional(0.1);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(it_is_the_layers_that_its_options_name) {
  Generator rng(3);
  nn::MultiLayerNet net(
      6, 3, rng, {.hidden = {5, 4}, .activation = "tanh", .batch_norm = true, .dropout = 0.25, .dtype = f64});
  std::vector<std::string> layers;
  struct Names final : nn::Visitor {
    std::vector<std::string>& list;
    explicit Names(std::vector<std::string>& l) : list(l) {}
    void module(std::string_view name, nn::ModuleBase&) override { list.emplace_back(name); }
  } names(layers);
  net.visit(names);
  BOOST_TEST(layers == std::vector<std::string>({"affine1", "norm1", "tanh1", "dropout1", "affine2", "norm2",
                                                 "tanh2", "dropout2", "affine3"}));
  BOOST_TEST(net.describe() == "6-5-4-3 tanh xavier, batch norm, dropout 0.25");

  // The same layers put together by hand, drawn from the same numbers.
  Generator again(3);
  const nn::AffineOptions affine{.init = nn::Init::xavier(), .dtype = f64};
  nn::Sequential by_hand;
  by_hand.append(nn::Affine(6, 5, again, affine));
  by_hand.append(nn::BatchNorm(5, {.dtype = f64}));
  by_hand.append(nn::Tanh());
  by_hand.append(nn::Dropout(0.25, again));
  by_hand.append(nn::Affine(5, 4, again, affine));
  by_hand.append(nn::BatchNorm(4, {.dtype = f64}));
  by_hand.append(nn::Tanh());
  by_hand.append(nn::Dropout(0.25, again));
  by_hand.append(nn::Affine(4, 3, again, affine));
  const Tensor x = randn({8, 6}, rng, f64);
  BOOST_TEST(doubles(net(x)) == doubles(by_hand(x)));
  net.eval();
  by_hand.eval();
  BOOST_TEST(doubles(net(x)) == doubles(by_hand(x)));
  BOOST_TEST(net.parameter_count() == by_hand.parameter_count());
}

BOOST_AUTO_TEST_CASE(without_options_it_is_plain) {
  Generator rng(0);
  nn::MultiLayerNet net(4, 2, rng, {.hidden = {3}});
  BOOST_TEST(names_of(net) ==
             std::vector<std::string>({"affine1.weight", "affine1.bias", "affine2.weight", "affine2.bias"}));
  BOOST_TEST(net.describe() == "4-3-2 relu he");
  BOOST_TEST(net.layers().size() == 3U);
  nn::MultiLayerNet linear(4, 2, rng, {.hidden = {}});
  BOOST_TEST(names_of(linear) == std::vector<std::string>({"affine1.weight", "affine1.bias"}));
  BOOST_TEST(to_string(linear(Tensor::zeros({5, 4})).shape()) == "[5, 2]");
  nn::MultiLayerNet own(4, 2, rng, {.hidden = {3}, .init = nn::Init::constant(0.5)});
  BOOST_TEST(doubles(own.parameters()[0].second.data()) == std::vector<double>(12, 0.5));
}

BOOST_AUTO_TEST_CASE(the_innermost_module_that_sets_a_decay_decides) {
  Generator rng(0);
  const auto decays = [](const optim::ParameterGroups& groups) {
    std::vector<std::string> texts;
    for (const optim::Group& group : groups)
      for (const auto& [name, parameter] : group.parameters)
        texts.push_back(
            fmt::format("{} {}", name, group.weight_decay ? fmt::format("{}", *group.weight_decay) : "-"));
    return texts;
  };
  nn::Sequential around;
  around.append("first", nn::Affine(4, 4, rng));
  around.append("last", Decayed(rng));
  const std::vector<std::string> expected{"first.weight -",
                                          "first.bias -",
                                          "last.inner.weight 0.1",
                                          "last.shared 0.1",
                                          "last.inner.bias 0",
                                          "last.net.affine1.bias 0",
                                          "last.net.affine1.weight 0.5"};
  BOOST_TEST(decays(around.groups()) == expected, boost::test_tools::per_element());
  BOOST_TEST(decays(optim::ParameterGroups(around)) == expected, boost::test_tools::per_element());
  BOOST_TEST(decays(nn::weight_decay_groups(around, {})) == expected, boost::test_tools::per_element());
  // One given from outside replaces all.
  BOOST_TEST(decays(nn::weight_decay_groups(around, 0.2)).front() == "first.weight 0.2");
  const nn::Sequential none;
  BOOST_TEST(none.groups().size() == 1u);
  // A decay of 0 is one.
  const nn::MultiLayerNet zero(4, 2, rng, {.hidden = {}, .weight_decay = 0});
  BOOST_TEST(decays(zero.groups()) == (std::vector<std::string>{"affine1.weight 0", "affine1.bias 0"}));

  // A group of a module is as the module sets it, unless it sets a decay itself; the rest of it stays.
  const optim::ParameterGroups scaled{{.parameters = around, .lr_scale = 0.5, .decoupled = true}};
  BOOST_TEST(decays(scaled) == expected, boost::test_tools::per_element());
  for (const optim::Group& group : scaled) {
    BOOST_TEST(group.lr_scale == 0.5);
    BOOST_TEST(group.decoupled);
  }
  BOOST_TEST(decays({{.parameters = zero, .weight_decay = 0.3}}) ==
             (std::vector<std::string>{"affine1.weight 0.3", "affine1.bias 0.3"}));
  // Of a parameter that two modules share the first one decides.
  struct Shares final : nn::Module {
    Parameter weight;
    double decay;
    Shares(const Parameter& w, double d) : weight(w), decay(d) {}
    Tensor forward(const Tensor& x) override { return x * weight; }
    void visit(nn::Visitor& v) override { v("weight", weight); }
    std::optional<double> weight_decay(std::string_view) const override { return decay; }
  };
  const Parameter shared(Tensor::ones({1}));
  nn::Sequential two;
  two.append("a", std::make_unique<Shares>(shared, 0.1));
  two.append("b", std::make_unique<Shares>(shared, 0.2));
  BOOST_TEST(decays(two.groups()) == std::vector<std::string>{"a.weight 0.1"});

  struct Wrong final : nn::Module {
    Parameter own{Tensor::ones({1})};
    double decay = std::numeric_limits<double>::quiet_NaN();
    bool twice = false;
    Tensor forward(const Tensor& x) override { return x * own; }
    void visit(nn::Visitor& v) override {
      v("own", own);
      if (twice) v("own", own);
    }
    std::optional<double> weight_decay(std::string_view) const override { return decay; }
  } wrong;
  BOOST_CHECK_EXCEPTION(wrong.groups(), ArgumentError, mentions("Wrong: weight_decay of 'own' is nan"));
  wrong.decay = -1;
  BOOST_CHECK_EXCEPTION(optim::SGD(wrong, 0.1), ArgumentError,
                        mentions("'own' is -1; it must be at least 0"));
  wrong.decay = 1;
  wrong.twice = true;
  BOOST_CHECK_EXCEPTION(wrong.groups(), ArgumentError, mentions("two members 'own'"));
}

BOOST_AUTO_TEST_CASE(the_decay_is_of_the_weights) {
  Generator rng(0);
  nn::MultiLayerNet net(4, 2, rng, {.hidden = {3}, .batch_norm = true, .weight_decay = 0.5});
  const nn::State before = net.state();
  optim::SGD sgd(net.groups(), 0.1);
  Gradients zeros;
  for (const auto& [name, p] : net.parameters()) zeros.insert({p.id(), {}}, Tensor::zeros(p.shape()));
  sgd.step(zeros);
  const nn::State after = net.state();
  for (std::size_t i = 0; i < before.size(); ++i) BOOST_TEST_CONTEXT(before[i].first) {
      const bool weight = before[i].first.ends_with(".weight");
      const std::vector<float> was = cast(before[i].second, f32).to_vector<float>();
      const std::vector<float> is = cast(after[i].second, f32).to_vector<float>();
      for (std::size_t k = 0; k < was.size(); ++k)
        BOOST_TEST(is[k] == (weight ? was[k] * 0.95F : was[k]), boost::test_tools::tolerance(1e-6F));
    }
  // Of the network itself they are the same groups.
  optim::SGD of_net(net, 0.1);
  BOOST_TEST((of_net.settings() == sgd.settings()));
  nn::Module& reference = net;
  BOOST_TEST((optim::SGD(reference, 0.1).settings() == sgd.settings()));
  // States have the names of the parameters, however many groups the decays make.
  nn::MultiLayerNet without(4, 2, rng, {.hidden = {3}, .batch_norm = true, .weight_decay = 0});
  optim::Adam from(without, 0.1), to(net, 0.2);
  BOOST_TEST(optim::ParameterGroups(without).size() != optim::ParameterGroups(net).size());
  to.load_state(from.state());
  BOOST_TEST(to.lr() == 0.1);
  // Nor do decays change the number of a group.
  nn::MultiLayerNet twin(4, 2, rng, {.hidden = {3}, .batch_norm = true, .weight_decay = 0});
  optim::Adam first({{.parameters = without}, {.parameters = twin}}, 0.1);
  optim::Adam second({{.parameters = net}, {.parameters = twin}}, 0.1);
  BOOST_TEST(first.state().front().first == second.state().front().first);
  second.load_state(first.state());
  BOOST_TEST(first.state().back().first.starts_with("1."));
  // Without a decay, that of the optimizer is left to it.
  nn::MultiLayerNet plain(4, 2, rng, {.hidden = {3}});
  const double bias = 1;
  plain.parameters()[1].second.assign(Tensor::full({3}, bias));
  optim::AdamW adamw(plain.groups(), 0.1, 0.5);
  Gradients none;
  for (const auto& [name, p] : plain.parameters()) none.insert({p.id(), {}}, Tensor::zeros(p.shape()));
  adamw.step(none);
  BOOST_TEST(doubles(plain.parameters()[1].second.data())[0] == 0.95, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(a_clone_is_the_same_and_independent) {
  Generator rng(5);
  nn::MultiLayerNet net(4, 2, rng,
                        {.hidden = {3, 3}, .activation = "gelu", .batch_norm = true, .dropout = 0.5});
  const Tensor x = randn({6, 4}, rng);
  net(x);  // moves the statistics and the dropouts' generators
  const auto copy = nn::clone(net);
  BOOST_TEST(copy->describe() == net.describe());
  BOOST_TEST(doubles((*copy)(x)) == doubles(net(x)));
  copy->parameters()[0].second.assign(Tensor::zeros({4, 3}));
  BOOST_TEST(doubles((*copy)(x)) != doubles(net(x)));
}

BOOST_AUTO_TEST_CASE(names_in_messages_are_those_of_the_layers) {
  Generator rng(0);
  nn::MultiLayerNet net(4, 2, rng, {.hidden = {3}});
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({5, 6})), ShapeError, mentions("affine 'affine1'", "[5, 6]"));
}

BOOST_AUTO_TEST_CASE(what_it_takes_is_checked) {
  Generator rng(0);
  const auto make = [&](const nn::MultiLayerOptions& o) { nn::MultiLayerNet(4, 2, rng, o); };
  BOOST_CHECK_EXCEPTION(make({.hidden = {3, 0}}), ArgumentError, mentions("affine", "0 outputs"));
  BOOST_CHECK_EXCEPTION(make({.activation = "relux"}), ArgumentError, mentions("'relux'", "relu, relu6"));
  BOOST_CHECK_EXCEPTION(make({.dropout = 1}), ArgumentError, mentions("dropout"));
  BOOST_CHECK_EXCEPTION(make({.dropout = -0.1}), ArgumentError, mentions("dropout"));
  for (const double bad : {-1.0, std::numeric_limits<double>::quiet_NaN()})
    BOOST_CHECK_EXCEPTION(make({.weight_decay = bad}), ArgumentError, mentions("weight_decay"));
}

BOOST_AUTO_TEST_CASE(every_activation_has_a_name) {
  const Tensor x = Tensor::from({-2, -0.5, 0, 0.5, 2});
  const auto by_name = [&](const char* name) { return doubles((*nn::make_activation(name))(x)); };
  BOOST_TEST(by_name("relu") == doubles(relu(x)));
  BOOST_TEST(by_name("leaky-relu") == doubles(leaky_relu(x, 0.01)));
  BOOST_TEST(by_name("elu") == doubles(elu(x, 1)));
  BOOST_TEST(by_name("gelu") == doubles(gelu(x)));
  BOOST_TEST(by_name("gelu-tanh") == doubles(gelu_tanh(x)));
  BOOST_TEST(by_name("silu") == doubles(silu(x)));
  BOOST_TEST(by_name("softplus") == doubles(softplus(x)));
  BOOST_TEST(by_name("sigmoid") == doubles(sigmoid(x)));
  BOOST_TEST(by_name("tanh") == doubles(tanh(x)));
  BOOST_TEST(by_name("identity") == doubles(x));
  BOOST_TEST(nn::activation_names().size() == 18U);
  BOOST_TEST((nn::init_for("relu") == nn::Init::he()));
  BOOST_TEST((nn::init_for("sigmoid") == nn::Init::xavier()));
  BOOST_TEST(by_name("mish") == doubles(mish(x)));
  BOOST_TEST(by_name("hardswish") == doubles(hardswish(x)));
  BOOST_TEST(by_name("hardsigmoid") == doubles(hardsigmoid(x)));
  BOOST_TEST(by_name("selu") == doubles(selu(x)));
  BOOST_TEST(by_name("softsign") == doubles(softsign(x)));
  BOOST_TEST(by_name("relu6") == doubles(relu6(x)));
  BOOST_TEST(by_name("log-sigmoid") == doubles(log_sigmoid(x)));
  BOOST_TEST(by_name("prelu") == doubles(leaky_relu(x, 0.25)));
  BOOST_CHECK_THROW(nn::init_for("no such"), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace multi_layer_net_test
