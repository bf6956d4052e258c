#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/module.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace layer_test {

using namespace tapegrad;
using test::floats;
using test::mentions;

// Layers of several inputs and results.
BOOST_AUTO_TEST_SUITE(layer)

namespace {

struct LstmState {
  Tensor h, c;
  void visit_tensors(nn::TensorVisitor& v) {
    v("h", h);
    v("c", c);
  }
};

/// Hochreiter, Schmidhuber 1997, with one affine layer for all gates: i, f, g, o.
class LstmCell final : public nn::Layer<LstmState(const Tensor& x, const LstmState& before)> {
 public:
  LstmCell(std::int64_t in, std::int64_t width, Generator& rng, Dtype dtype = f32)
      : width_(width), dtype_(dtype) {
    for (nn::Affine* gate : {&input_, &forget_, &cell_, &output_})
      *gate = nn::Affine(in + width, width, rng, {.init = nn::Init::xavier(), .dtype = dtype});
  }
  void visit(nn::Visitor& v) override {
    v("input", input_);
    v("forget", forget_);
    v("cell", cell_);
    v("output", output_);
  }
  LstmState forward(const Tensor& x, const LstmState& before) override {
    const Tensor xh = concat({x, before.h}, 1);
    const Tensor c = sigmoid(forget_(xh)) * before.c + sigmoid(input_(xh)) * tapegrad::tanh(cell_(xh));
    return {sigmoid(output_(xh)) * tapegrad::tanh(c), c};
  }
  std::unique_ptr<nn::ModuleBase> new_like() const override {
    Generator any;
    return std::make_unique<LstmCell>(input_.in() - width_, width_, any, dtype_);
  }
  nn::Affine& forget() { return forget_; }

 private:
  static nn::Affine placeholder() { return nn::Affine(Parameter(Tensor::ones({1, 1}))); }
  std::int64_t width_;
  Dtype dtype_;
  nn::Affine input_ = placeholder(), forget_ = placeholder(), cell_ = placeholder(), output_ = placeholder();
};

/// Vectors of tensors in and out, with a number beside them.
class Scale final : public nn::Layer<std::vector<Tensor>(const std::vector<Tensor>&, double)> {
 public:
  explicit Scale(Dtype dtype = f32) : factor_(Tensor::full({1}, 3, dtype)) {}
  void visit(nn::Visitor& v) override { v("factor", factor_); }
  std::vector<Tensor> forward(const std::vector<Tensor>& all, double shift) override {
    std::vector<Tensor> scaled;
    for (const Tensor& x : all) scaled.push_back(x * factor_ + shift);
    return scaled;
  }
  std::unique_ptr<nn::ModuleBase> new_like() const override { return std::make_unique<Scale>(); }

