// A layer of several inputs and results, an LSTM cell, in a network that is trained by a callable of a batch:
// whether a sequence of numbers has a sum above 0.
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

struct Net : nn::ModuleBase {
  LstmCell cell;
  nn::Affine head;
  explicit Net(Generator& rng) : cell(1, 8, rng), head(8, 2, rng) {}
  void visit(nn::Visitor& v) override { v("cell", cell), v("head", head); }
};

int main() {
  Generator rng(1);
  Net net(rng);
  const Tensor x = randn({2000, 6}, rng);
  std::vector<std::int64_t> classes;
  for (const float s : sum(x, 1).to_vector<float>()) classes.push_back(s > 0 ? 1 : 0);
  const nn::Dataset data(x, Tensor::from(classes), 2);

  const auto forward = [&](const nn::Batch& batch) {
    const Tensor zero = Tensor::zeros({batch.size(), 8});
    LstmState state{zero, zero};
    for (std::int64_t t = 0; t < batch.x.dim(1); ++t) state = net.cell(slice(batch.x, 1, t, t + 1), state);
    return net.head(state.h);
  };
  optim::Adam adam(net, 0.02);
  nn::Trainer trainer(net, forward, adam, {.epochs = 5, .validation = 0.2});
  fmt::print("validation accuracy {:.3f}\n", trainer.fit(data).epochs.back().validation.metric);

  const Tensor state = randn({2, 8}, rng);
  fmt::print("{}\n", gradcheck::check_module(net.cell, {randn({2, 1}, rng), {state, state}}).text());
}
