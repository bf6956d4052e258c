// Batches and data sets of tensors by name, through loaders, transforms, trainers and evaluation.
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "allocation_support.h"
#include "support.h"

namespace named_tensors_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::DataLoader;
using nn::Dataset;

namespace {

using Names = std::vector<std::string>;

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
std::vector<std::int64_t> integers_of(const Tensor& t) { return t.to_vector<std::int64_t>(); }

/// Sequences of four numbers of which the first `lengths` count; the target says whether their sum is above 0.
Dataset sequences(std::int64_t n) {
  Generator rng(3);
  const Tensor x = randn({n, 4}, rng);
  const Tensor lengths = integers({n}, rng, 1, 5);
  std::vector<std::int64_t> t;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    float sum = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(lengths.values<std::int64_t>()[i]); ++k)
      sum += x.values<float>()[4 * i + k];
    t.push_back(sum > 0);
  }
  return Dataset({{"numbers", x}, {"lengths", lengths}, {"t", Tensor::from(t)}}, 2);
}

/// 1 where a number counts.
Tensor mask_of(const Tensor& lengths) {
  Tensor mask = Tensor::zeros({lengths.dim(0), 4});
  for (std::size_t i = 0; i < static_cast<std::size_t>(lengths.size()); ++i)
    for (std::size_t k = 0; k < static_cast<std::size_t>(lengths.values<std::int64_t>()[i]); ++k)
      mask.mutable_values<float>()[4 * i + k] = 1;
  return mask;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(named_tensors)

BOOST_AUTO_TEST_CASE(a_batch_has_its_tensors_by_name) {
  Batch b{.x = Tensor::zeros({3, 2}), .t = Tensor::arange(3), .more = {{"lengths", Tensor::ones({3})}}};
  BOOST_TEST(b.size() == 3);
  BOOST_TEST(b.names() == (Names{"x", "t", "lengths"}));
  BOOST_TEST((b["x"].shape() == Shape{3, 2}));
  BOOST_TEST((b["t"].dtype() == i64));
  BOOST_TEST(floats(b["lengths"]) == (std::vector<float>{1, 1, 1}));
  BOOST_CHECK_EXCEPTION(b["length"], ArgumentError,
                        mentions("batch: there is no tensor \"length\"", "x [3, 2], t [3], lengths [3]"));
  BOOST_CHECK_EXCEPTION(Batch{}["x"], ArgumentError, mentions("\"x\"", "no tensors"));
  BOOST_CHECK_EXCEPTION((Batch{.x = Tensor::ones({1})}["t"]), ArgumentError, mentions("\"t\"", "are x [1]"));
  BOOST_TEST((Batch{.more = {{"a", Tensor::ones({4, 2})}}}.size() == 4));
  BOOST_TEST((Batch{.t = Tensor::ones({5})}.size() == 5));
  BOOST_TEST(Batch{}.size() == 0);

  b.set("lengths", Tensor::zeros({3}));
  b.set("x", Tensor::ones({3, 5}));
  b.set("weights", Tensor::ones({3}));
  BOOST_TEST(b.names() == (Names{"x", "t", "lengths", "weights"}));
  BOOST_TEST(floats(b["lengths"]) == (std::vector<float>{0, 0, 0}));
  BOOST_TEST((b.x.shape() == Shape{3, 5}));
  BOOST_CHECK_THROW(b.set("", b.x), ArgumentError);
}

BOOST_AUTO_TEST_CASE(a_dataset_of_named_tensors_gathers_each) {
  const Tensor a = Tensor::arange(0, 20);
  const Tensor wide = reshape(Tensor::arange(0, 40), Shape{20, 2, 1});
  const Dataset data({{"wide", wide}, {"t", Tensor::arange(20)}, {"a", a}}, 20);
  BOOST_TEST(data.size() == 20);
  BOOST_TEST(data.classes() == 20);
  BOOST_TEST((data.item_shape("wide") == Shape{2, 1}));
  BOOST_TEST((data.target_shape() == Shape{}));
  BOOST_CHECK_EXCEPTION(data.input_shape(), ArgumentError, mentions("\"x\"", "wide"));
  const std::vector<std::int64_t> some{7, 0, 7, 19};
  const Batch b = data.gather(some);
  BOOST_TEST(b.size() == 4);
  BOOST_TEST(!b.x.defined());
  BOOST_TEST(b.names() == (Names{"t", "wide", "a"}));
  BOOST_TEST(floats(b["a"]) == (std::vector<float>{7, 0, 7, 19}));
  BOOST_TEST(integers_of(b.t) == (std::vector<std::int64_t>{7, 0, 7, 19}));
  BOOST_TEST(floats(b["wide"]) == (std::vector<float>{14, 15, 0, 1, 14, 15, 38, 39}));
  BOOST_TEST((b["wide"].shape() == Shape{4, 2, 1}));

  const auto [training, validation] = data.slice(5, 15).split(4, 1);
  for (const Dataset& part : {training, validation})
    for (const Batch& batch : DataLoader(part, {.batch = 3}).epoch(1))
      for (std::size_t i = 0; i < static_cast<std::size_t>(batch.size()); ++i) {
        const auto t = static_cast<float>(batch.t.values<std::int64_t>()[i]);
        BOOST_TEST((t >= 5 && t < 15));
        BOOST_TEST(batch["a"].values<float>()[i] == t);
        BOOST_TEST(batch["wide"].values<float>()[2 * i + 1] == 2 * t + 1);
      }
  BOOST_TEST((data.batch(3, 3)["wide"].shape() == Shape{0, 2, 1}));
}

BOOST_AUTO_TEST_CASE(wrong_named_tensors_are_refused) {
  const Tensor a = Tensor::ones({3, 2});
  BOOST_CHECK_EXCEPTION(Dataset({{"a", a}, {"b", Tensor::ones({4})}}), ShapeError,
                        mentions("a [3, 2], b [4]", "first axis"));
  BOOST_CHECK_EXCEPTION(Dataset({{"a", Tensor::scalar(1)}, {"b", a}}), ShapeError, mentions("a [], b"));
  BOOST_CHECK_EXCEPTION(Dataset({{"a", a}, {"b", a}, {"a", a}}), ArgumentError,
                        mentions("a tensor is named \"a\""));
  BOOST_CHECK_EXCEPTION(Dataset({{"t", a}, {"t", a}}), ArgumentError, mentions("a tensor is named \"t\""));
  BOOST_CHECK_EXCEPTION(Dataset({{"", a}, {"b", a}}), ArgumentError, mentions("named \"\""));
  BOOST_CHECK_EXCEPTION(Dataset({{"a", a}, {"b", Tensor()}}), ArgumentError, mentions("\"b\" is undefined"));
  BOOST_CHECK_EXCEPTION(Dataset(nn::NamedTensors{}), ArgumentError, mentions("no tensors"));
  BOOST_CHECK_EXCEPTION(Dataset({{"a", a}, {"t", Tensor::from({0, 1, 2}, i64)}}, 2), ArgumentError,
                        mentions("label 2 of item 2"));
}

BOOST_AUTO_TEST_CASE(models_of_several_inputs_are_trained_and_evaluated) {
  const Dataset data = sequences(600);
  const auto [training, validation] = data.split(200, 2);
  Generator rng(1);
  nn::Sequential net{nn::Affine(8, 16, rng), nn::Relu(), nn::Affine(16, 2, rng)};
  const auto forward = [&](const Batch& b) {
    const Tensor mask = mask_of(b["lengths"]);
    return net(concat({b["numbers"] * mask, mask}, 1));
  };
  optim::Adam adam(net, 0.02);
  nn::Trainer trainer(net, forward, adam, {.epochs = 20, .batch = 50});
  const nn::History& history = trainer.fit(training, validation);
  BOOST_TEST(history.epochs.back().validation.metric > 0.93);
  const nn::Score score = nn::evaluate(net, forward, validation, {}, 70);
  BOOST_TEST(score.metric == history.epochs.back().validation.metric, boost::test_tools::tolerance(1e-6));

  // What is called as net(batch.x) needs an x, and an objective a t.
  BOOST_CHECK_EXCEPTION(nn::evaluate(net, data), ArgumentError,
                        mentions("no tensor \"x\"", "t [600], numbers [600, 4], lengths [600]"));
  const Dataset without_t({{"x", Tensor::ones({10, 8})}});
  BOOST_CHECK_EXCEPTION(nn::evaluate(net, without_t), ArgumentError, mentions("no tensor \"t\""));
  BOOST_CHECK_EXCEPTION(nn::Trainer(net, adam, {.batch = 5}).fit(without_t), ArgumentError,
                        mentions("no tensor \"t\""));
}

BOOST_AUTO_TEST_CASE(transforms_leave_what_they_do_not_know) {
  const Tensor images = Tensor::ones({6, 1, 4, 4});
  const Dataset data({{"x", images}, {"t", Tensor::arange(6)}, {"where", Tensor::arange(0, 6)}});
  const nn::Transform all = nn::Compose{nn::RandomShift(1), nn::RandomCrop(3, 3), nn::RandomHorizontalFlip(),
                                        nn::CenterCrop(2, 2), nn::Normalize({1.0}, {2.0})};
  int batches = 0;
  for (const Batch& b : DataLoader(data, {.batch = 4, .transform = all}).epoch(0)) {
    BOOST_TEST((b.x.shape() == Shape{b.size(), 1, 2, 2}));
    for (std::size_t i = 0; i < static_cast<std::size_t>(b.size()); ++i)
      BOOST_TEST(b["where"].values<float>()[i] == static_cast<float>(b.t.values<std::int64_t>()[i]));
    ++batches;
  }
  BOOST_TEST(batches == 2);
  const auto walk = [&](const nn::Transform& transform) {
    for (const Batch& b : nn::in_order(data, 4, transform)) b["where"];
  };
  BOOST_CHECK_EXCEPTION(walk([](const Batch& b, Generator&) {
                          return Batch{b.x, b.t};
                        }),
                        ArgumentError, mentions("no tensor \"where\"", "x [4, 1, 4, 4], t [4]", "transform"));
  BOOST_CHECK_EXCEPTION(walk([](Batch b, Generator&) {
                          b.set("where", Tensor::ones({3}));
                          return b;
                        }),
                        ShapeError, mentions("where [3]", "4 items"));
  BOOST_CHECK_EXCEPTION(walk([](Batch b, Generator&) {
                          b.set("more", Tensor());
                          return b;
                        }),
                        ArgumentError, mentions("\"more\" is undefined"));
  BOOST_CHECK_EXCEPTION(walk([](Batch b, Generator&) {
                          b.more.emplace_back("where", b.t);
                          return b;
                        }),
                        ArgumentError, mentions("\"where\""));
}

BOOST_AUTO_TEST_CASE(a_steady_loop_over_named_tensors_takes_no_memory) {
  const DataLoader loader(sequences(60), {.batch = 10});
  std::uint64_t in_steps = 0;
  for (std::uint64_t number = 0; number < 3; ++number) {
    in_steps = 0;
    std::uint64_t before = allocations();
    for (const Batch& b : loader.epoch(number)) {
      in_steps += (b["lengths"].size() == 10 ? 0U : 1U) + allocations() - before;
      before = allocations();
    }
  }
  BOOST_TEST(in_steps == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace named_tensors_test
