// A training step in its steady state asks the system for no memory.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "allocation_support.h"

namespace allocation_test {

using namespace tapegrad;
using test::allocations;

BOOST_AUTO_TEST_SUITE(allocation)

namespace {

template <class Step>
std::uint64_t allocations_of(Step step, int times) {
  const std::uint64_t before = allocations();
  for (int i = 0; i < times; ++i) step();
  return allocations() - before;
}

}  // namespace

#if TAPEGRAD_COUNT_ALLOCATIONS
BOOST_AUTO_TEST_CASE(the_counter_counts) {
  void* volatile p = nullptr;  // so that no pair of calls is optimised away
  const auto with_new = [&] {
    p = new int(1);
    delete static_cast<int*>(p);
  };
  const auto aligned = [&] {
    p = std::aligned_alloc(64, 128);
    std::free(p);
  };
  const auto pool = [] {
    trim();
    Tensor::empty({1000});
  };
  pool();  // the thread's first use makes its record
  BOOST_TEST(allocations_of(with_new, 3) == 3);
  BOOST_TEST(allocations_of(aligned, 3) == 3);
  BOOST_TEST(allocations_of(pool, 3) == 3);
}
#endif

BOOST_AUTO_TEST_CASE(a_two_layer_net_with_sgd) {
  Generator rng(1);
  nn::Sequential net{nn::Affine(20, 30, rng), nn::Relu(), nn::Affine(30, 10, rng)};
  optim::SGD sgd(net, 0.1);
  const Tensor x = randn({50, 20}, rng);
  const Tensor t = integers({50}, rng, 0, 10);
  double loss_value = 0;
  const auto step = [&] {
    Tape tape;
    const Tensor loss = softmax_with_loss(net(x), t);
    sgd.step(tape.backward(loss));
    loss_value = loss.item();
  };
  step();
  const double first = loss_value;
  BOOST_TEST(allocations_of(step, 20) == 0);
  BOOST_TEST(loss_value < first);
}

BOOST_AUTO_TEST_CASE(nested_modules_with_batch_norm_dropout_and_adam) {
  Generator rng(1);
  nn::Sequential net{
      nn::named("a_block_with_a_long_name", nn::Sequential{nn::Affine(20, 30, rng), nn::BatchNorm(30),
                                                           nn::Relu(), nn::Dropout(0.2, rng)}),
      nn::named("another_block_with_a_long_name", nn::Sequential{nn::Affine(30, 10, rng)})};
  optim::Adam adam({{.parameters = net, .weight_decay = 1e-4}}, 0.01);
  const Tensor x = randn({50, 20}, rng);
  const Tensor t = one_hot(integers({50}, rng, 0, 10), 10);
  const auto step = [&] {
    Tape tape;
    adam.step(tape.backward(softmax_with_loss(net(x), t)));
  };
  step();
  step();  // the running statistics of the first step were still held in the second
  BOOST_TEST(allocations_of(step, 20) == 0);
  net.eval();
  const auto evaluate = [&] { (void)nn::accuracy(net(x), t); };
  evaluate();
  BOOST_TEST(allocations_of(evaluate, 20) == 0);
}

BOOST_AUTO_TEST_CASE(a_module_of_your_own_with_mini_batches_and_clipping) {
  struct Net : nn::Module {
    nn::Affine first_fully_connected, second_fully_connected;
    explicit Net(Generator& rng) : first_fully_connected(20, 30, rng), second_fully_connected(30, 1, rng) {}
    void visit(nn::Visitor& v) override {
      v("first_fully_connected_layer", first_fully_connected);
      v("second_fully_connected_layer", second_fully_connected);
    }
    Tensor forward(const Tensor& x) override {
      return second_fully_connected(tapegrad::tanh(first_fully_connected(x)));
    }
  };
  Generator rng(1);
  Net net(rng);
  optim::Momentum momentum(net, 0.01);
  const nn::Dataset data(randn({60, 20}, rng), randn({60, 1}, rng));
  const auto epoch = [&](std::uint64_t number) {
    const nn::DataLoader loader(data, {.batch = 10});
    std::uint64_t in_steps = 0;
    std::uint64_t before = allocations();
    for (const nn::Batch& batch : loader.epoch(number)) {
      Tape tape;
      Gradients g = tape.backward(mse_loss(net(batch.x), batch.t));
      clip_global_norm(g, 1);
      momentum.step(g);
      in_steps += allocations() - before;
      before = allocations();
    }
    return in_steps;
  };
  epoch(0);
  BOOST_TEST(epoch(1) == 0);
}

BOOST_AUTO_TEST_CASE(the_updates_of_a_trainer) {
  Generator rng(1);
  nn::MultiLayerNet net(20, 10, rng,
                        {.hidden = {30, 30}, .batch_norm = true, .dropout = 0.1, .weight_decay = 1e-4});
  optim::RMSProp rmsprop(net.groups(), 0.01);
  std::uint64_t in_updates = 0;
  std::uint64_t before = 0;
  nn::Trainer trainer(net, rmsprop,
                      {.epochs = 1,
                       .batch = 10,
                       .schedule = optim::warm_up(10, optim::cosine(0.01, 100)),
                       .clip_norm = 1,
                       .clip_value = 0.5,
                       .on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
                         const std::uint64_t now = allocations();
                         if (b.iteration % 20 > 2)
                           in_updates += now - before;  // the first ones fill the pool
                         before = now;
                       }});
  const nn::Dataset data(randn({200, 20}, rng), integers({200}, rng, 0, 10));
  trainer.fit(data);
  trainer.fit(data);
  BOOST_TEST(in_updates == 0);
  BOOST_TEST(trainer.history().epochs.back().iteration == 40);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace allocation_test
