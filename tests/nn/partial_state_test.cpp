#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/shape.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace partial_state_test {

using namespace tapegrad;
using test::Everything;
using test::floats;
using test::mentions;
using test::TwoLayer;

namespace {

const std::vector<std::string> kNone{};

Tensor tensor_of(const nn::State& state, const std::string& name) {
  for (const auto& [n, tensor] : state)
    if (n == name) return tensor;
  BOOST_FAIL("no " + name);
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(partial_state)

BOOST_AUTO_TEST_CASE(weights_of_a_network_with_another_last_layer_are_loaded_as_far_as_they_fit) {
  const TwoLayer trained(3, 4, 2, Generator(1));
  TwoLayer net(3, 4, 5, Generator(2));
  const nn::State before = net.state();
  const nn::LoadResult result = net.load_state(trained.state(), {.strict = false});
  BOOST_TEST(result.missing == kNone);
  BOOST_TEST(result.unexpected == kNone);
  BOOST_REQUIRE(result.skipped.size() == 2);
  BOOST_TEST(result.skipped[0].name == "fc2.weight");
  BOOST_TEST(to_string(result.skipped[0].given) == "[4, 2]");
  BOOST_TEST(to_string(result.skipped[0].expected) == "[4, 5]");
  BOOST_TEST(result.skipped[1].name == "fc2.bias");
  for (const char* loaded : {"fc1.weight", "fc1.bias"})
    BOOST_TEST(floats(tensor_of(net.state(), loaded)) == floats(tensor_of(trained.state(), loaded)));
  for (const char* left : {"fc2.weight", "fc2.bias"})
    BOOST_TEST(floats(tensor_of(net.state(), left)) == floats(tensor_of(before, left)));
  // The result is a copy.
  net.fc1().weight().mutable_values<float>()[0] += 1;
  BOOST_TEST(floats(tensor_of(net.state(), "fc1.weight")) !=
             floats(tensor_of(trained.state(), "fc1.weight")));
}

BOOST_AUTO_TEST_CASE(what_is_missing_and_unexpected_is_returned_in_order) {
  Everything all;
  nn::State state = all.state();
  std::erase_if(state, [](const auto& entry) {
    return entry.first == "present.bias" || entry.first == "shared.running_mean" ||
           entry.first == "generator";
  });
  for (auto& [name, tensor] : state)
    if (name == "scale")
      tensor = Tensor::from({8, 9});
    else if (name == "shared.running_var")
      tensor = Tensor::from({5, 6});  // f32 for a buffer of f64
  state.emplace_back("head.weight", Tensor::zeros({2, 2}));
  state.insert(state.begin(), {"backbone.weight", Tensor::zeros({2, 2})});
  const Generator::State draws = all.generator.state();
  const nn::LoadResult result = all.load_state(state, {.strict = false});
  BOOST_TEST(result.missing == std::vector<std::string>({"present.bias", "shared.running_mean"}));
  BOOST_TEST(result.unexpected == std::vector<std::string>({"backbone.weight", "head.weight"}));
  BOOST_TEST(result.skipped.empty());
  BOOST_TEST(floats(all.scale.data()) == std::vector<float>({8, 9}));
  BOOST_TEST(tensor_of(all.state(), "shared.running_var").to_vector<double>() == std::vector<double>({5, 6}));
  BOOST_CHECK(all.generator.state() == draws);
  // Of a state that has nothing everything is missing but generators, and nothing changes.
  const nn::State now = all.state();
  BOOST_TEST(all.load_state({}, {.strict = false}).missing.size() ==
             all.parameters().size() + all.buffers().size());
  BOOST_TEST(floats(tensor_of(all.state(), "scale")) == floats(tensor_of(now, "scale")));
  const nn::LoadResult whole = all.load_state(now);
  BOOST_TEST((whole.missing.empty() && whole.unexpected.empty() && whole.skipped.empty()));
}

BOOST_AUTO_TEST_CASE(what_is_a_mistake_is_refused_also_there) {
  TwoLayer net(3, 4, 2, Generator(1));
  const std::vector<float> before = floats(net.fc1().weight().data());
  const nn::LoadOptions loose{.strict = false};
  nn::State state = TwoLayer(3, 4, 2, Generator(2)).state();
  const auto with = [&](const char* name, const Tensor& t) {
    nn::State changed = state;
    for (auto& [n, tensor] : changed)
      if (n == name) tensor = t;
    return changed;
  };
  BOOST_CHECK_EXCEPTION(net.load_state(with("fc2.weight", Tensor::zeros({2, 4})), loose), ShapeError,
                        mentions("load_state", "'fc2.weight' is [2, 4]", "transpose", "load_foreign"));
  BOOST_CHECK_EXCEPTION(net.load_state(with("fc2.bias", Tensor::zeros({2}, f64)), loose), DtypeError,
                        mentions("load_state", "'fc2.bias'", "f64", "f32"));
  BOOST_CHECK_EXCEPTION(net.load_state(with("fc2.bias", Tensor()), loose), ArgumentError,
                        mentions("'fc2.bias' is an undefined tensor"));
  state.push_back(state[0]);
  BOOST_CHECK_EXCEPTION(net.load_state(state, loose), ArgumentError, mentions("'fc1.weight' is given twice"));
  BOOST_TEST(floats(net.fc1().weight().data()) == before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace partial_state_test
