// Data of one's own: sources of items and functions of batches, and loops over loaders.
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace data_source_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::DataLoader;
using nn::Dataset;
using nn::DataSource;
using nn::Item;

namespace {

using Names = std::vector<std::string>;

std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }
std::vector<std::int64_t> integers_of(const Tensor& t) { return t.to_vector<std::int64_t>(); }
Tensor count(std::int64_t n) { return Tensor::from(std::vector<std::int64_t>{n}, Shape{}); }

/// Item i: the input {i, 10 i}, the target i, and two more. Counts what is read.
class Counted : public DataSource {
 public:
  explicit Counted(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Item item(std::int64_t i) const override {
    ++reads;
    const auto x = static_cast<float>(i);
    return {.x = Tensor::from({x, 10 * x}),
            .t = count(i),
            .more = {{"half", Tensor::scalar(x / 2, f64)}, {"mask", Tensor::full({2, 3}, x)}}};
  }
  std::int64_t classes() const override { return 7; }

  mutable std::atomic<std::int64_t> reads{0};

 private:
  std::int64_t size_;
};

/// The items of a list.
class Listed : public DataSource {
 public:
  explicit Listed(std::vector<Item> items) : items_(std::move(items)) {}
  std::int64_t size() const override { return std::ssize(items_); }
  Item item(std::int64_t i) const override { return items_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<Item> items_;
};
Dataset listed(std::vector<Item> items) { return Dataset(std::make_shared<Listed>(std::move(items))); }

}  // namespace

BOOST_AUTO_TEST_SUITE(data_source)

// ---- sources ----

BOOST_AUTO_TEST_CASE(nothing_is_read_before_it_is_asked_for) {
  const auto source = std::make_shared<Counted>(100);
  const Dataset data(source);
  const auto [training, validation] = data.slice(10, 90).split(20, 1);
  DataLoader loader(training, {.batch = 8});
  nn::Batches epoch = loader.epoch(0);
  const Dataset mapped = data.map([](const Batch& b) { return b; });
  BOOST_TEST(data.size() == 100);
  BOOST_TEST(training.size() == 60);
  BOOST_TEST(data.classes() == 7);
  BOOST_TEST(mapped.classes() == 7);
  BOOST_TEST(loader.size() == 8);
  BOOST_TEST(source->reads == 0);
  std::int64_t seen = 0;
  for (const Batch& b : epoch) {
    seen += b.size();
    BOOST_TEST(source->reads == seen);
  }
  BOOST_TEST(seen == 60);
  (void)data.batch(0, 3);
  BOOST_TEST(source->reads == 63);
  BOOST_TEST((data.item_shape("mask") == Shape{2, 3}));
  BOOST_TEST((data.input_shape() == Shape{2}));
}

BOOST_AUTO_TEST_CASE(items_are_stacked) {
  const Dataset data(std::make_shared<Counted>(100));
  const std::vector<std::int64_t> some{5, 99, 5};
  for (const Dataset& d : {data, data.map([](const Batch& b) { return b; })}) {
    const Batch b = d.gather(some);
    BOOST_TEST(b.names() == (Names{"x", "t", "half", "mask"}));
    BOOST_TEST((b.x.shape() == Shape{3, 2}));
    BOOST_TEST(floats(b.x) == (std::vector<float>{5, 50, 99, 990, 5, 50}));
    BOOST_TEST(integers_of(b.t) == (std::vector<std::int64_t>{5, 99, 5}));
    BOOST_TEST((b.t.shape() == Shape{3}));
    BOOST_TEST(b["half"].to_vector<double>() == (std::vector<double>{2.5, 49.5, 2.5}));
    BOOST_TEST((b["mask"].shape() == Shape{3, 2, 3}));
    BOOST_TEST(b["mask"].values<float>()[6] == 99);
  }
  const Dataset part = data.slice(20, 50).slice(5, 10);
  BOOST_TEST(integers_of(part.batch(1, 3).t) == (std::vector<std::int64_t>{26, 27}));
  BOOST_TEST((data.batch(4, 4).x.shape() == Shape{0, 2}));  // none, of the shapes that there are
  BOOST_TEST((data.slice(4, 4).input_shape() == Shape{2}));
  BOOST_CHECK_THROW(part.batch(0, 6), ArgumentError);
}

BOOST_AUTO_TEST_CASE(a_source_may_gather_batches_itself) {
  class Padded final : public DataSource {
   public:
    std::int64_t size() const override { return 5; }
    Item item(std::int64_t i) const override { return {.x = Tensor::ones({i + 1})}; }
    Batch gather(std::span<const std::int64_t> indices) const override {
      std::int64_t longest = 0;
      for (const std::int64_t i : indices) longest = std::max(longest, i + 1);
      Tensor x = Tensor::zeros({std::ssize(indices), longest});
      for (std::size_t row = 0; row < indices.size(); ++row)
        for (std::int64_t k = 0; k <= indices[row]; ++k)
          x.mutable_values<float>()[row * static_cast<std::size_t>(longest) + static_cast<std::size_t>(k)] =
              1;
      return {.x = x};
    }
  };
  const Dataset data(std::make_shared<Padded>());
  BOOST_TEST(floats(data.batch(1, 3).x) == (std::vector<float>{1, 1, 0, 1, 1, 1}));
  BOOST_TEST((data.batch(0, 5).x.shape() == Shape{5, 5}));
}

BOOST_AUTO_TEST_CASE(items_that_do_not_fit_are_named) {
  const auto x = [](Shape s, Dtype dtype = f32) { return Item{.x = Tensor::ones(s, dtype)}; };
  const auto batch = [](std::vector<Item> items) {
    const Dataset data = listed(std::move(items));
    const std::vector<std::int64_t> backwards{2, 1, 0};
    return data.gather(backwards);
  };
  BOOST_CHECK_EXCEPTION(batch({x({3, 4}), x({3, 5}), x({3, 5})}), ShapeError,
                        mentions("\"x\" of item 0 is [3, 4]", "item 2", "[3, 5]", "gather()"));
  BOOST_CHECK_EXCEPTION(batch({x({3}), x({3}, f64), x({3})}), DtypeError,
                        mentions("\"x\" of item 1 is f64", "item 2", "f32"));
  const Item named{.x = Tensor::ones({3}), .more = {{"a", Tensor::ones({2})}}};
  const Item other{.x = Tensor::ones({3}), .more = {{"b", Tensor::ones({2})}}};
  BOOST_CHECK_EXCEPTION(batch({x({3}), named, named}), ArgumentError,
                        mentions("item 0 has \"x\",", "item 2", "\"x\", \"a\""));
  BOOST_CHECK_EXCEPTION(batch({named, named, x({3})}), ArgumentError, mentions("item 1 has \"x\", \"a\""));
  BOOST_CHECK_EXCEPTION(batch({other, named, named}), ArgumentError, mentions("item 0 has \"x\", \"b\""));
  const Item absent{.x = Tensor::ones({3}), .more = {{"a", Tensor()}}};
  BOOST_CHECK_EXCEPTION(batch({absent, named, named}), ArgumentError,
                        mentions("\"a\" of item 0 is undefined"));
  BOOST_CHECK_EXCEPTION(batch({named, named, absent}), ArgumentError,
                        mentions("\"a\" of item 2 is undefined"));
  BOOST_CHECK_EXCEPTION(batch({Item{}, Item{}, Item{}}), ArgumentError, mentions("item 2 has no tensors"));
  const Item twice{.more = {{"a", Tensor::ones({1})}, {"a", Tensor::ones({1})}}};
  BOOST_CHECK_EXCEPTION(batch({twice, twice, twice}), ArgumentError, mentions("item 2", "\"a\""));
  const Item taken{.more = {{"x", Tensor::ones({1})}}};
  BOOST_CHECK_EXCEPTION(batch({taken, taken, taken}), ArgumentError, mentions("item 2", "\"x\""));
}

BOOST_AUTO_TEST_CASE(sources_that_are_wrong_or_empty_are_refused) {
  class Wrong final : public DataSource {
   public:
    explicit Wrong(Batch made, std::int64_t size = 5) : made_(std::move(made)), size_(size) {}
    std::int64_t size() const override { return size_; }
    Item item(std::int64_t) const override { return {}; }
    Batch gather(std::span<const std::int64_t>) const override { return made_; }

   private:
    Batch made_;
    std::int64_t size_;
  };
  const auto batch = [](Batch made) { return Dataset(std::make_shared<Wrong>(std::move(made))).batch(0, 3); };
  BOOST_CHECK_EXCEPTION(batch({Tensor::ones({3}), Tensor::ones({2})}), ShapeError,
                        mentions("3 items", "x [3], t [2]"));
  BOOST_CHECK_EXCEPTION(batch({Tensor::scalar(1)}), ShapeError, mentions("x []"));
  BOOST_CHECK_EXCEPTION(batch({}), ShapeError, mentions("no tensors"));
  BOOST_CHECK_EXCEPTION(batch({.x = Tensor::ones({3}), .more = {{"t", Tensor::ones({3})}}}), ArgumentError,
                        mentions("\"t\""));
  BOOST_CHECK_EXCEPTION(Dataset(std::make_shared<Wrong>(Batch{}, -1)), ArgumentError, mentions("-1"));
  BOOST_CHECK_EXCEPTION(Dataset(std::shared_ptr<const DataSource>()), ArgumentError, mentions("no source"));

  const Dataset none(std::make_shared<Counted>(0));
  BOOST_TEST(none.size() == 0);
  for (const Batch& b : nn::in_order(none, 10)) BOOST_ERROR("a batch of " << b.size());
  for (const Batch& b : nn::in_order(none, 10, {}, 2)) BOOST_ERROR("a batch of " << b.size());
  BOOST_CHECK_EXCEPTION(DataLoader(none, {.batch = 1}), ArgumentError, mentions("no items"));
  BOOST_CHECK_EXCEPTION(none.input_shape(), ArgumentError, mentions("no items"));
  BOOST_CHECK_THROW(none.batch(0, 1), ArgumentError);
}

BOOST_AUTO_TEST_CASE(what_an_item_throws_arrives) {
  class Broken final : public DataSource {
   public:
    std::int64_t size() const override { return 9; }
    Item item(std::int64_t i) const override {
      if (i == 5) throw FileError("item 5 cannot be read");
      return {.x = Tensor::scalar(1)};
    }
  };
  std::int64_t seen = 0;
  const auto walk = [&] {
    for (const Batch& b : nn::in_order(Dataset(std::make_shared<Broken>()), 2)) seen += b.size();
  };
  BOOST_CHECK_EXCEPTION(walk(), FileError, mentions("item 5 cannot be read"));
  BOOST_TEST(seen == 4);
}

// ---- functions of batches ----

BOOST_AUTO_TEST_CASE(a_mapped_dataset_makes_other_batches) {
  const Dataset data(std::make_shared<Counted>(40));
  const Dataset mapped = data.slice(10, 40).map([](Batch b) {
    b.set("sum", sum(b.x, 1));
    b.x = b.x * 2;
    return b;
  });
  BOOST_TEST(mapped.size() == 30);
  const Batch b = mapped.batch(2, 4);
  BOOST_TEST(floats(b.x) == (std::vector<float>{24, 240, 26, 260}));
  BOOST_TEST(floats(b["sum"]) == (std::vector<float>{132, 143}));
  BOOST_TEST(b.names() == (Names{"x", "t", "half", "mask", "sum"}));
  BOOST_TEST((mapped.item_shape("sum") == Shape{}));
  const auto [training, validation] = mapped.split(10, 3);
  for (const Dataset& part : {training, validation})
    for (const Batch& batch : DataLoader(part, {.batch = 4}).epoch(0))
      for (std::size_t i = 0; i < static_cast<std::size_t>(batch.size()); ++i)
        BOOST_TEST(batch.x.values<float>()[2 * i] ==
                   2 * static_cast<float>(batch.t.values<std::int64_t>()[i]));
  // A function of a function, and statistics of what comes out.
  const Dataset again = mapped.map([](Batch batch) {
    batch.x = batch.x + 1;
    return batch;
  });
  BOOST_TEST(floats(again.batch(0, 1).x) == (std::vector<float>{21, 201}));
  BOOST_TEST(floats(nn::input_statistics(again).mean) == (std::vector<float>{50, 491}));
  BOOST_CHECK_EXCEPTION(data.map({}), ArgumentError, mentions("map", "no function"));
  BOOST_CHECK_EXCEPTION(data.map([](const Batch&) { return Batch{Tensor::ones({3})}; }).batch(0, 2),
                        ShapeError, mentions("2 items", "x [3]"));
}

// ---- the loader itself as a range ----

namespace {
std::vector<std::int64_t> targets_of(nn::Batches epoch) {
  std::vector<std::int64_t> all;
  for (const Batch& b : epoch)
    for (const std::int64_t t : b.t.values<std::int64_t>()) all.push_back(t);
  return all;
}
std::vector<std::int64_t> targets_of_loop(DataLoader& loader) {
  std::vector<std::int64_t> all;
  for (const Batch& b : loader)
    for (const std::int64_t t : b.t.values<std::int64_t>()) all.push_back(t);
  return all;
}
}  // namespace

BOOST_AUTO_TEST_CASE(each_loop_over_a_loader_is_the_next_epoch) {
  for (const std::int64_t workers : {0, 2}) {
    DataLoader loader(Dataset(std::make_shared<Counted>(50)), {.batch = 8, .seed = 4, .workers = workers});
    BOOST_TEST(loader.next_epoch() == 0U);
    const std::vector<std::int64_t> zero = targets_of_loop(loader);
    const std::vector<std::int64_t> one = targets_of_loop(loader);
    BOOST_TEST(loader.next_epoch() == 2U);
    BOOST_TEST(zero == targets_of(loader.epoch(0)));
    BOOST_TEST(one == targets_of(loader.epoch(1)));
    BOOST_TEST(zero != one);
    for (const Batch& b : loader) {  // left, it is over
      BOOST_TEST(b.size() == 8);
      break;
    }
    BOOST_TEST(loader.next_epoch() == 3U);
    BOOST_TEST(targets_of_loop(loader) == targets_of(loader.epoch(3)));
    loader.set_next_epoch(1);
    BOOST_TEST(targets_of_loop(loader) == one);
    // A loop within a loop is the epoch after it.
    loader.set_next_epoch(0);
    std::int64_t outer = 0;
    for (const Batch& b : loader) {
      if (outer == 0) BOOST_TEST(targets_of_loop(loader) == one);
      for (const std::int64_t t : b.t.values<std::int64_t>())
        BOOST_TEST(t == zero[static_cast<std::size_t>(outer++)]);
    }
    BOOST_TEST(outer == 50);
    DataLoader copy = loader;  // goes on by itself
    BOOST_TEST(targets_of_loop(copy) == targets_of(loader.epoch(2)));
    BOOST_TEST(loader.next_epoch() == 2U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace data_source_test
