#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "folders.h"
#include "support.h"

namespace standardize_test {

using namespace tapegrad;
using nn::StatisticsOf;
using test::mentions;

namespace {

/// A data set with these inputs, whose targets do not matter.
nn::Dataset items(const Tensor& inputs) { return {inputs, Tensor::arange(inputs.dim(0))}; }

std::vector<double> doubles(const Tensor& t) { return cast(t, f64).to_vector<double>(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(standardize)

BOOST_AUTO_TEST_CASE(statistics_are_those_of_the_definition) {
  const nn::Dataset data = items(Tensor::from({{1, 10}, {2, 10}, {6, 40}}, f64));
  const nn::InputStatistics each = nn::input_statistics(data);
  BOOST_TEST((each.mean.shape() == Shape{2}));
  BOOST_TEST(doubles(each.mean) == std::vector<double>({3, 20}));
  // (4 + 1 + 9) / 3 and (100 + 100 + 400) / 3
  BOOST_TEST(doubles(each.stddev) == std::vector<double>({std::sqrt(14.0 / 3), std::sqrt(200.0)}),
             boost::test_tools::per_element());

  const nn::InputStatistics all = nn::input_statistics(data, StatisticsOf::all_features);
  BOOST_TEST((all.mean.shape() == Shape{}));
  BOOST_TEST(all.mean.item() == 11.5);
  // 10.5^2 + 9.5^2 + 5.5^2 + 2 * 1.5^2 + 28.5^2
  BOOST_TEST(all.stddev.item() == std::sqrt(1047.5 / 6), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(many_items_far_from_zero_keep_their_digits) {
  constexpr std::int64_t kItems = 2501;  // of which a part is left over
  const Tensor count = cast(Tensor::arange(kItems), f64);
  const nn::Dataset data = items(stack({count, count * 1e-3 + 1e6, Tensor::full({kItems}, 0.1, f64)}, 1));
  const nn::InputStatistics s = nn::input_statistics(data);
  const double stddev = std::sqrt((static_cast<double>(kItems) * kItems - 1) / 12);
  const std::vector<double> mean = doubles(s.mean), stddevs = doubles(s.stddev);
  BOOST_TEST(mean[0] == 1250, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(stddevs[0] == stddev, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(mean[1] == 1e6 + 1.25, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(stddevs[1] == stddev * 1e-3, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(mean[2] == 0.1);  // a constant, to the bit
  BOOST_TEST(stddevs[2] == 1);
}

BOOST_AUTO_TEST_CASE(images_come_out_with_mean_0_and_stddev_1) {
  const nn::Mnist mnist = nn::load_mnist(test::in_source("tools/data/mnist"));
  for (const StatisticsOf of : {StatisticsOf::all_features, StatisticsOf::each_feature}) {
    const nn::InputStatistics s = nn::input_statistics(mnist.train, of);
    const nn::Standardize layer(s);
    nn::Standardize net(s);
    const nn::Batch all = mnist.train.batch(0, mnist.train.size());
    const Tensor y = cast(net(all.x), f64);
    if (of == StatisticsOf::all_features) {
      // What is known of the whole of MNIST; these are a tenth of its images.
      BOOST_TEST(s.mean.item() == 0.1307, boost::test_tools::tolerance(0.02));
      BOOST_TEST(s.stddev.item() == 0.3081, boost::test_tools::tolerance(0.02));
      BOOST_TEST(std::abs(mean(y).item()) < 1e-6);
      BOOST_TEST(var(y).item() == 1, boost::test_tools::tolerance(1e-5));
    } else {
      const std::vector<double> means = doubles(mean(y, 0)), variances = doubles(var(y, 0));
      const std::vector<double> pixel = doubles(max(all.x, 0));
      int constant = 0;
      for (std::size_t k = 0; k < 784; ++k) {
        BOOST_TEST(std::abs(means[k]) < 1e-5);
        if (pixel[k] == 0) {
          ++constant;
          BOOST_TEST(variances[k] == 0);
        } else {
          BOOST_TEST(variances[k] == 1, boost::test_tools::tolerance(1e-4));
        }
      }
      BOOST_TEST(constant > 50);
    }
    // A test image is scaled by the numbers of the training images, not by its own.
    const Tensor x = mnist.test.batch(0, 5).x;
    BOOST_TEST(doubles(net(x)) == doubles((x - layer.mean()) / layer.stddev()));
    for (const double v : doubles(net(x))) BOOST_REQUIRE(std::isfinite(v));
  }
}

BOOST_AUTO_TEST_CASE(a_network_saves_and_loads_the_statistics) {
  Generator rng(0);
  const nn::Dataset data = items(randn({50, 4}, rng) * 3 + 7);
  nn::MultiLayerNet net(4, 2, rng, {.hidden = {3}, .standardize = nn::input_statistics(data)});
  BOOST_TEST(net.describe() == "4-3-2 relu he, standardised inputs");
  BOOST_TEST(net.parameter_count() == 4 * 3 + 3 + 3 * 2 + 2);
  const nn::State state = net.state();
  BOOST_TEST(state[0].first == "standardize.mean");
  BOOST_TEST(state[1].first == "standardize.stddev");

  // The first layer sees standardised inputs.
  const Tensor x = data.batch(0, 50).x;
  nn::LayerOutputs outputs;
  const std::vector<double> y = doubles(net(x));
  BOOST_TEST(std::abs(mean(outputs["standardize"]).item()) < 1e-5);
  BOOST_TEST(var(outputs["standardize"]).item() == 1, boost::test_tools::tolerance(1e-4));

  const test::TemporaryFolder folder;
  for (const char* name : {"net.npz", "net.safetensors"}) {
    nn::save_state(folder / name, state, {{"model", net.describe()}});
    nn::MultiLayerNet other(
        4, 2, rng,
        {.hidden = {3}, .standardize = nn::InputStatistics{Tensor::zeros({4}), Tensor::ones({4})}});
    const nn::SavedState saved = nn::load_state_file(folder / name);
    BOOST_TEST(saved.metadata.at("model") == "4-3-2 relu he, standardised inputs");
    BOOST_TEST(doubles(other(x)) != y);
    other.load_state(saved.tensors);
    BOOST_TEST(doubles(other(x)) == y);
    BOOST_TEST(doubles((*nn::clone(other))(x)) == y);
  }
  nn::MultiLayerNet plain(4, 2, rng, {.hidden = {3}});
  BOOST_CHECK_EXCEPTION(plain.load_state(state), ArgumentError, mentions("standardize.mean"));
}

BOOST_AUTO_TEST_CASE(channels_have_statistics_of_their_own) {
  // Of [n, c, h, w] = [1203, 3, 4, 5]: more items than a batch holds; beside the channels taken one by one.
  Generator rng(3);
  const Tensor offset = Tensor::from({-40, 0.5, 1e4}, Shape{3, 1, 1}),
               width = Tensor::from({0.1, 1, 30}, Shape{3, 1, 1});
  const Tensor images = randn({1203, 3, 4, 5}, rng, f64) * cast(width, f64) + cast(offset, f64);
  const nn::Dataset data = items(images);
  const nn::InputStatistics s = nn::input_statistics(data, StatisticsOf::each_channel);
  BOOST_TEST((s.mean.shape() == Shape{3, 1, 1}));
  BOOST_TEST((s.stddev.shape() == Shape{3, 1, 1}));
  for (std::int64_t c = 0; c < 3; ++c) {
    const Tensor channel = slice(images, 1, c, c + 1);
    const nn::InputStatistics alone = nn::input_statistics(items(channel), StatisticsOf::all_features);
    const auto k = static_cast<std::size_t>(c);
    BOOST_TEST(doubles(s.mean)[k] == alone.mean.item(), boost::test_tools::tolerance(1e-14));
    BOOST_TEST(doubles(s.stddev)[k] == alone.stddev.item(), boost::test_tools::tolerance(1e-14));
    BOOST_TEST(doubles(s.mean)[k] == mean(channel).item(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(doubles(s.stddev)[k] == std::sqrt(var(channel).item()), boost::test_tools::tolerance(1e-10));
  }

  // As a layer and as a transform: the mean of each channel is 0, its variance 1.
  nn::Standardize standardize(s);
  const Tensor y = standardize(images);
  BOOST_TEST(doubles(nn::Normalize(s)(images)) == doubles(y));
  for (const double m : doubles(mean(y, {0, 2, 3}))) BOOST_TEST(std::abs(m) < 1e-9);
  for (const double v : doubles(var(y, {0, 2, 3}))) BOOST_TEST(v == 1, boost::test_tools::tolerance(1e-9));

  // Of sequences; a constant channel has the standard deviation 1, squares that f64 does not hold do no harm.
  const nn::Dataset sequences = items(Tensor::from(
      {3e200, 1e200, 7, 7, 3e-200, 1e-200, 2e200, 2e200, 7, 7, 2e-200, 2e-200}, Shape{2, 3, 2}, f64));
  const nn::InputStatistics t = nn::input_statistics(sequences, StatisticsOf::each_channel);
  BOOST_TEST((t.mean.shape() == Shape{3, 1}));
  BOOST_TEST(doubles(t.mean) == std::vector<double>({2e200, 7, 2e-200}),
             boost::test_tools::tolerance(1e-15) << boost::test_tools::per_element());
  BOOST_TEST(doubles(t.stddev) == std::vector<double>({std::sqrt(0.5) * 1e200, 1, std::sqrt(0.5) * 1e-200}),
             boost::test_tools::tolerance(1e-14) << boost::test_tools::per_element());

  nn::Standardize layer({Tensor::from({1, 2}, Shape{2, 1, 1}), Tensor::from({2, 4}, Shape{2, 1, 1})});
  const Tensor x = Tensor::from({1, 3, 2, 10}, Shape{1, 2, 1, 2});
  BOOST_TEST(doubles(layer(x)) == std::vector<double>({0, 1, 0, 2}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  BOOST_CHECK_EXCEPTION(nn::input_statistics({}), ArgumentError, mentions("no items"));
  BOOST_CHECK_EXCEPTION(nn::input_statistics(items(Tensor::arange(6))), DtypeError, mentions("cast"));
  const double infinite = std::numeric_limits<double>::infinity();
  const nn::Dataset broken = items(Tensor::from({{1, 2}, {3, infinite}}));
  BOOST_CHECK_EXCEPTION(nn::input_statistics(broken), NonFinite, mentions("feature 1"));
  BOOST_CHECK_EXCEPTION(nn::input_statistics(broken, StatisticsOf::all_features), NonFinite,
                        mentions("not finite"));
  BOOST_CHECK_EXCEPTION(nn::input_statistics(broken, StatisticsOf::each_channel), ShapeError,
                        mentions("[2] have no channels", "[c, ...]"));
  const nn::Dataset broken_channel = items(Tensor::from({1, 2, 3, infinite, 4, 5}, Shape{1, 3, 2}));
  BOOST_CHECK_EXCEPTION(nn::input_statistics(broken_channel, StatisticsOf::each_channel), NonFinite,
                        mentions("channel 1"));

  const auto make = [](const Tensor& mean, const Tensor& stddev) { nn::Standardize({mean, stddev}); };
  const Tensor two = Tensor::ones({2});
  BOOST_CHECK_EXCEPTION(make(two, {}), ArgumentError, mentions("undefined"));
  BOOST_CHECK_EXCEPTION(make(two, Tensor::ones({3})), ShapeError, mentions("[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(make(two, Tensor::ones({2}, f64)), DtypeError, mentions("f32", "f64"));
  BOOST_CHECK_EXCEPTION(make(two, Tensor::from({1, 0})), ArgumentError, mentions("standard deviation is 0"));
  BOOST_CHECK_EXCEPTION(make(Tensor::from({1, infinite}), two), ArgumentError, mentions("mean is inf"));

  nn::Sequential net{nn::named("inputs", nn::Standardize({two, two}))};
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({5, 3})), ShapeError,
                        mentions("standardize 'inputs'", "[5, 3]", "[2]"));
  BOOST_CHECK_THROW(net(Tensor::zeros({5, 1})), ShapeError);  // would become [5, 2]
  BOOST_CHECK_THROW(net(Tensor::zeros({2})), ShapeError);     // no items
}

BOOST_AUTO_TEST_CASE(statistics_of_features_of_any_size) {
  const Tensor x = Tensor::from({{3e200, 3e-200, 1, 1.5e308}, {1e200, 1e-200, 3, 1e308}}, f64);
  const nn::InputStatistics s = nn::input_statistics(nn::Dataset(x, Tensor::zeros({2}, f64)));
  const std::vector<double> mean{2e200, 2e-200, 2, 1.25e308}, stddev{1e200, 1e-200, 1, 0.25e308};
  for (std::size_t k = 0; k < 4; ++k) {
    BOOST_TEST(s.mean.values<double>()[k] == mean[k], boost::test_tools::tolerance(1e-14));
    BOOST_TEST(s.stddev.values<double>()[k] == stddev[k], boost::test_tools::tolerance(1e-14));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace standardize_test
