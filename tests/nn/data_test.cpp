#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data.h>

#include "idx_support.h"

namespace data_test {

using namespace tapegrad;
using nn::Batch;
using nn::DataLoader;
using nn::Dataset;
using nn::IdxArray;
using nn::in_order;
using nn::read_idx;
using test::header_of;
using test::labels;
using test::mentions;
using test::write_file;

namespace {

const float* address_of(const Tensor& t) { return t.values<float>().data(); }

std::vector<std::int64_t> targets_of(const Batch& b) { return b.t.to_vector<std::int64_t>(); }

/// A dataset whose item i has the input {i, -i} and the target i.
Dataset numbers(std::int64_t n) {
  Tensor x = Tensor::empty({n, 2});
  const auto v = x.mutable_values<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    v[static_cast<std::size_t>(2 * i)] = static_cast<float>(i);
    v[static_cast<std::size_t>(2 * i + 1)] = -static_cast<float>(i);
  }
  return Dataset(x, Tensor::arange(n));
}

bool consistent(const Batch& b) {
  const auto x = b.x.values<float>();
  const auto t = b.t.values<std::int64_t>();
  for (std::size_t i = 0; i < t.size(); ++i)
    if (x[2 * i] != static_cast<float>(t[i]) || x[2 * i + 1] != -static_cast<float>(t[i])) return false;
  return true;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(data, test::MnistFolder)

BOOST_AUTO_TEST_CASE(every_pixel_becomes_the_quotient_by_255) {
  std::string file = header_of({1, 16, 16});
  for (int i = 0; i < 256; ++i) file += static_cast<char>(i);
  write_file(folder / "i", file);
  write_file(folder / "l", labels(1));
  const IdxArray pixels = read_idx(folder / "i");
  const IdxArray label = read_idx(folder / "l");
  const std::vector<float> normal = Dataset(pixels, label).batch(0, 1).x.to_vector<float>();
  const std::vector<float> raw =
      Dataset(pixels, label, {.normalize = false}).batch(0, 1).x.to_vector<float>();
  for (std::size_t i = 0; i < 256; ++i) {
    BOOST_TEST(normal[i] == static_cast<float>(i) / 255.0F);
    BOOST_TEST(raw[i] == static_cast<float>(i));
  }
}

BOOST_AUTO_TEST_CASE(options_choose_shapes_and_targets) {
  const Batch flat = load().train.batch(11, 13);
  BOOST_TEST((flat.x.shape() == Shape{2, 6}));
  BOOST_TEST((flat.t.shape() == Shape{2}));
  BOOST_TEST((flat.t.dtype() == i64));
  BOOST_TEST(targets_of(flat) == (std::vector<std::int64_t>{1, 2}));
  BOOST_TEST(flat.x.values<float>()[7] == 73.0F / 255);

  const Dataset train = load({.normalize = false, .flatten = false, .one_hot = true}).train;
  BOOST_TEST((train.input_shape() == Shape{1, 2, 3}));
  BOOST_TEST((train.target_shape() == Shape{10}));
  BOOST_TEST(train.classes() == 10);
  const Batch image = train.batch(11, 12);
  BOOST_TEST((image.x.shape() == Shape{1, 1, 2, 3}));
  BOOST_TEST(image.x.to_vector<float>() == (std::vector<float>{66, 67, 68, 69, 70, 71}));
  BOOST_TEST(image.t.to_vector<float>() == (std::vector<float>{0, 1, 0, 0, 0, 0, 0, 0, 0, 0}));

  BOOST_TEST(load({.classes = 47}).train.classes() == 47);
  BOOST_CHECK_EXCEPTION(load({.classes = 5}), FileError, mentions("train-labels", "label 5", "5 classes"));
  BOOST_CHECK_THROW(load({.classes = 0}), ArgumentError);
}

BOOST_AUTO_TEST_CASE(a_dataset_of_tensors_keeps_their_dtypes) {
  const Tensor x = Tensor::from({{1, 2}, {3, 4}, {5, 6}}, f64);
  const Tensor t = Tensor::from({10, 20, 30}, Shape{3, 1});
  const Dataset data(x, t);
  BOOST_TEST(data.size() == 3);
  BOOST_TEST((data.target_shape() == Shape{1}));
  const std::vector<std::int64_t> twice{2, 0, 2};
  const Batch b = data.gather(twice);
  BOOST_TEST(b.size() == 3);
  BOOST_TEST(b.x.to_vector<double>() == (std::vector<double>{5, 6, 1, 2, 5, 6}));
  BOOST_TEST(b.t.to_vector<float>() == (std::vector<float>{30, 10, 30}));
  BOOST_TEST(Dataset(x, Tensor::from({0, 2, 1}, i64), 3).classes() == 3);
}

BOOST_AUTO_TEST_CASE(wrong_datasets_are_refused) {
  const Tensor x = Tensor::zeros({3, 2});
  BOOST_CHECK_EXCEPTION(Dataset(x, Tensor::zeros({4})), ShapeError, mentions("[3, 2]", "[4]"));
  BOOST_CHECK_THROW(Dataset(Tensor::scalar(1), Tensor::scalar(1)), ShapeError);
  BOOST_CHECK_THROW(Dataset(Tensor(), x), ArgumentError);
  BOOST_CHECK_EXCEPTION(Dataset(x, Tensor::from({0, 1, 3}, i64), 3), ArgumentError,
                        mentions("label 3 of item 2"));
  BOOST_CHECK_THROW(Dataset(x, Tensor::from({0, -1, 1}, i64), 3), ArgumentError);
  BOOST_CHECK_THROW(Dataset(x, Tensor::from({0, 1, 1}, i64), -1), ArgumentError);
  BOOST_CHECK_THROW(Dataset(IdxArray{{2, 2, 2}, std::vector<std::uint8_t>(7)}, IdxArray{{2}, {0, 1}}),
                    ShapeError);
  BOOST_CHECK_THROW(Dataset(IdxArray{{2, 2}, std::vector<std::uint8_t>(4)}, IdxArray{{2}, {0, 1}}),
                    ShapeError);
  const Dataset none;
  BOOST_TEST(none.size() == 0);
  BOOST_CHECK_THROW(none.batch(0, 0), ArgumentError);
  BOOST_CHECK_THROW(none.input_shape(), ArgumentError);
  BOOST_CHECK_THROW(none.target_shape(), ArgumentError);
}

BOOST_AUTO_TEST_CASE(slices_share_the_items) {
  const Dataset data = numbers(10);
  const Dataset part = data.slice(3, 8).slice(1, 3);
  BOOST_TEST(part.size() == 2);
  BOOST_TEST(targets_of(part.batch(0, 2)) == (std::vector<std::int64_t>{4, 5}));
  BOOST_TEST(targets_of(data.head(2).batch(0, 2)) == (std::vector<std::int64_t>{0, 1}));
  BOOST_TEST(data.slice(10, 10).size() == 0);
  BOOST_CHECK_EXCEPTION(data.slice(3, 11), ArgumentError, mentions("11", "10 items"));
  BOOST_CHECK_THROW(data.slice(-1, 3), ArgumentError);
  BOOST_CHECK_THROW(data.slice(5, 4), ArgumentError);
  BOOST_CHECK_THROW(data.head(11), ArgumentError);
  BOOST_CHECK_THROW(part.batch(0, 3), ArgumentError);  // not into the neighbours
  const std::vector<std::int64_t> outside{0, 2};
  BOOST_CHECK_EXCEPTION(part.gather(outside), ArgumentError, mentions("item 2", "2 items"));
  const std::vector<std::int64_t> negative{-1};
  BOOST_CHECK_THROW(part.gather(negative), ArgumentError);
}

BOOST_AUTO_TEST_CASE(a_split_parts_the_items_by_its_seed) {
  const Dataset data = numbers(100).slice(20, 70);
  const auto [training, validation] = data.split(15, 1);
  BOOST_TEST(training.size() == 35);
  BOOST_TEST(validation.size() == 15);
  const Batch a = training.batch(0, 35);
  const Batch b = validation.batch(0, 15);
  BOOST_TEST((consistent(a) && consistent(b)));
  std::vector<std::int64_t> all = targets_of(a);
  const std::vector<std::int64_t> rest = targets_of(b);
  all.insert(all.end(), rest.begin(), rest.end());
  std::sort(all.begin(), all.end());
  std::vector<std::int64_t> expected(50);
  std::iota(expected.begin(), expected.end(), 20);
  BOOST_TEST(all == expected);
  BOOST_TEST(targets_of(data.split(15, 1).validation.batch(0, 15)) == rest);
  BOOST_TEST(targets_of(data.split(15, 2).validation.batch(0, 15)) != rest);
  // A split of a split stays within it.
  for (const std::int64_t t : targets_of(validation.split(5, 3).training.batch(0, 10)))
    BOOST_TEST(std::count(rest.begin(), rest.end(), t) == 1);
  BOOST_TEST(data.split(0, 1).training.size() == 50);
  BOOST_TEST(data.split(50, 1).training.size() == 0);
  BOOST_CHECK_EXCEPTION(data.split(51, 1), ArgumentError, mentions("51", "50 items"));
  BOOST_CHECK_THROW(data.split(-1, 1), ArgumentError);
}

BOOST_AUTO_TEST_CASE(an_epoch_holds_every_item_once) {
  const DataLoader loader(numbers(25), {.batch = 10});
  std::multiset<std::int64_t> seen;
  std::vector<std::int64_t> sizes;
  for (const Batch& b : loader.epoch(0)) {
    BOOST_TEST(consistent(b));
    sizes.push_back(b.size());
    for (const std::int64_t t : targets_of(b)) seen.insert(t);
  }
  BOOST_TEST(loader.size() == 3);
  BOOST_TEST(loader.epoch(0).size() == 3);
  BOOST_TEST(sizes == (std::vector<std::int64_t>{10, 10, 5}));
  BOOST_TEST(seen.size() == 25U);
  BOOST_TEST((std::set<std::int64_t>(seen.begin(), seen.end()).size() == 25U));
}

BOOST_AUTO_TEST_CASE(drop_last_leaves_out_what_is_not_full) {
  const DataLoader loader(numbers(25), {.batch = 10, .drop_last = true});
  int count = 0;
  for (const Batch& b : loader.epoch(0)) {
    BOOST_TEST(b.size() == 10);
    ++count;
  }
  BOOST_TEST(count == 2);
  BOOST_TEST(loader.size() == 2);
  BOOST_TEST(DataLoader(numbers(20), {.batch = 10}).size() == 2);
}

BOOST_AUTO_TEST_CASE(the_order_depends_on_seed_and_epoch_alone) {
  const auto order = [](std::uint64_t seed, std::uint64_t epoch, std::int64_t batch) {
    std::vector<std::int64_t> all;
    for (const Batch& b : DataLoader(numbers(50), {.batch = batch, .seed = seed}).epoch(epoch))
      for (const std::int64_t t : targets_of(b)) all.push_back(t);
    return all;
  };
  BOOST_TEST(order(1, 0, 10) == order(1, 0, 7));
  BOOST_TEST(order(1, 0, 10) != order(1, 1, 10));
  BOOST_TEST(order(1, 0, 10) != order(2, 0, 10));
  BOOST_TEST(order(1, 5, 10) == order(1, 5, 10));
}

BOOST_AUTO_TEST_CASE(without_shuffling_the_items_stand_in_order) {
  std::int64_t next = 0;
  for (const Batch& b : DataLoader(numbers(10), {.batch = 4, .shuffle = false}).epoch(3))
    for (const std::int64_t t : targets_of(b)) BOOST_TEST(t == next++);
  BOOST_TEST(next == 10);
}

BOOST_AUTO_TEST_CASE(an_epoch_can_be_walked_again) {
  nn::Batches epoch = DataLoader(numbers(10), {.batch = 4}).epoch(0);
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
  for (const Batch& b : epoch) first.push_back(b.t.values<std::int64_t>()[0]);
  for (const Batch& b : epoch) second.push_back(b.t.values<std::int64_t>()[0]);
  BOOST_TEST(first.size() == 3U);
  BOOST_TEST(first == second);
}

BOOST_AUTO_TEST_CASE(evaluation_takes_all_items_in_order) {
  std::vector<std::int64_t> sizes;
  std::int64_t next = 0;
  for (const Batch& b : in_order(numbers(10), 4)) {
    sizes.push_back(b.size());
    for (const std::int64_t t : targets_of(b)) BOOST_TEST(t == next++);
  }
  BOOST_TEST(sizes == (std::vector<std::int64_t>{4, 4, 2}));
  BOOST_TEST(in_order(numbers(3), 1000).size() == 1);
  for (const Batch& b : in_order(Dataset(), 4)) BOOST_ERROR("a batch of " << b.size() << " from no items");
  for (const Batch& b : in_order(numbers(5).head(0), 4))
    BOOST_ERROR("a batch of " << b.size() << " from no items");
  BOOST_CHECK_EXCEPTION(in_order(numbers(3), 0), ArgumentError, mentions("0 items"));
}

BOOST_AUTO_TEST_CASE(samples_are_drawn_with_replacement) {
  const DataLoader loader(numbers(20), {.batch = 20});
  Generator generator(1);
  Generator same(1);
  std::vector<int> seen(20);
  bool repeated = false;
  for (int i = 0; i < 500; ++i) {
    const Batch b = loader.sample(generator);
    BOOST_REQUIRE(consistent(b));
    std::set<std::int64_t> distinct;
    for (const std::int64_t t : targets_of(b)) {
      ++seen[static_cast<std::size_t>(t)];
      distinct.insert(t);
    }
    repeated = repeated || distinct.size() < 20;
    if (i < 3) BOOST_TEST(targets_of(loader.sample(same)) == targets_of(b));
  }
  BOOST_TEST(repeated);
  for (const int n : seen) BOOST_TEST(std::abs(n - 500) < 5 * 22);  // five standard deviations
}

BOOST_AUTO_TEST_CASE(wrong_batch_sizes_are_refused) {
  BOOST_CHECK_EXCEPTION(DataLoader(numbers(5), {.batch = 0}), ArgumentError,
                        mentions("loader: batch size 0", "at least 1"));
  BOOST_CHECK_EXCEPTION(DataLoader(numbers(5), {.batch = -3}), ArgumentError, mentions("-3"));
  BOOST_CHECK_EXCEPTION(DataLoader(numbers(5), {.batch = 6}), ArgumentError,
                        mentions("loader: batch size 6", "5 items"));
  BOOST_CHECK_EXCEPTION(DataLoader(Dataset(), {.batch = 1}), ArgumentError, mentions("no items"));
  BOOST_TEST(DataLoader(numbers(5), {.batch = 5}).size() == 1);
}

BOOST_AUTO_TEST_CASE(a_steady_loop_takes_no_memory_from_the_system) {
  const float* before = address_of(Tensor::empty({1000}));
  if (address_of(Tensor::empty({1000})) != before) return;  // no pool in the address sanitizer's build
  const DataLoader loader(load().train, {.batch = 7, .drop_last = true});
  Generator generator(1);
  std::uint64_t after_warm_up = 0;
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
    if (epoch == 2) after_warm_up = system_allocations();
    for (const Batch& b : loader.epoch(epoch)) BOOST_TEST(b.size() == 7);
    const Batch sample = loader.sample(generator);
    for (const Batch& b : in_order(loader.data(), 10)) BOOST_TEST(b.size() == 10);
  }
  BOOST_TEST(system_allocations() == after_warm_up);
}

BOOST_AUTO_TEST_CASE(a_batch_that_is_held_keeps_its_values) {
  const DataLoader loader(numbers(20), {.batch = 5});
  std::vector<Batch> held;
  for (const Batch& b : loader.epoch(0)) held.push_back(b);
  std::set<std::int64_t> seen;
  for (const Batch& b : held) {
    BOOST_TEST(consistent(b));
    for (const std::int64_t t : targets_of(b)) seen.insert(t);
  }
  BOOST_TEST(seen.size() == 20U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace data_test
