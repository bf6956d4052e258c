#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace module_test {

using namespace tapegrad;
using test::Everything;
using test::floats;
using test::kX;
using test::mentions;
using test::names_of;
using test::Tied;
using test::TwoLayer;

BOOST_AUTO_TEST_SUITE(module)

// ---- what a module enumerates ----

BOOST_AUTO_TEST_CASE(a_module_lists_its_members_by_path) {
  TwoLayer net(3, 4, 2, Generator(1));
  BOOST_TEST(names_of(net.parameters()) ==
             std::vector<std::string>({"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}));
  BOOST_TEST(net.parameter_count() == 3 * 4 + 4 + 4 * 2 + 2);
  BOOST_CHECK(net.parameters()[2].second == net.fc2().weight());
  BOOST_TEST(net.buffers().empty());

  Everything all;
  all.many.emplace_back(1, 1, all.rng);
  all.many.emplace_back(1, 2, all.rng, nn::AffineOptions{.bias = false});
  BOOST_TEST(names_of(all.parameters()) ==
             std::vector<std::string>({"scale", "present.weight", "present.bias", "shared.gamma",
                                       "shared.beta", "many.0.weight", "many.0.bias", "many.1.weight"}));
  BOOST_TEST(names_of(all.buffers()) ==
             std::vector<std::string>({"count", "shared.running_mean", "shared.running_var"}));
  BOOST_TEST(
      names_of(all.state()) ==
      std::vector<std::string>({"scale", "count", "generator", "present.weight", "present.bias",
                                "shared.gamma", "shared.beta", "shared.running_mean", "shared.running_var",
                                "many.0.weight", "many.0.bias", "many.1.weight", "drop.generator"}));
}

BOOST_AUTO_TEST_CASE(a_shared_parameter_is_listed_and_trained_once) {
  Tied net(Generator(1));
  BOOST_TEST(names_of(net.parameters()) == std::vector<std::string>({"in.weight", "in.bias"}));
  BOOST_TEST(names_of(net.state()) == std::vector<std::string>({"in.weight", "in.bias"}));
  BOOST_TEST(net.parameter_count() == 12);

  // d/dW sum(relu-free (x W) W) has a term from each use.
  const Parameter w = net.in.weight();
  Tape tape;
  const Gradients g = tape.backward(sum(net(kX)));
  Tape reference;
  const Tensor a = reference.watch(w.data());
  const Tensor b = reference.watch(w.data());
  const Gradients parts = reference.backward(sum(matmul(affine(kX, a, net.in.bias().data()), b)));
  const std::vector<float> both = floats(g[w]);
  const std::vector<float> first = floats(parts[a]);
  const std::vector<float> second = floats(parts[b]);
  for (std::size_t i = 0; i < both.size(); ++i) BOOST_TEST(std::abs(both[i] - first[i] - second[i]) < 1e-5);
}

BOOST_AUTO_TEST_CASE(one_name_twice_is_refused) {
  struct Double : nn::ModuleBase {
    Parameter a{Tensor::ones({1})}, b{Tensor::ones({1})};
    void visit(nn::Visitor& v) override {
      v("a", a);
      v("a", b);
    }
  } m;
  BOOST_CHECK_EXCEPTION(m.parameters(), ArgumentError, mentions("Double", "two members 'a'"));
  BOOST_CHECK_THROW(m.state(), ArgumentError);
}

BOOST_AUTO_TEST_CASE(modes_and_freezing_reach_all_modules) {
  Everything all;
  all.many.emplace_back(1, 1, all.rng);
  BOOST_TEST(all.training());
  BOOST_TEST(all.shared->training());
  all.eval();
  BOOST_TEST(!all.training());
  BOOST_TEST(!all.present->training());
  BOOST_TEST(!all.shared->training());
  BOOST_TEST(!all.many[0].training());
  all.train();
  BOOST_TEST(all.many[0].training());

  TwoLayer net(3, 4, 2, Generator(1));
  net.freeze();
  {
    Tape tape;
    BOOST_TEST(!net(kX).tracked());
  }
  net.freeze(false);
  net.fc1().freeze();
  Tape tape;
  const Gradients g = tape.backward(sum(net(kX)));
  BOOST_TEST(g.find(net.fc1().weight()) == nullptr);
  BOOST_TEST(g.find(net.fc2().weight()) != nullptr);
}

BOOST_AUTO_TEST_CASE(a_buffer_forgets_the_history_of_what_it_is_given) {
  nn::Buffer b;
  const Parameter p(Tensor::ones({2}));
  {
    Tape tape;
    b = p.value() * 3;
    BOOST_TEST(!b.tracked());
    BOOST_TEST((p.value() * b).tracked());
    const nn::Buffer c = p.value() * 2;
    BOOST_TEST(!c.tracked());
  }
  {
    Tape tape;
    b += p.value();
    b *= p.value();
    b -= p.value() - 1.0;
    (b /= p.value()) *= 0.75;
    BOOST_TEST(!b.tracked());
  }
  Tape tape;
  BOOST_CHECK_NO_THROW(p.value() * b);  // not stale
  BOOST_TEST(floats(b) == std::vector<float>({3, 3}));
}

// ---- state ----

BOOST_AUTO_TEST_CASE(state_is_a_copy_and_comes_back) {
  TwoLayer net(3, 4, 2, Generator(1));
  const nn::State saved = net.state();
  const std::vector<float> y = floats(net(kX));
  optim::SGD sgd(net, 0.1);
  {
    Tape tape;
    sgd.step(tape.backward(sum(square(net(kX)))));
  }
  BOOST_TEST(floats(net(kX)) != y);
  net.load_state(saved);
  BOOST_TEST(floats(net(kX)) == y);
  BOOST_TEST(sgd.state().size() == 2 + net.parameters().size());
  {
    Tape tape;  // the same parameters still: the optimizer reaches them
    sgd.step(tape.backward(sum(square(net(kX)))));
  }
  BOOST_TEST(floats(net(kX)) != y);

  TwoLayer other(3, 4, 2, Generator(2));
  nn::State shuffled(saved.rbegin(), saved.rend());
  other.load_state(shuffled);
  BOOST_TEST(floats(other(kX)) == y);

  nn::BatchNorm norm(3);
  nn::State stats = norm.state();
  stats[2].second = Tensor::from({1, 2, 3});
  norm.load_state(stats);
  stats[2].second.mutable_values<float>()[0] = 9;
  BOOST_TEST(norm.running_mean().to_vector<double>() == std::vector<double>({1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(a_state_that_does_not_fit_changes_nothing) {
  nn::Sequential net;
  Generator rng(1);
  net.append("fc", nn::Affine(3, 2, rng)).append("norm", nn::BatchNorm(2));
  const nn::State good = net.state();
  BOOST_TEST(names_of(good) == std::vector<std::string>({"fc.weight", "fc.bias", "norm.gamma", "norm.beta",
                                                         "norm.running_mean", "norm.running_var"}));
  nn::State zeros = good;
  for (auto& [name, tensor] : zeros) tensor = Tensor::zeros(tensor.shape());

  nn::State names = zeros;
  names[1].first = "fc.bias2";
  names.pop_back();
  BOOST_CHECK_EXCEPTION(net.load_state(names), ArgumentError,
                        mentions("missing: fc.bias, norm.running_var", "unexpected: fc.bias2"));
  nn::State shape = zeros;
  shape[5].second = Tensor::zeros({3});
  BOOST_CHECK_EXCEPTION(net.load_state(shape), ShapeError, mentions("'norm.running_var' is [3]", "[2]"));
  // Weights of PyTorch, which has them as [out, in].
  nn::State transposed = zeros;
  transposed[0].second = Tensor::zeros({2, 3});
  BOOST_CHECK_EXCEPTION(
      net.load_state(transposed), ShapeError,
      mentions("'fc.weight' is [2, 3]", "[3, 2]", "transpose of", "PyTorch", "square ones too"));
  nn::State of_pytorch = zeros;
  of_pytorch.emplace_back("norm.num_batches_tracked", Tensor::scalar(7, i64));
  BOOST_CHECK_EXCEPTION(net.load_state(of_pytorch), ArgumentError,
                        mentions("unexpected: norm.num_batches_tracked", "PyTorch", "square ones too"));
  BOOST_CHECK_EXCEPTION(net.load_state(shape), ShapeError,
                        [](const Error& e) { return !mentions("PyTorch")(e); });
  nn::State dtype = zeros;
  dtype[2].second = Tensor::zeros({2}, f64);
  BOOST_CHECK_EXCEPTION(net.load_state(dtype), DtypeError, mentions("'norm.gamma'", "f64", "f32"));
  dtype = zeros;
  dtype[5].second = Tensor::zeros({2}, i64);
  BOOST_CHECK_EXCEPTION(net.load_state(dtype), DtypeError, mentions("'norm.running_var'", "i64", "f64"));
  nn::State twice = zeros;
  twice.push_back(zeros[0]);
  BOOST_CHECK_EXCEPTION(net.load_state(twice), ArgumentError, mentions("'fc.weight' is given twice"));
  nn::State undefined = zeros;
  undefined[0].second = Tensor();
  BOOST_CHECK_EXCEPTION(net.load_state(undefined), ArgumentError,
                        mentions("'fc.weight' is an undefined tensor"));

  const nn::State after = net.state();
  for (std::size_t i = 0; i < good.size(); ++i)
    BOOST_TEST(floats(cast(after[i].second, f32)) == floats(cast(good[i].second, f32)));
}

BOOST_AUTO_TEST_CASE(a_state_holds_the_generators) {
  Everything all;
  all.generator = Generator(Generator::State{~std::uint64_t{0}, std::uint64_t{1} << 63, 12});
  all.drop(Tensor::ones({5}));
  const nn::State state = all.state();
  const std::vector<float> next = floats(all.drop(Tensor::ones({50})));

  Everything other;
  other.load_state(state);
  BOOST_CHECK((other.generator.state() == Generator::State{~std::uint64_t{0}, std::uint64_t{1} << 63, 12}));
  BOOST_TEST(floats(other.drop(Tensor::ones({50}))) == next);

  // A file that does not name them leaves them as they are.
  nn::State older = state;
  std::erase_if(older, [](const auto& entry) { return entry.first.ends_with("generator"); });
  const Generator::State before = other.generator.state();
  other.load_state(older);
  BOOST_CHECK((other.generator.state() == before));
  nn::State misfit = state;
  misfit[2].second = Tensor::zeros({2}, i64);
  BOOST_CHECK_EXCEPTION(other.load_state(misfit), ShapeError, mentions("'generator' is [2]", "[3]"));
  nn::State unknown = older;
  unknown.emplace_back("other.generator", state[2].second);
  BOOST_CHECK_EXCEPTION(other.load_state(unknown), ArgumentError, mentions("unexpected: other.generator"));
}

BOOST_AUTO_TEST_CASE(modules_move_and_never_copy) {
  static_assert(!std::is_copy_constructible_v<TwoLayer> && !std::is_copy_assignable_v<TwoLayer>);
  static_assert(std::is_nothrow_move_constructible_v<nn::Affine> &&
                std::is_nothrow_move_assignable_v<nn::Sequential>);
  static_assert(!std::is_constructible_v<nn::Module> && !std::is_constructible_v<nn::ModuleBase>);
  TwoLayer net(3, 4, 2, Generator(1));
  net.eval();
  const std::vector<float> y = floats(net(kX));
  TwoLayer moved(std::move(net));
  BOOST_TEST(floats(moved(kX)) == y);
  BOOST_TEST(!moved.training());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace module_test
