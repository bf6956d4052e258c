// Transforms of single items, by a generator of each item's own.
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "images_source.h"
#include "support.h"

namespace item_transform_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::DataLoader;
using nn::Dataset;

BOOST_AUTO_TEST_SUITE(item_transform)

// What is made of an item depends on the seed, the epoch and its index alone.
BOOST_AUTO_TEST_CASE(items_are_transformed_alike_in_batches_of_any_size_and_order) {
  const Dataset data = slow_images(53).slice(1, 52).split(3, 1).training;
  const auto changed = [](nn::Item item, Generator& g) {
    item.x = item.x + randn(item.x.shape(), g);
    item.more.emplace_back("noise", uniform({2}, g));
    return item;
  };
  // Of each epoch: by the index of the item, its values.
  const auto items_of = [&](nn::LoaderOptions options, std::uint64_t epoch, std::int64_t first = 0) {
    options.item_transform = changed;
    options.transform_seed = 4;
    std::vector<std::vector<double>> items(static_cast<std::size_t>(data.size()));
    const DataLoader loader(data, options);
    Generator order(options.seed, epoch);
    const std::vector<std::int64_t> shuffled = permutation(data.size(), order).to_vector<std::int64_t>();
    auto at = static_cast<std::size_t>(first * options.batch);
    for (const Batch& b : loader.epoch(epoch, first))
      for (std::int64_t i = 0; i < b.size(); ++i, ++at) {
        std::vector<double>& values = items[options.shuffle ? static_cast<std::size_t>(shuffled[at]) : at];
        for (const std::string& name : b.names())
          for (const double v : cast(select(b[name], 0, i), f64).to_vector<double>()) values.push_back(v);
      }
    return items;
  };
  const auto expected = items_of({.batch = 5, .seed = 3}, 2);
  BOOST_TEST(expected[0].size() == 16U + 1 + 1 + 2);
  BOOST_TEST((items_of({.batch = 5, .seed = 3}, 1) != expected));
  for (const std::int64_t batch : {1, 7, 48})
    for (const std::int64_t workers : {0, 1, 3}) {
      BOOST_TEST((items_of({.batch = batch, .seed = 9, .workers = workers}, 2) == expected));
      BOOST_TEST((items_of({.batch = batch, .shuffle = false, .workers = workers}, 2) == expected));
    }
  // An epoch that was interrupted goes on with the same items.
  const auto rest = items_of({.batch = 5, .seed = 3, .workers = 2}, 2, 4);
  std::size_t seen = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i].empty()) continue;
    ++seen;
    BOOST_TEST((rest[i] == expected[i]));
  }
  BOOST_TEST(seen == rest.size() - 20);
  // No two items have the same numbers, and none those of a batch.
  std::set<double> noise;
  for (const std::vector<double>& values : expected) noise.insert(values.back());
  const DataLoader of_batches(data, {.batch = 5,
                                     .transform =
                                         [](Batch b, Generator& g) {
                                           b.set("noise", uniform({b.size(), 2}, g));
                                           return b;
                                         },
                                     .transform_seed = 4});
  for (const Batch& b : of_batches.epoch(2))
    for (const double v : cast(b["noise"], f64).to_vector<double>()) noise.insert(v);
  BOOST_TEST(noise.size() == 48U + 96);
}

BOOST_AUTO_TEST_CASE(items_of_any_shape_become_those_of_one_before_they_are_a_batch) {
  struct Lines : nn::DataSource {
    std::int64_t size() const override { return 10; }
    nn::Item item(std::int64_t i) const override {
      return {Tensor::arange(0, static_cast<double>(5 + i)), Tensor::scalar(static_cast<double>(i), i64)};
    }
  };
  const Dataset data(std::make_shared<Lines>());
  const auto part = [](nn::Item item, Generator& g) {
    const std::int64_t begin = static_cast<std::int64_t>(integers({}, g, 0, item.x.dim(0) - 3).item());
    item.x = slice(item.x, 0, begin, begin + 4);
    return item;
  };
  BOOST_CHECK_EXCEPTION(DataLoader(data, {.batch = 2}).begin(), ShapeError,
                        mentions("bring items to one shape"));
  int batches = 0;
  for (const Batch& b : DataLoader(data, {.batch = 4, .item_transform = part, .workers = 2}).epoch(0)) {
    ++batches;
    BOOST_TEST((b.x.dim(1) == 4 && b.t.dtype() == i64));
    for (std::int64_t i = 0; i < b.size(); ++i) {
      const double first = select(select(b.x, 0, i), 0, 0).item();
      BOOST_TEST((first >= 0 && first + 3 < 5 + select(b.t, 0, i).item()));
    }
  }
  BOOST_TEST(batches == 3);
  Generator g(1);
  BOOST_TEST(DataLoader(data, {.batch = 6, .item_transform = part}).sample(g).x.dim(1) == 4);

  const auto fails = [&](const nn::ItemTransform& transform, const auto& check) {
    for (const std::int64_t workers : {0, 2})
      BOOST_CHECK_EXCEPTION(
          DataLoader(data, {.batch = 2, .item_transform = transform, .workers = workers}).begin(), Error,
          check);
  };
  fails([](const nn::Item& item, Generator&) { return item; },
        mentions("loader: the item transform: \"x\" of item", "bring items to one shape in it"));
  fails([](const nn::Item& item, Generator&) { return nn::Item{.x = slice(item.x, 0, 0, 2)}; },
        mentions("has left out x or t"));
  BOOST_CHECK_EXCEPTION(data.item(10), ArgumentError, mentions("item 10 asked of 10 items"));
  BOOST_CHECK_EXCEPTION(Dataset().item(0), ArgumentError, mentions("0 items"));
}

BOOST_AUTO_TEST_CASE(transforms_of_batches_are_transforms_of_items) {
  const Dataset data = slow_images(20);
  nn::LoaderOptions options{.batch = 6, .shuffle = false, .item_transform = nn::each_item(augmentation())};
  const auto values = [&](std::int64_t batch) {
    options.batch = batch;
    std::vector<double> all;
    for (const Batch& b : DataLoader(data, options).epoch(1))
      for (const double v : cast(b.x, f64).to_vector<double>()) all.push_back(v);
    return all;
  };
  BOOST_TEST((values(6) == values(1)));
  BOOST_TEST((values(6) == values(20)));
  options.item_transform = nn::each_item(nn::CenterCrop(2, 2));
  BOOST_TEST(values(6).size() == 20U * 4);
  BOOST_CHECK_THROW(nn::each_item({}), ArgumentError);
  options.item_transform = nn::each_item([](const Batch& b, Generator&) {
    return Batch{concat({b.x, b.x}, 0), b.t};
  });
  BOOST_CHECK_EXCEPTION(values(6), ShapeError, mentions("each_item", "must leave their number"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace item_transform_test
