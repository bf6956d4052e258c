// Whole networks that learn something, through the library's public face.
#include <cmath>
#include <numbers>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

namespace learning_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(learning)

namespace {

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

std::vector<double> all_values(const nn::Module& net) {
  std::vector<double> values;
  for (const auto& [name, tensor] : net.state()) {
    const std::vector<double> v = cast(tensor, f64).to_vector<double>();
    values.insert(values.end(), v.begin(), v.end());
  }
  return values;
}

struct Points {
  Tensor x;  ///< [n, 2]
  Tensor t;  ///< [n], i64
};

/// Three arms of a spiral, 60 points each, with a little noise.
Points spiral() {
  constexpr std::int64_t kArms = 3;
  constexpr std::int64_t kEach = 60;
  Generator rng(2);
  std::vector<float> x;
  std::vector<std::int64_t> t;
  for (std::int64_t arm = 0; arm < kArms; ++arm)
    for (std::int64_t i = 0; i < kEach; ++i) {
      const double radius = static_cast<double>(i) / kEach;
      const double angle =
          4 * radius + 2 * std::numbers::pi * static_cast<double>(arm) / kArms + 0.1 * rng.normal();
      x.push_back(static_cast<float>(radius * std::cos(angle)));
      x.push_back(static_cast<float>(radius * std::sin(angle)));
      t.push_back(arm);
    }
  return {Tensor::from(x, {kArms * kEach, 2}), Tensor::from(t)};
}

}  // namespace

