#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace hook_test {

using namespace tapegrad;
using test::mentions;

BOOST_AUTO_TEST_SUITE(hook)

namespace {

using Names = std::vector<std::string>;

nn::Sequential small_net() {
  Generator rng(1);
  return nn::Sequential{nn::Affine(3, 4, rng), nn::Tanh(), nn::named("head", nn::Affine(4, 2, rng))};
}

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_hook_sees_every_module_inner_ones_first) {
  nn::Sequential net = small_net();
  Names seen;
  Tensor last;
  {
    const nn::Hook hook([&](std::string_view path, const nn::Module& module, const Tensor& y) {
      seen.push_back(std::string(path) + " " + to_string(y.shape()));
      if (path.empty()) {
        BOOST_TEST(&module == &net);
        last = y;
      } else {
        BOOST_TEST(&module != &net);
      }
    });
    const Tensor y = net(test::kX);
    BOOST_TEST(floats(y) == floats(last));
  }
  BOOST_TEST(seen == Names({"0 [2, 4]", "1 [2, 4]", "head [2, 2]", " [2, 2]"}));
  net(test::kX);
  BOOST_TEST(seen.size() == 4U);  // it is gone
}

BOOST_AUTO_TEST_CASE(paths_lead_through_modules_of_ones_own) {
  Generator rng(2);
  nn::Sequential net;
  net.append("encoder", test::TwoLayer(3, 5, 4, rng));
  net.append("head", nn::Affine(4, 1, rng));
  nn::LayerOutputs layers;
  net(test::kX);
  Names paths;
  for (const auto& [path, output] : layers) paths.push_back(path);
  BOOST_TEST(paths == Names({"encoder.fc1", "encoder.fc2", "encoder", "head", ""}));
  BOOST_TEST(to_string(layers["encoder.fc1"].shape()) == "[2, 5]");
  BOOST_TEST(floats(layers["encoder"]) == floats(layers[1].output));
  BOOST_CHECK_EXCEPTION(layers["decoder"], ArgumentError,
                        mentions("'decoder'", "'encoder.fc1', 'encoder.fc2'"));
  BOOST_CHECK_EXCEPTION(layers[5], ArgumentError, mentions("no output 5", "there are 5"));
  layers.clear();
  BOOST_TEST(layers.size() == 0U);
  BOOST_CHECK_EXCEPTION(layers["head"], ArgumentError, mentions("there are none"));
}

BOOST_AUTO_TEST_CASE(hooks_nest) {
  nn::Sequential net = small_net();
  int outer = 0;
  int inner = 0;
  const nn::Hook first([&](std::string_view, const nn::Module&, const Tensor&) { ++outer; });
  {
    const nn::Hook second([&](std::string_view, const nn::Module&, const Tensor&) { ++inner; });
    net(test::kX);
  }
  net(test::kX);
  BOOST_TEST(inner == 4);
  BOOST_TEST(outer == 8);
  // They may end in any order.
  auto one = std::make_unique<nn::LayerOutputs>();
  const nn::LayerOutputs two;
  one.reset();
  net(test::kX);
  BOOST_TEST(two.size() == 4U);
  BOOST_TEST(outer == 12);
}

BOOST_AUTO_TEST_CASE(a_hook_is_of_its_thread) {
  nn::Sequential net = small_net();
  nn::LayerOutputs layers;
  std::thread([&] { net(test::kX); }).join();
  BOOST_TEST(layers.size() == 0U);
}

BOOST_AUTO_TEST_CASE(gradients_of_the_outputs_are_those_of_the_chain_rule) {
  nn::Sequential net = small_net();
  nn::LayerOutputs layers;
  Tape tape;
  const Tensor y = sum(square(net(test::kX)));
  const std::vector<Tensor> g = layers.gradients(tape, y);
  BOOST_TEST_REQUIRE(g.size() == layers.size());
  // dL/dy = 2 y; through the head: 2 y W^T; through tanh: times 1 - tanh^2.
  const Tensor head = layers["head"].detach();
  const Tensor hidden = layers["1"].detach();
  const Tensor weight = net.get<nn::Affine>("head").weight().data();
  const Tensor at_head = head * 2;
  const Tensor at_hidden = matmul(at_head, transpose(weight));
  const Tensor at_affine = at_hidden * (1 - square(hidden));
  const auto check = [](const Tensor& got, const Tensor& expected) {
    const std::vector<float> a = floats(got);
    const std::vector<float> b = floats(expected);
    BOOST_TEST_REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      BOOST_TEST(std::abs(a[i] - b[i]) < 1e-6F * (1 + std::abs(b[i])));
  };
  check(g[0], at_affine);
  check(g[1], at_hidden);
  check(g[2], at_head);
  check(g[3], at_head);
  BOOST_TEST(!tape.spent());
  // The gradient of the first layer's output gives that of its bias.
  const Gradients parameters = tape.backward(y);
  check(parameters[net.get<nn::Affine>(0).bias()], sum(g[0], 0));
}

BOOST_AUTO_TEST_CASE(an_output_that_is_no_function_of_parameters_has_no_gradient) {
  Generator rng(0);
  nn::Sequential net{nn::Flatten(), nn::Affine(3, 1, rng)};
  nn::LayerOutputs layers;
  Tape tape;
  const Tensor y = sum(net(test::kX));
  const std::vector<Tensor> g = layers.gradients(tape, y);
  BOOST_TEST(!g[0].defined());
  BOOST_TEST(g[1].defined());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace hook_test
