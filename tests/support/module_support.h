#pragma once

#include <cstdint>
#include <memory>
#include <string>
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

/// One of everything that a module can have.
class Everything : public nn::ModuleBase {
 public:
  void visit(nn::Visitor& v) override {
    v("scale", scale);
    v("count", count);
    v("generator", generator);
    v("absent", absent);
    v("present", present);
    v("shared", shared);
    v("many", many);
    v("drop", drop);
  }
  std::unique_ptr<ModuleBase> new_like() const override {
    auto copy = std::make_unique<Everything>();
    Generator any;
    while (copy->many.size() < many.size()) copy->many.emplace_back(1, 1, any);
    return copy;
  }

  Generator rng{5};
  Parameter scale{Tensor::full({2}, 3)};
  nn::Buffer count = Tensor::scalar(7, i64);
  Generator generator{11};
  std::unique_ptr<nn::Affine> absent;
  std::unique_ptr<nn::Module> present = std::make_unique<nn::Affine>(2, 1, rng);
  std::shared_ptr<nn::BatchNorm> shared = std::make_shared<nn::BatchNorm>(2);
  std::vector<nn::Affine> many;
  nn::Dropout drop{0.5, rng};
};

/// Its second layer shares the first one's weight.
class Tied : public nn::Module {
 public:
  explicit Tied(Generator rng) : in(3, 3, rng), out(in.weight()) {}
  void visit(nn::Visitor& v) override {
    v("in", in);
    v("out", out);
  }
  Tensor forward(const Tensor& x) override { return out(in(x)); }
  std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Tied>(Generator()); }

  nn::Affine in, out;
};

template <class List>
std::vector<std::string> names_of(const List& list) {
  std::vector<std::string> names;
  for (const auto& [name, value] : list) names.push_back(name);
  return names;
}

inline std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

/// A batch for it.
inline const Tensor kX = Tensor::from({{1, -2, 0.5}, {0, 1, -1}});

}  // namespace tapegrad::test
