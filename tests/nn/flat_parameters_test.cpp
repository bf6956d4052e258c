#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/flat_parameters.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace flat_parameters_test {

using namespace tapegrad;
using test::floats;
using test::kX;
using test::mentions;
using test::Tied;
using test::TwoLayer;

BOOST_AUTO_TEST_SUITE(flat_parameters)

BOOST_AUTO_TEST_CASE(parameters_go_to_a_vector_and_back) {
  TwoLayer net(3, 4, 2, Generator(1));
  std::vector<float> expected;
  for (const auto& [name, p] : net.parameters())
    for (const float v : p.data().to_vector<float>()) expected.push_back(v);
  const Tensor vector = nn::parameters_to_vector(net);
  BOOST_TEST(floats(vector) == expected);

  TwoLayer other(3, 4, 2, Generator(2));
  other.fc2().freeze();
  nn::vector_to_parameters(vector, other);
  BOOST_TEST(floats(other(kX)) == floats(net(kX)));
  // Both are copies.
  net.fc1().weight().mutable_values<float>()[0] += 1;
  BOOST_TEST(floats(vector) == expected);
  BOOST_TEST(floats(nn::parameters_to_vector(other)) == expected);
}

BOOST_AUTO_TEST_CASE(a_shared_parameter_stands_once) {
  Tied net(Generator(1));
  BOOST_TEST(nn::parameters_to_vector(net).size() == net.parameter_count());
  nn::vector_to_parameters(Tensor::zeros(net.parameter_count()), net);
  BOOST_TEST(max(abs(net.out.weight().data())).item() == 0);
}

BOOST_AUTO_TEST_CASE(a_vector_is_recorded) {
  TwoLayer net(3, 4, 2, Generator(1));
  net.fc1().freeze();
  Tape tape;
  const Gradients g = tape.backward(0.5 * sum(square(nn::parameters_to_vector(net))));
  BOOST_TEST(floats(g[net.fc2().weight()]) == floats(net.fc2().weight().data()));
  BOOST_TEST(g.size() == 2);
}

BOOST_AUTO_TEST_CASE(lists_of_parameters_and_vectors_without_elements_are_taken) {
  const Parameter a(Tensor::from({1, 2}, f64)), b(Tensor::scalar(3, f64)), none(Tensor::zeros({0, 4}, f64));
  BOOST_TEST(nn::parameters_to_vector({a, none, b}).to_vector<double>() == std::vector<double>({1, 2, 3}));
  nn::vector_to_parameters(Tensor::from({4, 5, 6}, f64), {a, none, b});
  BOOST_TEST(a.data().to_vector<double>() == std::vector<double>({4, 5}));
  BOOST_TEST(b.data().item() == 6);
  BOOST_TEST(nn::parameters_to_vector({none}).size() == 0);
}

BOOST_AUTO_TEST_CASE(a_vector_that_does_not_fit_changes_nothing) {
  TwoLayer net(3, 4, 2, Generator(1));
  const std::vector<float> before = floats(nn::parameters_to_vector(net));
  BOOST_CHECK_EXCEPTION(nn::vector_to_parameters(Tensor::zeros(25), net), ShapeError,
                        mentions("vector_to_parameters", "[25]", "[26]"));
  BOOST_CHECK_EXCEPTION(nn::vector_to_parameters(Tensor::zeros({26, 1}), net), ShapeError,
                        mentions("[26, 1]"));
  BOOST_CHECK_EXCEPTION(nn::vector_to_parameters(Tensor::zeros(26, f64), net), DtypeError,
                        mentions("vector_to_parameters", "'fc1.weight' is of f32", "f64"));
  BOOST_CHECK_EXCEPTION(nn::vector_to_parameters(Tensor(), net), ArgumentError, mentions("undefined"));
  BOOST_TEST(floats(nn::parameters_to_vector(net)) == before);
  const Parameter a(Tensor::zeros(2)), b(Tensor::zeros(2, f64));
  BOOST_CHECK_EXCEPTION(nn::parameters_to_vector({a, b}), DtypeError,
                        mentions("parameters_to_vector", "'1' is of f64", "'0' is of f32"));
  BOOST_CHECK_EXCEPTION(nn::parameters_to_vector(std::vector<Parameter>{}), ArgumentError,
                        mentions("parameters_to_vector", "no parameters"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace flat_parameters_test