 private:
  Parameter factor_;
};

/// A module of one tensor [n, steps * in] that runs the cell over it.
class Reader final : public nn::Module {
 public:
  Reader(std::int64_t in, std::int64_t width, Generator& rng) : in_(in), width_(width), head_(width, 1, rng) {
    cells_.push_back(std::make_unique<LstmCell>(in, width, rng));
    cells_.push_back(std::make_unique<LstmCell>(width, width, rng));
  }
  void visit(nn::Visitor& v) override {
    v("cells", cells_);
    v("scale", scale_);
    v("head", head_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor zero = Tensor::zeros({x.dim(0), width_}, x.dtype());
    std::vector<LstmState> states(cells_.size(), {zero, zero});
    for (std::int64_t t = 0; t < x.dim(1); t += in_) {
      Tensor in = slice(x, 1, t, t + in_);
      for (std::size_t i = 0; i < cells_.size(); ++i) {
        states[i] = (*cells_[i])(in, states[i]);
        in = states[i].h;
      }
    }
    return head_(scale_({states.back().h}, 0.5)[0]);
  }
  std::unique_ptr<nn::ModuleBase> new_like() const override {
    Generator any;
    return std::make_unique<Reader>(in_, width_, any);
  }
  LstmCell& cell(std::size_t i) { return *cells_[i]; }

 private:
  std::int64_t in_, width_;
  std::vector<std::unique_ptr<LstmCell>> cells_;
  Scale scale_;
  nn::Affine head_;
};

Tensor some(const Shape& shape, std::uint64_t seed, Dtype dtype = f32) {
  Generator rng(seed);
  return uniform(shape, rng, -1, 1, dtype);
}

template <class T>
std::map<std::string, std::string> tensors_of(const T& value) {
  std::map<std::string, std::string> all;
  nn::for_each_tensor(value, [&](std::string_view name, const Tensor& t) {
    all.emplace(name, t.defined() ? to_string(t.shape()) : "undefined");
  });
  return all;
}

}  // namespace

// ---- the tensors of a value ----

BOOST_AUTO_TEST_CASE(the_tensors_of_values_are_found_by_name) {
  using Names = std::map<std::string, std::string>;
  const Tensor a = Tensor::ones({1});
  const Tensor b = Tensor::ones({2});
  BOOST_CHECK(tensors_of(a) == Names({{"", "[1]"}}));
  BOOST_CHECK(tensors_of(7).empty());
  BOOST_CHECK(tensors_of(std::vector<double>{1, 2}).empty());
  BOOST_CHECK(tensors_of(std::vector<bool>{true}).empty());
  BOOST_CHECK(tensors_of(std::vector{a, b}) == Names({{"0", "[1]"}, {"1", "[2]"}}));
  BOOST_CHECK(tensors_of(std::pair(a, std::array{b, a})) ==
              Names({{"0", "[1]"}, {"1.0", "[2]"}, {"1.1", "[1]"}}));
  BOOST_CHECK(tensors_of(LstmState{a, b}) == Names({{"h", "[1]"}, {"c", "[2]"}}));
  BOOST_CHECK(tensors_of(std::tuple(2.5, std::vector<LstmState>{{a, b}}, std::optional<Tensor>())) ==
              Names({{"1.0.h", "[1]"}, {"1.0.c", "[2]"}}));
  BOOST_CHECK(tensors_of(std::optional(b)) == Names({{"", "[2]"}}));
  struct Other {};
  static_assert(nn::lists_tensors<LstmState> && !nn::lists_tensors<Other>);
  static_assert(!nn::lists_tensors<std::vector<Other>> && !nn::lists_tensors<std::string>);
}

// ---- a layer of two inputs with a struct as its result ----

BOOST_AUTO_TEST_CASE(a_cell_computes_its_formula) {
  Generator rng(3);
  LstmCell cell(1, 1, rng);
  const auto set = [&](const char* name, float of_x, float of_h, float bias) {
    for (auto& [path, p] : cell.parameters()) {
      if (path == std::string(name) + ".weight")
        p.assign(Tensor::from(std::vector<float>{of_x, of_h}, {2, 1}));
      if (path == std::string(name) + ".bias") p.assign(Tensor::full({1}, bias));
    }
  };
  set("input", 0.5F, -1.0F, 0.1F);
  set("forget", 1.0F, 0.25F, 0);
  set("cell", -0.5F, 2.0F, 0.3F);
  set("output", 0.75F, 0.5F, -0.2F);
  const double x = 0.4, h = -0.6, c = 0.9;
  const auto logistic = [](double z) { return 1 / (1 + std::exp(-z)); };
  const double i = logistic(0.5 * x - h + 0.1);
  const double f = logistic(x + 0.25 * h);
  const double g = std::tanh(-0.5 * x + 2 * h + 0.3);
  const double o = logistic(0.75 * x + 0.5 * h - 0.2);
  const double next = f * c + i * g;

  const LstmState s = cell(Tensor::full({1, 1}, x), {Tensor::full({1, 1}, h), Tensor::full({1, 1}, c)});
  // In float, where the two terms of c cancel to a tenth of them.
  BOOST_TEST(s.c.item() == next, boost::test_tools::tolerance(4e-6));
  BOOST_TEST(s.h.item() == o * std::tanh(next), boost::test_tools::tolerance(4e-6));
}

BOOST_AUTO_TEST_CASE(it_is_a_module_like_any_other) {
  Generator rng(5);
  Reader net(2, 3, rng);
  std::vector<std::string> names;
  for (const auto& [name, p] : net.parameters()) names.push_back(name);
  BOOST_TEST(names.size() == 2 * 8 + 1 + 2);
  BOOST_TEST(names.front() == "cells.0.input.weight");
  BOOST_TEST(names[8] == "cells.1.input.weight");
  BOOST_TEST(names[16] == "scale.factor");
  BOOST_TEST(net.parameter_count() == 4 * (5 * 3 + 3) + 4 * (6 * 3 + 3) + 1 + 4);

  net.eval();
  BOOST_TEST(!net.cell(1).training());
  BOOST_TEST(!net.cell(1).forget().training());
  net.train();
  BOOST_TEST(net.cell(1).forget().training());
}

BOOST_AUTO_TEST_CASE(it_is_cloned_saved_frozen_and_trained) {
  Generator rng(7);
  LstmCell cell(2, 3, rng);
  const Tensor x = some({4, 2}, 1);
  const LstmState before{some({4, 3}, 2), some({4, 3}, 3)};
  const LstmState y = cell(x, before);

  const std::unique_ptr<LstmCell> own = nn::clone(cell);
  const std::unique_ptr<nn::Layer<LstmState(const Tensor&, const LstmState&)>> general = cell.clone();
  BOOST_TEST(floats((*own)(x, before).c) == floats(y.c));
  BOOST_TEST(floats((*general)(x, before).h) == floats(y.h));
  own->forget().bias().mutable_values<float>()[0] += 1;
  BOOST_TEST(floats((*own)(x, before).c) != floats(y.c));
  BOOST_TEST(floats(cell(x, before).c) == floats(y.c));

  own->load_state(cell.state());
  BOOST_TEST(floats((*own)(x, before).c) == floats(y.c));

  cell.freeze();
  {
    Tape tape;
    BOOST_TEST(!cell(x, before).h.tracked());
  }
  cell.freeze(false);
  optim::SGD sgd(cell, 0.5);
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    Tape tape;
    const LstmState s = cell(x, before);
    const Tensor loss = mean(square(s.h - 0.25)) + mean(square(s.c - 0.5));
    last = loss.item();
    if (step == 0) first = last;
    sgd.step(tape.backward(loss));
  }
  BOOST_TEST(last < first / 2);
}

