// Copies of modules.

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>

#include <boost/test/unit_test.hpp>

#include "module_support.h"
#include "support.h"

namespace module_clone_test {

using namespace tapegrad;
using test::Everything;
using test::floats;
using test::kX;
using test::mentions;
using test::names_of;
using test::Tied;
using test::TwoLayer;

BOOST_AUTO_TEST_SUITE(module_clone)

BOOST_AUTO_TEST_CASE(a_clone_is_equal_and_independent) {
  TwoLayer net(3, 4, 2, Generator(1));
  net.fc1().freeze();
  net.fc2().eval();
  const std::unique_ptr<TwoLayer> copy = nn::clone(net);
  const std::vector<float> y = floats(net(kX));
  BOOST_TEST(floats((*copy)(kX)) == y);
  BOOST_TEST(copy->fc1().weight().frozen());
  BOOST_TEST(!copy->fc2().weight().frozen());
  BOOST_TEST(copy->training());
  BOOST_TEST(!copy->fc2().training());
  BOOST_CHECK(!(copy->fc1().weight() == net.fc1().weight()));

  copy->fc2().weight().mutable_values<float>()[0] += 1;
  BOOST_TEST(floats((*copy)(kX)) != y);
  BOOST_TEST(floats(net(kX)) == y);

  Everything all;
  all.many.emplace_back(1, 1, all.rng);
  all.generator();
  all.shared->forward(Tensor::from({{1, 2}, {3, 5}}));
  const auto twin = nn::clone(all);
  BOOST_CHECK(twin->generator.state() == all.generator.state());
  const nn::State a = all.state();
  const nn::State b = twin->state();
  BOOST_TEST(names_of(a) == names_of(b));
  for (std::size_t i = 0; i < a.size(); ++i) BOOST_TEST(to_string(a[i].second) == to_string(b[i].second));
  BOOST_TEST(floats(all.drop(Tensor::ones({50}))) == floats(twin->drop(Tensor::ones({50}))));
  twin->shared->forward(Tensor::from({{1, 2}, {3, 5}}));
  BOOST_TEST(twin->shared->running_mean().to_vector<double>() !=
             all.shared->running_mean().to_vector<double>());
  twin->count.mutable_values<std::int64_t>()[0] = 8;
  BOOST_TEST(all.count.item() == 7);
}

BOOST_AUTO_TEST_CASE(shared_parameters_stay_shared_in_a_clone) {
  const auto check = [](nn::ModuleBase& net, const Parameter& original, const Parameter& first,
                        const Parameter& second) {
    BOOST_CHECK(first == second);
    BOOST_CHECK(!(first == original));
    BOOST_TEST(floats(first.data()) == floats(original.data()));
    BOOST_TEST(net.parameter_count() == 12);
  };
  Tied net(Generator(1));
  const auto copy = nn::clone(net);
  check(*copy, net.in.weight(), copy->in.weight(), copy->out.weight());

  // Shared across layers that know nothing of each other, at different depths.
  Generator rng(1);
  nn::Affine a(3, 3, rng);
  const Parameter w = a.weight();
  nn::Sequential seq{std::move(a), nn::Relu(), nn::Sequential{nn::Tanh(), nn::Affine(w)}};
  const auto twin = nn::clone(seq);
  check(*twin, w, twin->get<nn::Affine>(0).weight(),
        twin->get<nn::Sequential>(2).get<nn::Affine>(1).weight());
}

namespace {
/// Its buffer gets a value with the first call, as statistics do.
struct Lazy final : nn::Module {
  nn::Buffer seen;
  Tensor forward(const Tensor& x) override {
    seen = x;
    return x;
  }
  void visit(nn::Visitor& v) override { v("seen", seen); }
  std::unique_ptr<nn::ModuleBase> new_like() const override { return std::make_unique<Lazy>(); }
};
}  // namespace

BOOST_AUTO_TEST_CASE(a_buffer_without_a_value_is_cloned_as_such) {
  Lazy lazy;
  BOOST_TEST(!nn::clone(lazy)->seen.defined());
  lazy(Tensor::from({1, 2}));
  const auto copy = nn::clone(lazy);
  BOOST_TEST(copy->seen.to_vector<float>() == (std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(a_module_that_cannot_be_cloned_says_so) {
  struct Plain : nn::Module {
    Tensor forward(const Tensor& x) override { return x; }
  };
  BOOST_CHECK_EXCEPTION(Plain().clone(), Error, mentions("Plain", "override new_like()"));
  BOOST_CHECK_EXCEPTION(nn::Sequential(Plain()).clone(), Error, mentions("Plain", "override new_like()"));

  struct Derived : TwoLayer {
    Derived() : TwoLayer(3, 4, 2, Generator()) {}
  };
  BOOST_CHECK_EXCEPTION(Derived().clone(), Error, mentions("Derived", "TwoLayer"));
  BOOST_CHECK_EXCEPTION(nn::Sequential(Derived()).clone(), Error, mentions("Derived", "TwoLayer"));

  struct Other : nn::ModuleBase {
    std::vector<nn::Affine> layers;
    void visit(nn::Visitor& v) override { v("layers", layers); }
    std::unique_ptr<ModuleBase> new_like() const override { return std::make_unique<Other>(); }
  } other;
  Generator rng;
  other.layers.emplace_back(1, 1, rng);
  BOOST_CHECK_EXCEPTION(other.clone(), Error, mentions("Other", "other members"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace module_clone_test
