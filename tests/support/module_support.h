#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/elementwise/activation.h>

namespace tapegrad::test {

/// A module of one's own.
class TwoLayer : public nn::Module {
 public:
  TwoLayer(std::int64_t in, std::int64_t hidden, std::int64_t out, Generator rng)
      : fc1_(in, hidden, rng), fc2_(hidden, out, rng) {}
  void visit(nn::Visitor& v) override {
    v("fc1", fc1_);
    v("fc2", fc2_);
  }
  Tensor forward(const Tensor& x) override { return fc2_(relu(fc1_(x))); }
  std::unique_ptr<ModuleBase> new_like() const override {
    return std::make_unique<TwoLayer>(fc1_.in(), fc1_.out(), fc2_.out(), Generator());
  }

  nn::Affine& fc1() { return fc1_; }
  nn::Affine& fc2() { return fc2_; }

 private:
  nn::Affine fc1_, fc2_;
};

inline std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

/// A batch for it.
inline const Tensor kX = Tensor::from({{1, -2, 0.5}, {0, 1, -1}});

}  // namespace tapegrad::test
