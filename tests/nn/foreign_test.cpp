#include <memory>
#include <string>
#include <utility>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "support.h"

namespace foreign_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::export_pytorch;
using nn::load_foreign;
using nn::State;

namespace {

nn::Sequential some_net(std::uint64_t seed = 0) {
  Generator rng(seed);
  return nn::Sequential{nn::Conv2d(1, 2, 3, rng),
                        nn::BatchNorm(2),
                        nn::Relu(),
                        nn::ConvTranspose2d(2, 3, 2, rng, {.bias = false}),
                        nn::Flatten(),
                        nn::Dropout(0.5, rng),
                        nn::Affine(12, 4, rng),
                        nn::Affine(4, 4, rng)};
}

/// A layer whose weight another library calls otherwise.
class Scale final : public nn::Module {
 public:
  Parameter factor{Tensor::from({{1, 2, 3}})};
  void visit(nn::Visitor& v) override { v("factor", factor); }
  Tensor forward(const Tensor& x) override { return x * factor; }
};

/// Its two layers have one weight.
class Tied final : public nn::Module {
 public:
  explicit Tied(Generator& rng) : first(2, 2, rng, {.bias = false}), second(first.weight()) {}
  nn::Affine first, second;
  void visit(nn::Visitor& v) override { v("first", first), v("second", second); }
  Tensor forward(const Tensor& x) override { return second(first(x)); }
};

const Tensor& named(const State& state, const std::string& name) {
  for (const auto& [n, t] : state)
    if (n == name) return t;
  throw std::out_of_range(name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(foreign)

BOOST_AUTO_TEST_CASE(pytorchs_names_and_layouts_go_both_ways) {
  nn::Sequential net = some_net();
  const State state = export_pytorch(net);
  std::string names;
  for (const auto& [name, t] : state) names += name + to_string(t.shape()) + " ";
  BOOST_TEST(
      names ==
      "0.weight[2, 1, 3, 3] 0.bias[2] 1.weight[2] 1.bias[2] 1.running_mean[2] 1.running_var[2] "
      "1.num_batches_tracked[] 3.weight[2, 3, 2, 2] 6.weight[4, 12] 6.bias[4] 7.weight[4, 4] 7.bias[4] ");
  BOOST_TEST(named(state, "1.num_batches_tracked").dtype() == i64);
  check_equal({{"w", named(state, "7.weight")}}, {{"w", transpose(net.get<nn::Affine>(7).weight().data())}});
  nn::Sequential other = some_net(1);
  const State generator = {{"g", named(other.state(), "5.generator")}};
  load_foreign(other, state);
  State expected = net.state();
  for (auto& [name, t] : expected)
    if (name == "5.generator") t = generator[0].second;
  check_equal(other.state(), expected);
}

BOOST_AUTO_TEST_CASE(states_of_pytorch_are_of_f32_and_may_lack_or_have_what_does_not_count) {
  nn::Sequential net{nn::BatchNorm(2)};
  const auto converted = load_foreign(net, {{"0.weight", Tensor::from({1, 2})},
                                            {"0.bias", Tensor::from({3, 4})},
                                            {"0.running_mean", Tensor::from({5, 6})},
                                            {"0.running_var", Tensor::from({7, 8}, f64)}});
  test::check_converted(converted, {"'0.running_mean' from f32 to f64"});
  check_equal(net.state(), {{"0.gamma", Tensor::from({1, 2})},
                            {"0.beta", Tensor::from({3, 4})},
                            {"0.running_mean", Tensor::from({5, 6}, f64)},
                            {"0.running_var", Tensor::from({7, 8}, f64)}});
  Generator rng(0);
  nn::Affine wide(2, 1, rng, {.dtype = f64});
  load_foreign(wide, {{"weight", Tensor::from({{1, 2}})}, {"bias", Tensor::from({3})}});
  check_equal(wide.state(),
              {{"weight", Tensor::from({1, 2}, Shape{2, 1}, f64)}, {"bias", Tensor::from({3}, f64)}});
}

BOOST_AUTO_TEST_CASE(all_that_is_wrong_is_listed_at_once_and_nothing_is_changed) {
  nn::Sequential net = some_net();
  const State before = net.state();
  State state = export_pytorch(some_net(1));
  state.erase(state.begin() + 1);  // 0.bias
  state[0].second = state[0].second.copy();
  for (auto& [name, t] : state) {
    if (name == "6.weight") t = transpose(t);
    if (name == "7.bias") t = cast(t, f64);
    if (name == "3.weight") name = "3.kernel";
  }
  BOOST_CHECK_EXCEPTION(
      load_foreign(net, state), ArgumentError,
      mentions("missing: 0.bias, 3.weight; unexpected: 3.kernel; ",
               "'6.weight' is [12, 4] of f32, expected is [4, 12] of f32 (it is laid out as in this library",
               "'7.bias' is [4] of f64, expected is [4] of f32 (nothing is rounded here: cast(tensor, f32) "
               "does so)"));
  check_equal(net.state(), before);
  BOOST_CHECK_EXCEPTION(load_foreign(net, {{"a", Tensor()}}), ArgumentError, mentions("'a'", "undefined"));
  const State twice{{"a", Tensor::ones({1})}, {"a", Tensor::ones({1})}};
  BOOST_CHECK_EXCEPTION(load_foreign(net, twice), ArgumentError, mentions("'a'", "twice"));
  BOOST_CHECK_EXCEPTION(load_foreign(net, {{"6.weight", Tensor::ones({3})}}), ArgumentError,
                        mentions("'6.weight' is [3] of f32, expected is [4, 12] of f32"));
}

BOOST_AUTO_TEST_CASE(a_prefix_chooses_a_part_of_a_checkpoint) {
  nn::Sequential net = some_net();
  nn::ForeignRules rules = nn::pytorch_rules();
  rules.prefix = "model.";
  State state = nn::export_foreign(net, rules);
  BOOST_TEST(state[0].first == "model.0.weight");
  state.emplace_back("optimizer.state.0.exp_avg", Tensor::ones({3}));
  nn::Sequential other = some_net(1);
  // Who does not know that it is needed is told; other names that end alike are no reason.
  state.emplace_back("ema.0.weight", Tensor::ones({3}));
  BOOST_CHECK_EXCEPTION(
      load_foreign(other, state), ArgumentError,
      mentions("missing: 0.weight, 0.bias", "is there with 'model.' in front", "prefix of the rules"));
  const auto refused_without_advice = [&](const State& given) {
    BOOST_CHECK_EXCEPTION(load_foreign(other, given), ArgumentError, [](const ArgumentError& e) {
      return std::string_view(e.what()).find("in front") == std::string_view::npos;
    });
  };
  refused_without_advice(State(state.begin() + 1, state.end()));
  // With a prefix, what is found without one would be missing; and a part of a name is none.
  State mixed = state;
  mixed[0].first = "0.weight";
  refused_without_advice(mixed);
  State glued = nn::export_pytorch(net);
  for (auto& [name, tensor] : glued) name = "1" + name;
  refused_without_advice(glued);
  load_foreign(other, state, rules);
  check_equal(export_pytorch(other), export_pytorch(net));
  BOOST_CHECK_EXCEPTION(load_foreign(other, export_pytorch(net), rules), ArgumentError,
                        mentions("missing: model.0.weight, model.0.bias"));
}

BOOST_AUTO_TEST_CASE(paths_may_be_renamed) {
  Generator rng(0);
  nn::MultiLayerNet net(3, 2, rng, {.hidden = {4, 4}, .batch_norm = true});
  nn::ForeignRules rules = nn::pytorch_rules();
  rules.renamed = {
      {"", "backbone"}, {"affine1", "layers.0"}, {"affine3", "head"}, {"norm1", ""}, {"affine2.bias", "b"}};
  const State state = nn::export_foreign(net, rules);
  std::string names;
  for (const auto& [name, t] : state) names += name + " ";
  BOOST_TEST(
      names ==
      "layers.0.weight layers.0.bias weight bias running_mean running_var num_batches_tracked "
      "backbone.affine2.weight b backbone.norm2.weight backbone.norm2.bias backbone.norm2.running_mean "
      "backbone.norm2.running_var backbone.norm2.num_batches_tracked head.weight head.bias ");
  nn::MultiLayerNet other(3, 2, rng, {.hidden = {4, 4}, .batch_norm = true});
  load_foreign(other, state, rules);
  check_equal(other.state(), net.state());
  rules.renamed = {{"affine1", "norm1"}};
  BOOST_CHECK_EXCEPTION(nn::export_foreign(net, rules), ArgumentError,
                        mentions("two values", "'norm1.weight'"));
  BOOST_CHECK_EXCEPTION(load_foreign(net, state, rules), ArgumentError,
                        mentions("two values", "'norm1.weight'"));
}

BOOST_AUTO_TEST_CASE(layers_of_ones_own_are_rows) {
  Scale scale;
  check_equal(export_pytorch(scale), {{"factor", Tensor::from({{1, 2, 3}})}});
  nn::ForeignRules rules = nn::pytorch_rules();
  const std::string name = tapegrad::detail::class_name(typeid(Scale));
  rules.rows.push_back({name, "factor", "gain", nn::kTransposedLayout});
  rules.rows.push_back({name, "", "version", nn::kSameLayout, Tensor::scalar(2, i64)});
  const State state = nn::export_foreign(scale, rules);
  check_equal(state, {{"gain", Tensor::from({1, 2, 3}, Shape{3, 1})}, {"version", Tensor::scalar(2, i64)}});
  Scale other;
  other.factor.assign(Tensor::zeros({1, 3}));
  load_foreign(other, state, rules);
  check_equal(other.state(), scale.state());
  // One that only this library has.
  rules.rows = {{name, "factor", ""}};
  BOOST_TEST(nn::export_foreign(scale, rules).empty());
  load_foreign(other, {}, rules);
  check_equal(other.state(), scale.state());
}

BOOST_AUTO_TEST_CASE(shared_parameters_are_given_under_any_of_their_names) {
  Generator rng(0);
  Tied net(rng);
  const Tensor w = Tensor::from({{1, 2}, {3, 4}});
  const State state = export_pytorch(net);
  BOOST_REQUIRE(state.size() == 2U);
  BOOST_TEST((state[0].first + " " + state[1].first == "first.weight second.weight"));
  for (const State& given : {State{{"first.weight", w}}, State{{"second.weight", w}},
                             State{{"second.weight", w}, {"first.weight", w}}}) {
    net.first.weight().assign(Tensor::zeros({2, 2}));
    load_foreign(net, given);
    check_equal({{"w", net.second.weight().data()}}, {{"w", transpose(w)}});
  }
  BOOST_CHECK_EXCEPTION(
      load_foreign(net, {{"first.weight", w}, {"second.weight", w + 1}}), ArgumentError,
      mentions("'second.weight' is not equal to 'first.weight', with which the module shares it"));
  BOOST_CHECK_EXCEPTION(load_foreign(net, {}), ArgumentError, mentions("missing: first.weight"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace foreign_test