BOOST_AUTO_TEST_CASE(xor_is_learned) {
  const Tensor x = Tensor::from({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor t = Tensor::from({0, 1, 1, 0}, {4, 1});
  Generator rng(1);
  nn::Sequential net{nn::Affine(2, 4, rng, {nn::Init::xavier()}), nn::Tanh(),
                     nn::Affine(4, 1, rng, {nn::Init::xavier()}), nn::Sigmoid()};
  optim::Adam adam(net, 0.05);
  const nn::MSELoss loss;
  for (int i = 0; i < 300; ++i) {
    Tape tape;
    adam.step(tape.backward(loss(net(x), t)));
  }
  const std::vector<float> y = floats(net(x));
  BOOST_TEST(y[0] < 0.1);
  BOOST_TEST(y[1] > 0.9);
  BOOST_TEST(y[2] > 0.9);
  BOOST_TEST(y[3] < 0.1);
}

BOOST_AUTO_TEST_CASE(a_spiral_is_learned_by_every_optimizer) {
  const Points points = spiral();
  const struct {
    const char* name;
    double lr;
  } settings[] = {{"sgd", 1.0},       {"momentum", 0.2}, {"nesterov", 0.2}, {"adagrad", 0.1},
                  {"rmsprop", 0.005}, {"adam", 0.02},    {"adamw", 0.02}};
  for (const auto& setting : settings) BOOST_TEST_CONTEXT(setting.name) {
      Generator rng(3);
      nn::Sequential net{nn::Affine(2, 32, rng), nn::Relu(), nn::Affine(32, 32, rng), nn::Relu(),
                         nn::Affine(32, 3, rng)};
      const auto optimizer = optim::make_optimizer(setting.name, net, setting.lr);
      for (int i = 0; i < 300; ++i) {
        Tape tape;
        optimizer->step(tape.backward(softmax_with_loss(net(points.x), points.t)));
      }
      BOOST_TEST(nn::accuracy(net(points.x), points.t) >= 0.95);
    }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_bits) {
  const Points points = spiral();
  const auto train = [&](std::uint64_t seed) {
    Generator rng(seed);
    nn::Sequential net{nn::Affine(2, 16, rng), nn::BatchNorm(16), nn::Relu(), nn::Dropout(0.2, rng),
                       nn::Affine(16, 3, rng)};
    optim::Adam adam(net, 0.01);
    const nn::DataLoader loader(nn::Dataset(points.x, points.t), {.batch = 36, .seed = seed});
    for (std::uint64_t epoch = 0; epoch < 4; ++epoch)
      for (const nn::Batch& batch : loader.epoch(epoch)) {
        Tape tape;
        adam.step(tape.backward(softmax_with_loss(net(batch.x), batch.t)));
      }
    return all_values(net);
  };
  const std::vector<double> once = train(5);
  BOOST_TEST(once == train(5));
  BOOST_TEST(once != train(6));
}

BOOST_AUTO_TEST_CASE(what_was_saved_goes_on_as_if_never_interrupted) {
  const Points points = spiral();
  const auto make = [](std::uint64_t seed) {
    Generator rng(seed);
    return nn::Sequential{nn::Affine(2, 16, rng), nn::BatchNorm(16), nn::Relu(), nn::Dropout(0.2, rng),
                          nn::Affine(16, 3, rng)};
  };
  const auto train = [&](nn::Module& net, optim::Optimizer& optimizer, int steps) {
    for (int i = 0; i < steps; ++i) {
      Tape tape;
      optimizer.step(tape.backward(softmax_with_loss(net(points.x), points.t)));
    }
  };
  nn::Sequential net = make(1);
  optim::Momentum momentum(net, 0.05);
  train(net, momentum, 5);
  nn::Sequential other = make(2);
  optim::Momentum resumed(other, 0.05);
  other.load_state(net.state());
  resumed.load_state(momentum.state());
  train(net, momentum, 5);
  train(other, resumed, 5);
  BOOST_TEST(all_values(net) == all_values(other));
}

// Two networks, each trained against the other: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014.
BOOST_AUTO_TEST_CASE(a_generator_learns_to_fool_a_discriminator) {
  constexpr std::int64_t kBatch = 64;
  Generator rng(4);
  nn::Sequential generator{nn::Affine(2, 16, rng), nn::Tanh(), nn::Affine(16, 1, rng)};
  nn::Sequential discriminator{nn::Affine(1, 16, rng), nn::LeakyRelu(0.2), nn::Affine(16, 1, rng)};
  optim::Adam generator_adam(generator, 0.01, 0.5);
  optim::Adam discriminator_adam(discriminator, 0.01, 0.5);
  const Tensor real_label = Tensor::ones({kBatch, 1});
  const Tensor fake_label = Tensor::zeros({kBatch, 1});
  const auto mean_of_generated = [&] {
    Generator noise(99);
    return mean(generator(randn({1000, 2}, noise))).item();
  };
  BOOST_TEST(std::abs(mean_of_generated() - 3) > 1.5);

  for (int i = 0; i < 400; ++i) {
    const Tensor noise = randn({kBatch, 2}, rng);
    {
      Tape tape;
      const Tensor fake = generator(noise).detach();
      const Tensor real = randn({kBatch, 1}, rng, f32, 3, 0.5);
      const Gradients g = tape.backward(binary_cross_entropy_with_logits(discriminator(real), real_label) +
                                        binary_cross_entropy_with_logits(discriminator(fake), fake_label));
      const std::vector<double> before = all_values(generator);
      discriminator_adam.step(g);
      if (i == 0) BOOST_TEST(all_values(generator) == before);
    }
    {
      Tape tape;
      const Gradients g =
          tape.backward(binary_cross_entropy_with_logits(discriminator(generator(noise)), real_label));
      const std::vector<double> before = all_values(discriminator);
      generator_adam.step(g);  // g has the discriminator's gradients too; they are not asked for
      if (i == 0) BOOST_TEST(all_values(discriminator) == before);
    }
  }
  BOOST_TEST(std::abs(mean_of_generated() - 3) < 0.5);
}

// One network for two inputs, its last layer shared with another network.
BOOST_AUTO_TEST_CASE(tied_weights_are_trained_together) {
  Generator rng(1);
  nn::Affine head(3, 1, rng);
  nn::Sequential a{nn::Affine(2, 3, rng), nn::Tanh(), nn::Affine(head.weight(), head.bias())};
  nn::Sequential b{nn::Affine(2, 3, rng), nn::Tanh(), std::move(head)};
  const Tensor x = randn({20, 2}, rng);
  const Tensor t = sum(x, 1, KeepDims::yes);
  optim::SGD sgd(a, 0.1);
  const auto loss_of_b = [&] { return mse_loss(b(x), t).item(); };
  const double before = loss_of_b();
  for (int i = 0; i < 20; ++i) {
    Tape tape;
    sgd.step(tape.backward(mse_loss(a(x), t) + mse_loss(b(x), t)));
  }
  BOOST_TEST(loss_of_b() < before);
  BOOST_TEST(floats(a.get<nn::Affine>(2).weight().data()) == floats(b.get<nn::Affine>(2).weight().data()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace learning_test
