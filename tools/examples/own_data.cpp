#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Sounds with noise, made when a batch asks for them, and which of four pitches each has.
class Sounds : public nn::DataSource {
 public:
  std::int64_t size() const override { return 4000; }
  std::int64_t classes() const override { return 4; }
  nn::Item item(std::int64_t i) const override {
    Generator rng(7, static_cast<std::uint64_t>(i));
    const double pitch = 0.3 + 0.1 * static_cast<double>(i % 4);
    const Tensor time = Tensor::arange(0, 64) + 64 * rng.uniform();
    return {.x = sin(pitch * time) + randn({64}, rng), .t = Tensor::scalar(static_cast<double>(i % 4), i64)};
  }
};

int main() {
  const nn::Dataset sounds(std::make_shared<Sounds>());
  const auto [training, test] = sounds.split(1000, 0);
  Generator rng(0);
  nn::Sequential net{nn::Affine(64, 64, rng), nn::Relu(), nn::Affine(64, 4, rng)};
  optim::Adam adam(net, 0.003);
  const nn::Transform louder = [](nn::Batch batch, Generator& g) {
    batch.x = batch.x * uniform({batch.size(), 1}, g, 0.5, 2);
    return batch;
  };
  nn::DataLoader loader(training, {.batch = 50, .transform = louder, .workers = 2});
  for (int epoch = 0; epoch < 10; ++epoch)
    for (const nn::Batch& batch : loader) {
      Tape tape;
      adam.step(tape.backward(softmax_with_loss(net(batch.x), batch.t)));
    }
  fmt::print("test accuracy {:.3f}\n", nn::evaluate(net, test).metric);
}
