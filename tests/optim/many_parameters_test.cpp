// A great many parameters of one element each.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include <malloc.h>

#include "support.h"

namespace many_parameters_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(many_parameters)

namespace {

constexpr std::size_t kCount = 100'000;

struct Net : nn::ModuleBase {
  std::vector<Parameter> weights;
  Net() {
    weights.reserve(kCount);
    for (std::size_t i = 0; i < kCount; ++i) weights.emplace_back(Tensor::scalar(static_cast<double>(i)));
  }
  void visit(nn::Visitor& v) override { v("w", weights); }
};

/// Bytes that the program has asked for and not given back; zero under a sanitizer.
std::size_t in_use() {
  trim();
  const struct mallinfo2 m = ::mallinfo2();
  return m.uordblks + m.hblkhd;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_takes_200_bytes_with_its_optimizer) {
  const std::size_t before = in_use();
  Net net;
  optim::SGD sgd(net, 0.5);
  const auto each = static_cast<double>(in_use() - before) / kCount;
  BOOST_TEST_MESSAGE(each << " bytes each");
  BOOST_TEST(each <= 200);

  {
    Tape tape;
    Tensor sum = Tensor::zeros({});
    for (const Parameter& w : net.weights) sum = sum + w;
    sgd.step(tape.backward(sum));
  }
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, kCount - 1})
    BOOST_TEST(net.weights[i].data().item() == static_cast<double>(i) - 0.5);
  BOOST_TEST(static_cast<double>(in_use() - before) / kCount <= 200);
}

BOOST_AUTO_TEST_CASE(names_and_parameters_are_still_told_apart) {
  Net net;
  BOOST_TEST(net.parameters().size() == kCount);
  BOOST_TEST(net.parameters()[kCount - 1].first == "w." + std::to_string(kCount - 1));
  net.weights[kCount / 3] = net.weights[7];
  BOOST_TEST(net.parameters().size() == kCount - 1);
  std::vector<Parameter> list = net.weights;
  BOOST_CHECK_EXCEPTION(optim::SGD(list, 0.1), ArgumentError,
                        test::mentions("'" + std::to_string(kCount / 3) + "' is listed twice"));
  optim::ParameterList::Named named;
  for (std::size_t i = 0; i < 1000; ++i) named.emplace_back(std::to_string(i), Parameter(Tensor::ones({})));
  named[900].first = "33";
  BOOST_CHECK_EXCEPTION(optim::SGD(optim::ParameterList(named), 0.1), ArgumentError,
                        test::mentions("two parameters are called '33'"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace many_parameters_test
