#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace unlisted_members_test {

using namespace tapegrad;
using test::mentions;

// Members that a module uses and that its visit() forgets.
BOOST_AUTO_TEST_SUITE(unlisted_members)

namespace {

const Tensor kX = Tensor::ones({4, 3});

struct WithoutModule : nn::Module {
  explicit WithoutModule(Generator rng) : named(3, 3, rng), forgotten(3, 3, rng) {}
  void visit(nn::Visitor& v) override { v("named", named); }
  Tensor forward(const Tensor& x) override { return forgotten(relu(named(x))); }
  std::unique_ptr<nn::ModuleBase> new_like() const override {
    return std::make_unique<WithoutModule>(Generator(0));
  }
  nn::Affine named, forgotten;
};

struct WithoutParameter : nn::Module {
  explicit WithoutParameter(Generator rng) : named(3, 3, rng), scale(Tensor::ones({3})) {}
  void visit(nn::Visitor& v) override { v("named", named); }
  Tensor forward(const Tensor& x) override { return named(x) * Tensor(scale); }
  nn::Affine named;
  Parameter scale;
};

Gradients gradients_of(nn::Module& net) {
  Tape tape;
  return tape.backward(mean(square(net(kX))));
}

}  // namespace

BOOST_AUTO_TEST_CASE(optimizers_refuse_to_leave_them_untrained) {
  const auto message = mentions("sgd: ", "WithoutModule", "nn::Affine", "visit() does not name");
  WithoutModule net(Generator(1));
  optim::SGD sgd(net.parameters(), 0.1);
  const Tensor before = net.named.weight().data().copy();
  BOOST_CHECK_EXCEPTION(sgd.step(gradients_of(net)), Error, message);
  BOOST_TEST(net.named.weight().data().to_vector<float>() == before.to_vector<float>(),
             boost::test_tools::per_element());

  WithoutParameter other(Generator(1));
  optim::SGD of_other(other.parameters(), 0.1);
  BOOST_CHECK_EXCEPTION(
      of_other.step(gradients_of(other)), Error,
      mentions("sgd: ", "WithoutParameter", "a parameter of shape [3]", "visit() does not name"));
}

BOOST_AUTO_TEST_CASE(states_and_copies_name_them) {
  WithoutModule net(Generator(1));
  const nn::State state = net.state();  // nothing is known before the module has been used
  gradients_of(net);
  const auto message = mentions("WithoutModule", "nn::Affine", "visit() does not name");
  BOOST_CHECK_EXCEPTION(net.state(), Error, message);
  BOOST_CHECK_EXCEPTION(net.load_state(state), Error, message);
  BOOST_CHECK_EXCEPTION(net.clone(), Error, message);

  nn::Sequential around;
  around.append("first", WithoutModule(Generator(1)));
  gradients_of(around);
  BOOST_CHECK_EXCEPTION(around.state(), Error, mentions("state: in 'first': ", "WithoutModule"));
}

BOOST_AUTO_TEST_CASE(trainers_say_so) {
  WithoutModule net(Generator(1));
  optim::Adam adam(net.parameters(), 0.1);
  const Tensor classes = Tensor::from(std::vector<std::int64_t>{0, 1, 2, 0});
  BOOST_CHECK_EXCEPTION(nn::Trainer(net, adam, {.epochs = 1, .batch = 2}).fit(nn::Dataset(kX, classes)),
                        Error, mentions("WithoutModule", "nn::Affine", "visit() does not name"));
}

BOOST_AUTO_TEST_CASE(generators_and_buffers_count_in_training_mode) {
  struct Net : nn::Module {
    Tensor forward(const Tensor& x) override { return dropout(norm(scale * x)); }
    void visit(nn::Visitor& v) override { v("scale", scale), v("norm", norm); }
    Parameter scale = Parameter(Tensor::ones({3}));
    nn::BatchNorm norm = nn::BatchNorm(3);
    nn::Dropout dropout = nn::Dropout(0.5, 1);
  } net;
  net.dropout.eval();
  gradients_of(net);
  BOOST_TEST(net.state().size() > 0);
  optim::SGD sgd(net.parameters(), 0.1);
  sgd.step(gradients_of(net));
  net.dropout.train();
  const Gradients gradients = gradients_of(net);
  BOOST_CHECK_EXCEPTION(net.state(), Error, mentions("Net", "nn::Dropout", "visit() does not name"));
  BOOST_CHECK_EXCEPTION(sgd.step(gradients), Error, mentions("sgd: ", "Net", "nn::Dropout", "does not name"));

  // Where the module that uses it trains nothing itself, the one around it does.
  struct Inner : nn::Module {
    Tensor forward(const Tensor& x) override { return dropout(x); }
    nn::Dropout dropout = nn::Dropout(0.5, 1);
  };
  nn::Sequential around;
  Generator rng(1);
  around.append("first", nn::Affine(3, 3, rng));
  around.append("second", Inner());
  optim::SGD of_around(around.parameters(), 0.1);
  BOOST_CHECK_EXCEPTION(of_around.step(gradients_of(around)), Error,
                        mentions("sgd: ", "Inner", "nn::Dropout"));
}