BOOST_AUTO_TEST_CASE(hooks_see_each_tensor_of_a_result) {
  Generator rng(5);
  Reader net(2, 3, rng);
  const Tensor x = some({4, 4}, 6);
  std::vector<std::string> all, plain;
  {
    const nn::Hook every([&](std::string_view path, const nn::ModuleBase&, const Tensor& y) {
      all.push_back(std::string(path) + to_string(y.shape()));
    });
    const nn::Hook of_one_tensor(
        [&](std::string_view path, const nn::Module&, const Tensor&) { plain.emplace_back(path); });
    net(x);
  }
  using Names = std::vector<std::string>;
  // The gates in the order in which the compiler evaluates them, then what the cell has made of them.
  std::sort(all.begin(), all.begin() + 4);
  const Names first(all.begin(), all.begin() + 6);
  BOOST_TEST(first == Names({"cells.0.cell[4, 3]", "cells.0.forget[4, 3]", "cells.0.input[4, 3]",
                             "cells.0.output[4, 3]", "cells.0.h[4, 3]", "cells.0.c[4, 3]"}));
  const Names tail(all.end() - 3, all.end());
  BOOST_TEST(tail == Names({"scale.0[4, 3]", "head[4, 1]", "[4, 1]"}));
  BOOST_TEST(all.size() == 2 * 2 * 6 + 3);
  BOOST_TEST(plain.size() == 2 * 2 * 4 + 2);

  nn::LayerOutputs outputs;
  Tape tape;
  const Tensor y = sum(net(x));
  BOOST_TEST(to_string(outputs["cells.1.c"].shape()) == "[4, 3]");
  const std::vector<Tensor> gradients = outputs.gradients(tape, y);
  BOOST_TEST(gradients.size() == outputs.size());
  for (const Tensor& g : gradients) BOOST_TEST(g.defined());
  // A cell that is called by itself: its result's own names.
  outputs.clear();
  net.cell(0)(some({4, 2}, 1), {some({4, 3}, 2), some({4, 3}, 3)});
  BOOST_TEST(outputs[4].path == "h");
}

