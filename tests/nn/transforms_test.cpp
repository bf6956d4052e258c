#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include "allocation_support.h"
#include "kernel_support.h"
#include "support.h"
#include "trainer_support.h"

namespace transforms_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::Dataset;

namespace {

/// Images whose elements 1, 2, 3, ... are all different, and the targets 0, 1, 2, ...
Batch counted(std::int64_t n, std::int64_t channels, std::int64_t h, std::int64_t w, Dtype dtype = f32) {
  const Shape shape{n, channels, h, w};
  const auto count = static_cast<double>(shape.size());
  return {reshape(Tensor::arange(1, count + 1, 1, dtype), shape), Tensor::arange(n)};
}

double at(const Tensor& x, std::int64_t i, std::int64_t c, std::int64_t r, std::int64_t s) {
  if (r < 0 || s < 0 || r >= x.dim(2) || s >= x.dim(3)) return 0;
  const std::int64_t flat = ((i * x.dim(1) + c) * x.dim(2) + r) * x.dim(3) + s;
  return cast(x, f64).to_vector<double>()[static_cast<std::size_t>(flat)];
}

/// How many elements of y are not f(i, c, r, s).
template <class F>
int differences(const Tensor& y, F f) {
  const std::vector<double> values = cast(y, f64).to_vector<double>();
  std::size_t flat = 0;
  int wrong = 0;
  for (std::int64_t i = 0; i < y.dim(0); ++i)
    for (std::int64_t c = 0; c < y.dim(1); ++c)
      for (std::int64_t r = 0; r < y.dim(2); ++r)
        for (std::int64_t s = 0; s < y.dim(3); ++s) wrong += values[flat++] != f(i, c, r, s);
  return wrong;
}

std::vector<float> values_of_x(const Batch& b) { return b.x.to_vector<float>(); }

nn::Transform augmentation() { return nn::Compose{nn::RandomShift(2), nn::RandomHorizontalFlip()}; }

Dataset images_of(std::int64_t n) {
  const Batch b = counted(n, 1, 4, 4);
  return {b.x / static_cast<double>(b.x.size()), remainder(b.t, 2), 2};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transforms)

BOOST_AUTO_TEST_CASE(a_crop_holds_the_elements_from_its_corner_on) {
  struct Case {
    std::int64_t height, width, padding;
  };
  for (const Dtype dtype : {f32, f64, i64})
    for (const Case& c :
         {Case{3, 5, 0}, Case{2, 2, 0}, Case{3, 5, 2}, Case{4, 1, 1}, Case{1, 9, 2}, Case{9, 3, 8}}) {
      const Batch b = counted(20, 2, 3, 5, dtype);
      Generator generator(3);
      Generator same = generator;
      const Batch y = nn::RandomCrop(c.height, c.width, c.padding)(b, generator);
      BOOST_TEST_REQUIRE((y.x.shape() == Shape{20, 2, c.height, c.width}));
      BOOST_TEST((y.x.dtype() == dtype));
      BOOST_TEST(y.t.to_vector<std::int64_t>() == b.t.to_vector<std::int64_t>());
      const auto top =
          integers({20}, same, -c.padding, 3 + c.padding - c.height + 1).to_vector<std::int64_t>();
      const auto left =
          integers({20}, same, -c.padding, 5 + c.padding - c.width + 1).to_vector<std::int64_t>();
      BOOST_TEST((generator.state() == same.state()));
      BOOST_TEST(differences(y.x, [&](auto i, auto channel, auto r, auto s) {
                   const auto k = static_cast<std::size_t>(i);
                   return at(b.x, i, channel, top[k] + r, left[k] + s);
                 }) == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_shift_moves_by_each_distance_and_zeros_move_in) {
  const Batch b{Tensor::from({1, 2, 3, 4}, Shape{1, 1, 2, 2}), Tensor::arange(1)};
  Generator generator(1);
  std::set<std::vector<float>> seen;
  for (int i = 0; i < 300; ++i) seen.insert(values_of_x(nn::RandomShift(1)(b, generator)));
  const std::set<std::vector<float>> all{{4, 0, 0, 0}, {3, 4, 0, 0}, {0, 3, 0, 0}, {2, 0, 4, 0}, {1, 2, 3, 4},
                                         {0, 1, 0, 3}, {0, 0, 2, 0}, {0, 0, 1, 2}, {0, 0, 0, 1}};
  BOOST_TEST((seen == all));
  BOOST_TEST(values_of_x(nn::RandomShift(0)(b, generator)) == (std::vector<float>{1, 2, 3, 4}));
  // The crop of an image's own size is the same.
  const Batch many = counted(30, 3, 4, 6);
  Generator one(5);
  Generator two(5);
  BOOST_TEST(values_of_x(nn::RandomShift(3)(many, one)) == values_of_x(nn::RandomCrop(4, 6, 3)(many, two)));
}

BOOST_AUTO_TEST_CASE(a_flip_mirrors_those_images_that_are_drawn) {
  for (const Dtype dtype : {f32, f64, i64})
    for (const double p : {0.0, 0.3, 0.5, 1.0}) {
      const Batch b = counted(200, 2, 3, 5, dtype);
      Generator generator(2);
      Generator same = generator;
      const Batch y = nn::RandomHorizontalFlip(p)(b, generator);
      const std::vector<float> flip = bernoulli({200}, same, p).to_vector<float>();
      BOOST_TEST((generator.state() == same.state()));
      BOOST_TEST((y.x.shape() == b.x.shape()));
      const std::vector<double> x = cast(b.x, f64).to_vector<double>();
      BOOST_TEST(differences(y.x, [&](std::int64_t i, std::int64_t c, std::int64_t r, std::int64_t s) {
                   const std::int64_t column = flip[static_cast<std::size_t>(i)] != 0 ? 4 - s : s;
                   return x[static_cast<std::size_t>(((i * 2 + c) * 3 + r) * 5 + column)];
                 }) == 0);
      double flipped = 0;
      for (const float f : flip) flipped += static_cast<double>(f);
      BOOST_TEST(std::abs(flipped - 200 * p) < 35);  // five standard deviations
    }
}

BOOST_AUTO_TEST_CASE(centres_are_cut_as_they_are) {
  Generator generator(1);
  const Batch b = counted(3, 2, 5, 6);
  const Batch y = nn::CenterCrop(2, 4)(b, generator);
  BOOST_TEST((y.x.shape() == Shape{3, 2, 2, 4}));
  BOOST_TEST(differences(y.x, [&](auto i, auto c, auto r, auto s) { return at(b.x, i, c, 1 + r, 1 + s); }) ==
             0);
  BOOST_TEST((generator.state() == Generator(1).state()));
}

BOOST_AUTO_TEST_CASE(channels_are_normalised_each_by_its_own_numbers) {
  Generator generator(1);
  for (const Dtype dtype : {f32, f64}) {
    const Batch b = counted(2, 3, 2, 2, dtype);
    const Batch y = nn::Normalize({1, -2, 0.5}, {2, 4, 0.25})(b, generator);
    BOOST_TEST((y.x.dtype() == dtype));
    const std::array<double, 3> mean{1, -2, 0.5};
    const std::array<double, 3> stddev{2, 4, 0.25};
    BOOST_TEST(differences(y.x, [&](auto i, auto c, auto r, auto s) {
                 const auto k = static_cast<std::size_t>(c);
                 return (at(b.x, i, c, r, s) - mean[k]) / stddev[k];  // exact
               }) == 0);
  }
}

BOOST_AUTO_TEST_CASE(composed_transforms_draw_one_after_the_other) {
  const Batch b = counted(40, 2, 4, 4);
  Generator generator(4);
  Generator same(4);
  const nn::Transform all =
      nn::Compose{nn::RandomCrop(3, 3, 1), nn::RandomHorizontalFlip(), nn::Normalize({1, 2}, {3, 4})};
  const Batch y = all(b, generator);
  const Batch cropped = nn::RandomCrop(3, 3, 1)(b, same);
  const Batch flipped = nn::RandomHorizontalFlip()(cropped, same);
  BOOST_TEST(values_of_x(y) == nn::Normalize({1, 2}, {3, 4})(flipped.x).to_vector<float>());
  BOOST_TEST((generator.state() == same.state()));
  BOOST_TEST(values_of_x(b) == values_of_x(counted(40, 2, 4, 4)));  // is as it was
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  Generator g(1);
  const Batch flat{Tensor::zeros({5, 16}), Tensor::arange(5)};
  BOOST_CHECK_EXCEPTION(nn::RandomCrop(2, 2)(flat, g), ShapeError,
                        mentions("random_crop", "[5, 16]", "flatten"));
  BOOST_CHECK_EXCEPTION(nn::RandomShift(2)(flat, g), ShapeError, mentions("random_shift", "[5, 16]"));
  BOOST_CHECK_EXCEPTION(nn::RandomHorizontalFlip()(flat, g), ShapeError,
                        mentions("random_horizontal_flip", "[5, 16]"));
  BOOST_CHECK_EXCEPTION(nn::CenterCrop(2, 2)(flat, g), ShapeError, mentions("center_crop", "[5, 16]"));
  BOOST_CHECK_EXCEPTION(nn::Normalize({0}, {1})(flat, g), ShapeError, mentions("normalize", "[5, 16]"));
  BOOST_CHECK_EXCEPTION(nn::RandomShift(1)(Batch{}, g), ArgumentError, mentions("random_shift"));

  const Batch images = counted(2, 3, 4, 5);
  BOOST_CHECK_EXCEPTION(nn::RandomCrop(7, 5, 1)(images, g), ShapeError,
                        mentions("7 x 5", "[2, 3, 4, 5]", "padding of 1"));
  BOOST_CHECK_THROW(nn::RandomCrop(4, 6)(images, g), ShapeError);
  BOOST_CHECK_EXCEPTION(nn::CenterCrop(4, 6)(images, g), ShapeError, mentions("4 x 6", "[2, 3, 4, 5]"));
  BOOST_CHECK_EXCEPTION(nn::Normalize({0, 0}, {1, 1})(images, g), ShapeError,
                        mentions("3 channels", "means of 2"));
  BOOST_CHECK_THROW(nn::Normalize({0, 0, 0}, {1, 1, 1})(counted(2, 3, 4, 5, i64), g), DtypeError);
  BOOST_CHECK_EXCEPTION(nn::Normalize({0, 0, 0}, {1, 1e-60, 1})(images, g), ArgumentError,
                        mentions("f32", "1e-60", "channel 1"));
  BOOST_CHECK_THROW(nn::Normalize({1e60, 0, 0}, {1, 1, 1})(images, g), ArgumentError);

  BOOST_CHECK_EXCEPTION(nn::RandomCrop(0, 2), ArgumentError, mentions("0 x 2"));
  BOOST_CHECK_THROW(nn::RandomCrop(2, std::numeric_limits<std::int64_t>::max()), ArgumentError);
  BOOST_CHECK_EXCEPTION(nn::RandomCrop(2, 2, -1), ArgumentError, mentions("padding is -1"));
  BOOST_CHECK_THROW(nn::RandomCrop(2, 2, std::numeric_limits<std::int64_t>::max()), ArgumentError);
  BOOST_CHECK_EXCEPTION(nn::RandomShift(-3), ArgumentError, mentions("-3"));
  BOOST_CHECK_THROW(nn::CenterCrop(2, 0), ArgumentError);
  // In a network it has a gradient.
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({1, 1, 3, 3}));
  const std::vector<float> gradient = tape.grad(sum(nn::CenterCrop(1, 1)(x)), x).to_vector<float>();
  BOOST_TEST(gradient == (std::vector<float>{0, 0, 0, 0, 1, 0, 0, 0, 0}), boost::test_tools::per_element());
  for (const double p : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
    BOOST_CHECK_THROW(nn::RandomHorizontalFlip{p}, ArgumentError);
  BOOST_CHECK_EXCEPTION(nn::Normalize({0, 0}, {1}), ShapeError, mentions("2 means", "1 standard"));
  BOOST_CHECK_THROW(nn::Normalize({}, {}), ArgumentError);
  const Tensor two = Tensor::ones({2, 1, 1});
  BOOST_CHECK_EXCEPTION(nn::Normalize({.mean = two, .stddev = Tensor::ones({2})}), ShapeError,
                        mentions("the standard deviation is [2]", "[c, 1, 1]"));
  BOOST_CHECK_EXCEPTION(nn::Normalize({.mean = Tensor(), .stddev = two}), ArgumentError,
                        mentions("the mean"));
  BOOST_CHECK_THROW(nn::Normalize({.mean = two, .stddev = Tensor::zeros({2, 1, 1})}), ArgumentError);
  BOOST_CHECK_THROW(nn::Normalize({std::numeric_limits<double>::infinity()}, {1}), ArgumentError);
  for (const double d : {0.0, -1.0, std::numeric_limits<double>::infinity()})
    BOOST_CHECK_THROW(nn::Normalize({0}, {d}), ArgumentError);
  BOOST_CHECK_EXCEPTION((nn::Compose{nn::RandomShift(1), nn::Transform()}), ArgumentError,
                        mentions("transform 2 of 2"));
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  const Batch b = counted(70, 3, 32, 32);
  check_bits_for_threads([&] {
    Generator generator(9);
    const nn::Transform t = nn::Compose{nn::RandomCrop(30, 31, 4), nn::RandomHorizontalFlip(),
                                        nn::Normalize({1, 2, 3}, {4, 5, 6}), nn::CenterCrop(28, 28)};
    return std::vector<Tensor>{t(b, generator).x};
  });
}

// ---- in the loader ----

BOOST_AUTO_TEST_CASE(what_a_batch_draws_depends_on_seed_epoch_and_number_alone) {
  const Dataset data = images_of(25);
  const auto epoch = [&](std::uint64_t seed, std::uint64_t number, std::int64_t first,
                         bool transform = true) {
    const nn::DataLoader loader(data, {.batch = 10,
                                       .shuffle = false,
                                       .transform = transform ? augmentation() : nn::Transform(),
                                       .transform_seed = seed});
    std::vector<std::vector<float>> batches;
    for (const Batch& b : loader.epoch(number, first)) batches.push_back(values_of_x(b));
    return batches;
  };
  const auto whole = epoch(1, 2, 0);
  BOOST_TEST_REQUIRE(whole.size() == 3U);
  BOOST_TEST((epoch(1, 2, 0) == whole));
  const auto rest = epoch(1, 2, 1);
  BOOST_TEST((rest == std::vector(whole.begin() + 1, whole.end())));
  BOOST_TEST((epoch(2, 2, 0) != whole));
  BOOST_TEST((epoch(1, 3, 0) != whole));
  BOOST_TEST((epoch(1, 2, 0, false) != whole));

  // Batches that hold the same items draw other numbers.
  const Batch one = data.batch(0, 1);
  const std::vector<std::int64_t> repeated(40);
  const Batch same = data.gather(repeated);
  std::set<std::vector<float>> seen;
  for (const Batch& b : nn::DataLoader({same.x, same.t}, {.batch = 10, .transform = augmentation()}).epoch(0))
    seen.insert(values_of_x(b));
  BOOST_TEST(seen.size() == 4U);
}

BOOST_AUTO_TEST_CASE(samples_are_transformed_by_the_generator_that_draws_them) {
  const nn::DataLoader plain(images_of(20), {.batch = 10});
  const nn::DataLoader loader(images_of(20), {.batch = 10, .transform = augmentation()});
  Generator generator(6);
  Generator same(6);
  const Batch b = loader.sample(generator);
  BOOST_TEST(values_of_x(b) == values_of_x(augmentation()(plain.sample(same), same)));
  BOOST_TEST((generator.state() == same.state()));
}

BOOST_AUTO_TEST_CASE(a_transform_must_leave_the_number_of_items) {
  const auto walk = [](auto transform) {
    for (const Batch& b : nn::DataLoader(images_of(20), {.batch = 10, .transform = transform}).epoch(0))
      BOOST_ERROR("a batch of " << b.size());
  };
  BOOST_CHECK_EXCEPTION(walk([](const Batch&, Generator&) { return Batch{}; }), ShapeError,
                        mentions("batch of 10 items"));
  BOOST_CHECK_THROW(walk([](const Batch& b, Generator&) {
                      return Batch{slice(b.x, 0, 0, 5), b.t};
                    }),
                    ShapeError);
  BOOST_CHECK_THROW(walk([](const Batch& b, Generator&) { return Batch{b.x, Tensor()}; }), ShapeError);
}

BOOST_AUTO_TEST_CASE(a_steady_epoch_takes_no_memory) {
  const nn::DataLoader loader(
      images_of(60), {.batch = 10, .transform = nn::Compose{augmentation(), nn::Normalize({0.5}, {2})}});
  const auto epoch = [&](std::uint64_t number) {
    std::uint64_t in_steps = 0;
    std::uint64_t before = allocations();
    for (const Batch& b : loader.epoch(number)) {
      in_steps += (b.size() == 10 ? 0U : 1U) + allocations() - before;
      before = allocations();
    }
    return in_steps;
  };
  epoch(0);
  epoch(1);
  const std::uint64_t in_making = epoch(2);
  BOOST_TEST(in_making == 0);
}

// ---- in the trainer ----

namespace {

struct Training {
  explicit Training(nn::TrainerOptions options)
      : rng(1),
        net{nn::Flatten(), nn::Affine(16, 8, rng), nn::Relu(), nn::Affine(8, 2, rng)},
        adam(net, 0.01),
        trainer(net, adam, with_defaults(std::move(options))) {}
  static nn::TrainerOptions with_defaults(nn::TrainerOptions o) {
    o.batch = 10;
    o.seed = 3;
    if (!o.transform) o.transform = augmentation();
    return o;
  }
  Generator rng;
  nn::Sequential net;
  optim::Adam adam;
  nn::Trainer trainer;
};

}  // namespace

BOOST_AUTO_TEST_CASE(an_interrupted_training_draws_what_it_would_have_drawn) {
  const Dataset data = images_of(63);
  const auto run = [&](std::uint64_t seed) {
    Training t({.epochs = 3, .transform_seed = seed});
    t.trainer.fit(data);
    return values_of(t.net);
  };
  const std::vector<double> whole = run(5);
  BOOST_TEST(run(5) == whole);
  BOOST_TEST(run(6) != whole);
  for (const std::int64_t stop : {1, 4, 7, 12}) {
    Training first(
        {.epochs = 1'000, .transform_seed = 5, .on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
           if (b.iteration == stop) t.stop();
         }});
    first.trainer.fit(data);
    BOOST_TEST(first.adam.steps() == stop);
    Training second({.iterations = 21 - stop, .transform_seed = 5});  // as a new process makes it
    second.trainer.load_state(first.trainer.state());
    second.trainer.fit(data);
    BOOST_TEST(values_of(second.net) == whole);
  }
  // A batch whose transform has thrown is made again.
  int left = 9;
  Training thrown({.epochs = 3,
                   .transform =
                       [&](const Batch& b, Generator& g) {
                         const Batch result = augmentation()(b, g);
                         if (--left == 0) throw std::runtime_error("interrupted");
                         return result;
                       },
                   .transform_seed = 5});
  BOOST_CHECK_THROW(thrown.trainer.fit(data), std::runtime_error);
  BOOST_TEST(thrown.adam.steps() == 8);
  Training after({.iterations = 13, .transform_seed = 5});
  after.trainer.load_state(thrown.trainer.state());
  after.trainer.fit(data);
  BOOST_TEST(values_of(after.net) == whole);
}

BOOST_AUTO_TEST_CASE(evaluation_sees_the_data_as_they_are_unless_it_has_a_transform) {
  const Dataset data = images_of(40);
  const Dataset validation = images_of(30);
  Training plain({.epochs = 2});
  plain.trainer.fit(data, validation);
  const nn::EpochReport last = plain.trainer.history().epochs.back();
  BOOST_TEST(last.training.loss == nn::evaluate(plain.net, data).loss);
  BOOST_TEST(last.validation.loss == nn::evaluate(plain.net, validation).loss);

  const nn::Transform normalize = nn::Normalize({0.5}, {0.25});
  Training normal(
      {.epochs = 2, .transform = nn::Compose{augmentation(), normalize}, .evaluation_transform = normalize});
  normal.trainer.fit(data, validation);
  const nn::EpochReport& report = normal.trainer.history().epochs.back();
  const auto by_hand = [&](const Dataset& d) {
    const Batch all = d.batch(0, d.size());
    return nn::evaluate(normal.net, Dataset((all.x - 0.5) / 0.25, all.t, 2)).loss;
  };
  BOOST_TEST(report.training.loss == by_hand(data));
  BOOST_TEST(report.validation.loss == by_hand(validation));
  BOOST_TEST(report.validation.loss ==
             nn::evaluate(normal.net, validation, {}, nn::kEvaluationBatch, normalize).loss);
  BOOST_TEST(report.validation.loss != nn::evaluate(normal.net, validation).loss);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace transforms_test