BOOST_AUTO_TEST_CASE(what_is_frozen_or_shared_or_trained_elsewhere_may_be_left_out) {
  WithoutModule teacher(Generator(1));
  teacher.forgotten.freeze();
  teacher.forgotten.eval();
  optim::SGD sgd(teacher.parameters(), 0.1);
  sgd.step(gradients_of(teacher));
  BOOST_TEST(teacher.state().size() == 2);

  WithoutModule net(Generator(2));
  optim::SGD both({net.named.weight(), net.named.bias(), net.forgotten.weight(), net.forgotten.bias()}, 0.1);
  both.step(gradients_of(net));

  // A decoder that uses the encoder's weights, and a layer that the module around it names.
  struct Decoder : nn::Module {
    explicit Decoder(nn::Affine& shared) : affine(&shared) {}
    Tensor forward(const Tensor& x) override {
      return (*affine)(matmul(x, transpose(Tensor(affine->weight()))));
    }
    nn::Affine* affine;
  };
  struct Tied : nn::Module {
    explicit Tied(Generator rng) : encoder(3, 3, rng), decoder(encoder) {}
    void visit(nn::Visitor& v) override { v("encoder", encoder), v("decoder", decoder); }
    Tensor forward(const Tensor& x) override { return decoder(encoder(x)); }
    nn::Affine encoder;
    Decoder decoder;
  } tied(Generator(3));
  optim::SGD of_tied(tied.parameters(), 0.1);
  of_tied.step(gradients_of(tied));
  BOOST_TEST(tied.state().size() == 2);
  BOOST_TEST(tied.decoder.state().empty());
}

BOOST_AUTO_TEST_CASE(what_is_known_moves_and_ends_with_the_module) {
  auto net = std::make_unique<WithoutModule>(Generator(1));
  Gradients gradients = gradients_of(*net);
  optim::SGD sgd(net->parameters(), 0.1);
  WithoutModule moved = std::move(*net);
  net.reset();
  BOOST_CHECK_EXCEPTION(moved.state(), Error, mentions("WithoutModule"));
  BOOST_CHECK_THROW(sgd.step(gradients), Error);
  moved = WithoutModule(Generator(2));
  BOOST_TEST(moved.state().size() == 2);
  sgd.step(gradients);
}

BOOST_AUTO_TEST_CASE(threads_find_out_at_once) {
  WithoutModule net(Generator(1));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&net] {
      for (int i = 0; i < 20; ++i) gradients_of(net);
    });
  for (std::thread& t : threads) t.join();
  BOOST_CHECK_EXCEPTION(net.state(), Error, mentions("WithoutModule"));
}

// A module within itself, and one that lists what it lies in, as they are refused nowhere.
BOOST_AUTO_TEST_CASE(a_module_within_itself_is_entered_once) {
  struct Self : nn::Module {
    void visit(nn::Visitor& v) override { v("scale", scale), v("me", *this), v("child", child); }
    Tensor forward(const Tensor& x) override { return forgotten(child(x) * scale); }
    struct Child : nn::Module {
      void visit(nn::Visitor& v) override { v("parent", *parent); }
      Tensor forward(const Tensor& x) override { return x; }
      nn::Module* parent = nullptr;
    } child;
    Parameter scale = Parameter(Tensor::ones({3}));
    nn::Dropout forgotten = nn::Dropout(0.5, 1);
  } net;
  net.child.parent = &net;
  optim::SGD sgd(net.parameters(), 0.1);
  BOOST_CHECK_EXCEPTION(sgd.step(gradients_of(net)), Error, mentions("Self", "nn::Dropout"));
  BOOST_CHECK_EXCEPTION(net.state(), Error, mentions("Self", "nn::Dropout"));
}

BOOST_AUTO_TEST_CASE(what_is_detached_is_trained_by_others) {
  Generator rng(1);
  nn::Affine trunk(3, 3, rng);
  struct Critic : nn::Module {
    Critic(nn::Affine& t, Generator& g) : trunk(&t), head(3, 1, g) {}
    void visit(nn::Visitor& v) override { v("head", head); }
    Tensor forward(const Tensor& x) override { return head((*trunk)(x).detach()); }
    nn::Affine* trunk;
    nn::Affine head;
  } critic(trunk, rng);
  optim::SGD sgd(critic.parameters(), 0.1);
  sgd.step(gradients_of(critic));
}

// A generator's step goes through the critic, which has an optimizer of its own: nobody has forgotten it.
BOOST_AUTO_TEST_CASE(what_another_optimizer_updates_is_not_forgotten) {
  WithoutModule net(Generator(1));
  optim::SGD of_named(net.named, 0.1);
  {
    optim::Adam of_forgotten(net.forgotten, 0.1);
    const Gradients gradients = gradients_of(net);
    of_named.step(gradients);
    of_forgotten.step(gradients);
    BOOST_TEST(of_forgotten.steps() == 1);
  }
  // With that one gone nobody trains it; and a state would lack it in any case.
  BOOST_CHECK_EXCEPTION(of_named.step(gradients_of(net)), Error, mentions("WithoutModule", "nn::Affine"));
  BOOST_TEST(of_named.steps() == 1);
  BOOST_CHECK_EXCEPTION(net.state(), Error, mentions("WithoutModule", "nn::Affine"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace unlisted_members_test
