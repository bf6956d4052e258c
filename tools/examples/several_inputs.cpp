// A layer of several inputs and results, an LSTM cell, in a network of two inputs: whether a sequence of numbers has a
// sum above 0, where sequences are of different lengths.
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

struct LstmState {
  Tensor h, c;
  void visit_tensors(nn::TensorVisitor& v) { v("h", h), v("c", c); }
};

class LstmCell : public nn::Layer<LstmState(const Tensor& x, const LstmState& before)> {
 public:
  LstmCell(std::int64_t inputs, std::int64_t width, Generator& rng)
      : gates_(inputs + width, 4 * width, rng, {.init = nn::Init::xavier()}), width_(width) {}
  void visit(nn::Visitor& v) override { v("gates", gates_); }
  LstmState forward(const Tensor& x, const LstmState& before) override {
    const Tensor all = gates_(concat({x, before.h}, 1));
    const auto gate = [&](std::int64_t i) { return slice(all, 1, i * width_, (i + 1) * width_); };
    const Tensor c = sigmoid(gate(0)) * before.c + sigmoid(gate(1)) * tapegrad::tanh(gate(2));
    return {sigmoid(gate(3)) * tapegrad::tanh(c), c};
  }

 private:
  nn::Affine gates_;
  std::int64_t width_;
};

// Sequences x [n, time], of which the first lengths[i] numbers count.
class Net : public nn::Layer<Tensor(const Tensor& x, const Tensor& lengths)> {
 public:
  explicit Net(Generator& rng) : cell(1, kWidth, rng), head(kWidth, 2, rng) {}
  void visit(nn::Visitor& v) override { v("cell", cell), v("head", head); }
  Tensor forward(const Tensor& x, const Tensor& lengths) override {
    const Tensor zero = Tensor::zeros({x.dim(0), kWidth});
    LstmState state{zero, zero};
    for (std::int64_t t = 0; t < x.dim(1); ++t) {
      const LstmState next = cell(slice(x, 1, t, t + 1), state);
      const Tensor goes_on = reshape(lengths, {-1, 1}) > static_cast<double>(t);
      state = {where(goes_on, next.h, state.h), where(goes_on, next.c, state.c)};
    }
    return head(state.h);
  }

  LstmCell cell;
  nn::Affine head;

 private:
  static constexpr std::int64_t kWidth = 8;
};

int main() {
  Generator rng(1);
  Net net(rng);
  const Tensor x = randn({2000, 6}, rng);
  const Tensor lengths = integers({2000}, rng, 1, 7);
  const Tensor counts = Tensor::arange(6) < reshape(lengths, {-1, 1});
  const Tensor classes = cast(sum(where(counts, x, 0), 1) > 0, i64);
  const nn::Dataset data({{"x", x}, {"lengths", lengths}, {"t", classes}}, 2);
  const auto [training, test] = data.split(400, 0);

  const auto forward = [&](const nn::Batch& batch) { return net(batch.x, batch["lengths"]); };
  optim::Adam adam(net, 0.02);
  nn::Trainer trainer(net, forward, adam, {.epochs = 8, .batch = 50});
  trainer.fit(training);
  fmt::print("test accuracy {:.3f}\n", nn::evaluate(net, forward, test).metric);

  const Tensor state = randn({2, 8}, rng);
  fmt::print("{}\n", gradcheck::check_module(net.cell, {randn({2, 1}, rng), {state, state}}).text());
}
