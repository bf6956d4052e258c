#include <tapegrad/ops/map.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

// Both namespaces at once, beside the header that knows the structs of all elementwise operations.
using namespace tapegrad;
using namespace tapegrad::nn;

BOOST_AUTO_TEST_SUITE(namespaces)

BOOST_AUTO_TEST_CASE(layers_and_functions_have_their_names_to_themselves) {
  Generator rng(0);
  Sequential net{Affine(3, 4, rng), Relu(),           LeakyRelu(0.2), Prelu(4), Tanh(),
                 BatchNorm(4),      Dropout(0.5, rng)};
  const Tensor x = randn({5, 3}, rng);
  BOOST_TEST((net(x).shape() == Shape{5, 4}));
  const Tensor y = map([](auto v) { return relu(v) + tanh(v) * mish(v); }, x);
  const Tensor same = relu(x) + tanh(x) * mish(x);
  for (std::size_t i = 0; i < 15; ++i)
    BOOST_TEST(y.values<float>()[i] == same.values<float>()[i], boost::test_tools::tolerance(1e-5F));
}

BOOST_AUTO_TEST_SUITE_END()