BOOST_AUTO_TEST_CASE(what_is_absent_from_a_result_is_not_reported) {
  struct Maybe : nn::Layer<std::optional<Tensor>(const std::optional<Tensor>&)> {
    std::optional<Tensor> forward(const std::optional<Tensor>& x) override { return x; }
  } maybe;
  struct Undefined : nn::Layer<std::pair<Tensor, Tensor>(const Tensor&, const Tensor&)> {
    std::pair<Tensor, Tensor> forward(const Tensor& a, const Tensor& b) override { return {a, b}; }
  } undefined;
  const nn::LayerOutputs outputs;
  BOOST_TEST(!maybe(std::nullopt).has_value());
  BOOST_TEST(outputs.size() == 0U);
  BOOST_TEST(maybe(Tensor::ones({2})).has_value());
  BOOST_TEST(outputs.size() == 1U);
  undefined(Tensor(), Tensor::ones({3}));
  BOOST_TEST(outputs.size() == 2U);
  BOOST_TEST(outputs[1].path == "1");
}

BOOST_AUTO_TEST_CASE(errors_name_the_layer) {
  Generator rng(5);
  Reader net(2, 3, rng);
  net.cell(1).forget() = nn::Affine(Parameter(Tensor::ones({7, 3})));
  BOOST_CHECK_EXCEPTION(net(some({4, 4}, 6)), ShapeError, mentions("affine 'cells.1.forget': "));
}

// ---- gradients ----

BOOST_AUTO_TEST_CASE(the_checker_takes_any_arguments_and_results) {
  Generator rng(9);
  LstmCell cell(2, 3, rng);
  const gradcheck::Report r =
      gradcheck::check_module(cell, {some({2, 2}, 1), {some({2, 3}, 2), some({2, 3}, 3)}}, {.order = 2});
  BOOST_TEST(r.ok(), r.text());
  std::vector<std::string> inputs;  // what was differentiated
  for (const gradcheck::InputTally& tally : r.tallies())
    if (tally.order == 1 && tally.pass > 0) inputs.push_back(tally.name);
  for (const char* name : {"forget.weight", "output.bias", "input 0", "input 1.h", "input 1.c"})
    BOOST_TEST(std::ranges::count(inputs, name) > 0, name);

  Scale scale;
  const gradcheck::Report vectors =
      gradcheck::check_module(scale, {std::vector{some({3, 2}, 4), some({2}, 5)}, 0.5}, {.order = 2});
  BOOST_TEST(vectors.ok(), vectors.text());

  Reader net(2, 3, rng);
  const gradcheck::Report nested = gradcheck::check_module(net, some({2, 4}, 6));
  BOOST_TEST(nested.ok(), nested.text());
}

BOOST_AUTO_TEST_CASE(a_catalogue_holds_layers_of_several_inputs) {
  const auto samples = [](Generator& g) {
    std::vector<gradcheck::ModuleSample> all;
    all.push_back({.label = "a step",
                   .module = std::make_unique<LstmCell>(2, 3, g),
                   .inputs = {Shape{2, 2}, Shape{2, 3}, Shape{2, 3}},
                   .function = [](nn::ModuleBase& m, std::span<const Tensor> in) {
                     const LstmState s = dynamic_cast<LstmCell&>(m)(in[0], {in[1], in[2]});
                     return std::vector{s.h, s.c};
                   }});
    return all;
  };
  gradcheck::Catalog catalog;
  catalog.add_module("nn.LstmCell", samples);
  const gradcheck::Subject subject = gradcheck::check_module_samples(catalog.modules()[0], {.order = 2});
  BOOST_TEST((subject.standing == gradcheck::Subject::Standing::pass));
}

BOOST_AUTO_TEST_CASE(the_checker_finds_what_is_wrong_in_one_of_the_results) {
  struct Wrong : nn::Layer<LstmState(const Tensor&, const LstmState&)> {
    LstmState forward(const Tensor& x, const LstmState& s) override { return {x * s.h, s.c * s.c.detach()}; }
  } wrong;
  const gradcheck::Report r = gradcheck::check_module(wrong, {some({3}, 1), {some({3}, 2), some({3}, 3)}});
  BOOST_TEST(!r.ok());
  BOOST_TEST(r.text().find("input 1.c") != std::string::npos, r.text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace layer_test
