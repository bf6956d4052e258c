#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace module_names_test {

using namespace tapegrad;
using test::floats;
using test::kX;
using test::mentions;
using test::TwoLayer;

// By which names errors speak of modules.
BOOST_AUTO_TEST_SUITE(module_names)

namespace {

std::string message_of(nn::Module& m, const Tensor& x) {
  try {
    m(x);
  } catch (const ShapeError& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool starts(const std::string& message, std::string_view start) { return message.starts_with(start); }

}  // namespace

BOOST_AUTO_TEST_CASE(errors_name_the_module) {
  TwoLayer net(3, 4, 2, Generator(1));
  const Tensor wrong = Tensor::ones({2, 5});
  BOOST_TEST_CONTEXT(message_of(net, wrong)) { BOOST_TEST(starts(message_of(net, wrong), "affine 'fc1': ")); }
  {
    const NameScope scope("net");
    BOOST_TEST(starts(message_of(net, wrong), "affine 'net.fc1': "));
  }
  BOOST_TEST(starts(message_of(net.fc1(), wrong), "affine: "));

  net.fc2() = nn::Affine(Parameter(Tensor::ones({7, 2})));
  const NameScope scope("net");
  BOOST_TEST(starts(message_of(net, kX), "affine 'net.fc2': "));
}

BOOST_AUTO_TEST_CASE(names_follow_modules_that_move) {
  const Tensor wrong = Tensor::ones({2, 5});
  TwoLayer net(3, 4, 2, Generator(1));
  BOOST_TEST(starts(message_of(net, wrong), "affine 'fc1': "));
  TwoLayer moved(std::move(net));
  BOOST_TEST(starts(message_of(moved, wrong), "affine 'fc1': "));

  struct Stack : nn::Module {
    std::vector<nn::Affine> layers;
    void visit(nn::Visitor& v) override { v("layers", layers); }
    Tensor forward(const Tensor& x) override {
      Tensor y = x;
      for (nn::Affine& l : layers) y = l(y);
      return y;
    }
  } stack;
  Generator rng(1);
  stack.layers.emplace_back(3, 3, rng);
  BOOST_TEST(starts(message_of(stack, wrong), "affine 'layers.0': "));
  for (int i = 0; i < 9; ++i) stack.layers.emplace_back(3, 3, rng);  // the first have moved
  stack.layers[7] = nn::Affine(5, 3, rng);
  BOOST_TEST(starts(message_of(stack, kX), "affine 'layers.7': "));

  nn::Sequential seq{std::move(moved), nn::Relu()};
  BOOST_TEST(starts(message_of(seq, wrong), "affine '0.fc1': "));
  nn::Sequential outer{nn::Identity(), nn::named("body", std::move(seq))};
  BOOST_TEST(starts(message_of(outer, wrong), "affine 'body.0.fc1': "));
}

BOOST_AUTO_TEST_CASE(a_module_called_past_its_parent_has_its_whole_path) {
  struct Outer : nn::Module {
    TwoLayer body{3, 4, 2, Generator(1)};
    void visit(nn::Visitor& v) override { v("body", body); }
    Tensor forward(const Tensor& x) override { return body.fc2()(x); }
  } outer;
  BOOST_TEST(starts(message_of(outer, kX), "affine 'body.fc2': "));

  struct Stranger : nn::Module {
    nn::Affine* elsewhere;
    Tensor forward(const Tensor& x) override { return (*elsewhere)(x); }
  } stranger;
  stranger.elsewhere = &outer.body.fc2();
  BOOST_TEST(starts(message_of(stranger, kX), "affine: "));
}

BOOST_AUTO_TEST_CASE(functions_beside_forward_open_the_scope_themselves) {
  struct Pair : nn::ModuleBase {
    nn::Affine fc;
    explicit Pair(Generator rng) : fc(3, 2, rng) {}
    void visit(nn::Visitor& v) override { v("fc", fc); }
    Tensor both(const Tensor& a, const Tensor& b) {
      const NameScope inside = scope();
      return fc(a) + fc(b);
    }
  };
  struct Top : nn::Module {
    Pair pair{Generator(1)};
    void visit(nn::Visitor& v) override { v("pair", pair); }
    Tensor forward(const Tensor& x) override { return pair.both(kX, x); }
  } top;
  BOOST_TEST(starts(message_of(top, Tensor::ones({2, 5})), "affine 'pair.fc': "));
}

BOOST_AUTO_TEST_CASE(check_finite_names_the_module) {
  TwoLayer net(3, 4, 2, Generator(1));
  const NameScope scope("net");
  net.fc2().weight().mutable_values<float>()[3] = std::numeric_limits<float>::infinity();
  Tape tape;
  tape.check_finite();
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({2, 3})), NonFinite, mentions("affine 'net.fc2': "));
}

BOOST_AUTO_TEST_CASE(backward_errors_name_the_module_even_when_it_is_gone) {
  auto net = std::make_unique<TwoLayer>(3, 4, 2, Generator(1));
  Tape tape;
  Tensor x = tape.watch(kX.copy());
  const Tensor loss = sum((*net)(x));
  net.reset();
  x.mutable_values<float>()[0] = 5;
  BOOST_CHECK_EXCEPTION(tape.backward(loss), MutatedSaved, mentions("affine 'fc1'"));
}

BOOST_AUTO_TEST_CASE(two_threads_use_one_module_at_once) {
  TwoLayer net(3, 4, 2, Generator(1));
  const Tensor x = Tensor::from({{1, -2, 0.5}});
  std::vector<float> expected;
  {
    Tape tape;
    expected = floats(tape.backward(sum(square(net(x))))[net.fc1().weight()]);
  }
  std::vector<std::thread> threads;
  std::vector<int> right(2);
  for (std::size_t i = 0; i < right.size(); ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        Tape tape;
        const Gradients g = tape.backward(sum(square(net(x))));
        right[i] += floats(g[net.fc1().weight()]) == expected;
        right[i] += starts(message_of(net, Tensor::ones({1, 4})), "affine 'fc1': ");
      }
    });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(right == std::vector<int>({100, 100}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace module_names_test
