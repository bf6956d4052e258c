#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "plot/report.h"
#include "plot/weights.h"
#include "support.h"
#include "xml_support.h"

namespace report_test {

using namespace tapegrad;
using plot::TrainingReport;
using test::count;
using test::mentions;
using test::well_formed;

namespace {

/// Images of 2 x 2 pixels, of which the first three are the scores of the classes.
nn::Dataset images() {
  const Tensor x = Tensor::from({{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 8, 0, 0}, {0, 0, 2, 1}});
  return {x, Tensor::from({0, 1, 2, 0, 0}, i64), 3};
}

nn::Sequential reader_of_scores() {
  return nn::Sequential{
      nn::Affine(Parameter(Tensor::from({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 0, 0}})), Parameter())};
}

/// The next epoch of a training.
nn::EpochReport& add_epoch(TrainingReport& r, nn::Score training, nn::Score test, nn::Score validation,
                           bool best) {
  const auto epoch = static_cast<std::int64_t>(r.test.size()) + 1;
  r.test.push_back(test);
  return r.history.epochs.emplace_back(nn::EpochReport{.epoch = epoch,
                                                       .iteration = 10 * epoch,
                                                       .training = training,
                                                       .validation = validation,
                                                       .lr = 0.1,
                                                       .seconds = 2.0 * static_cast<double>(epoch),
                                                       .best = best});
}

/// What HTML leaves open is closed for the check.
std::string as_xml(const std::string& html) {
  std::string xml = html.substr(html.find("<html"));
  for (std::size_t at = xml.find("<meta"); at != std::string::npos; at = xml.find("<meta", at))
    xml.erase(at, xml.find('>', at) + 1 - at);
  return xml;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(report)

BOOST_AUTO_TEST_CASE(the_test_items_are_counted_and_the_surest_mistakes_shown) {
  const nn::Sequential net = reader_of_scores();
  plot::Classification r = plot::examine(net, images());
  const std::vector<std::vector<std::int64_t>> expected{{1, 1, 1}, {0, 1, 0}, {0, 0, 1}};
  BOOST_TEST((r.confusion == expected));
  BOOST_TEST(r.misclassified_in_all == 2);
  BOOST_REQUIRE(r.misclassified.size() == 2U);
  // softmax of (0, 8, 0) gives e^8 / (e^8 + 2) = 0.9993, of (0, 0, 2) gives 0.7870.
  BOOST_TEST(r.misclassified[0].label == "true 0, predicted 1 (100 %)");
  BOOST_TEST(r.misclassified[1].label == "true 0, predicted 2 (79 %)");
  BOOST_TEST(r.misclassified[1].pixels == (std::vector<std::uint8_t>{0, 0, 255, 255}),
             boost::test_tools::per_element());
  BOOST_TEST(r.misclassified[0].columns == 2U);
  r = plot::examine(net, images(), 1);
  BOOST_TEST(r.misclassified.size() == 1U);
  BOOST_TEST(r.misclassified_in_all == 2);
  r = plot::examine(net, images(), 0, {"a", "b", "c"});
  BOOST_TEST(r.misclassified.size() == 0U);
  BOOST_TEST(r.misclassified_in_all == 2);
  BOOST_REQUIRE(r.most_confused.size() == 2U);
  BOOST_TEST(r.most_confused[0].images.size() == 0U);
  BOOST_TEST(r.pair(0, 1) == "true a, predicted b");
  Generator rng(0);
  BOOST_CHECK_EXCEPTION(plot::examine(nn::Sequential{nn::Affine(4, 2, rng)}, images()), ShapeError,
                        mentions("[5, 2]", "3 classes"));
}

BOOST_AUTO_TEST_CASE(the_classes_that_are_confused_most_often_come_first) {
  // Scores of three classes, three times 0 taken for 1, once 0 for 2, ten times 2 for 1; what is right does not count.
  std::vector<float> x;
  std::vector<std::int64_t> t;
  const auto add = [&](int items, std::int64_t truth, std::int64_t found) {
    for (int i = 0; i < items; ++i) {
      for (std::int64_t k = 0; k < 4; ++k) x.push_back(k == found ? static_cast<float>(i + 1) : 0.F);
      t.push_back(truth);
    }
  };
  add(3, 0, 1), add(1, 0, 2), add(10, 2, 1), add(20, 1, 1), add(1, 0, 0);
  const auto n = static_cast<std::int64_t>(t.size());
  const nn::Dataset data(Tensor::from(x, Shape{n, 4}), Tensor::from(t, Shape{n}), 3);
  const plot::Classification r = plot::examine(reader_of_scores(), data, 2);
  BOOST_REQUIRE(r.most_confused.size() == 3U);
  const std::vector<std::array<std::int64_t, 4>> expected{{2, 1, 10, 10}, {0, 1, 3, 5}, {0, 2, 1, 5}};
  for (std::size_t i = 0; i < 3; ++i) {
    const plot::Confusion& c = r.most_confused[i];
    BOOST_TEST((std::array{c.truth, c.predicted, c.count, c.total} == expected[i]));
  }
  BOOST_TEST(r.most_confused[0].images.size() == 8U);  // of ten
  BOOST_TEST(r.most_confused[1].images.size() == 3U);
  // The surest first: e^3 / (e^3 + 2), e^2 / (e^2 + 2), e / (e + 2).
  BOOST_TEST(r.most_confused[1].images[0].label == "true 0, predicted 1 (91 %)");
  BOOST_TEST(r.most_confused[1].images[2].label == "true 0, predicted 1 (58 %)");
  const std::string html = plot::to_html({.classification = r});
  for (const char* part :
       {"Most confused", "true 2, predicted 1: 10 of 10</h3>", "true 0, predicted 2: 1 of 5</h3>"})
    BOOST_TEST(count(html, part) == 1U, part);
  BOOST_TEST(html.find("true 2, predicted 1: 10 of 10</h3>") < html.find("true 0, predicted 1: 3 of 5</h3>"));
}

BOOST_AUTO_TEST_CASE(filters_and_feature_maps_of_the_first_convolution_are_shown) {
  const auto pixels = [](std::initializer_list<int> all) {
    return std::vector<std::uint8_t>(all.begin(), all.end());
  };
  Generator rng(0);
  // A pooling comes before, and another convolution behind; of the weight [2, 1, 1, 2] both are known.
  nn::Sequential net{nn::named("shrink", nn::MaxPool2d(1)), nn::named("first", nn::Conv2d(1, 2, {1, 2}, rng)),
                     nn::named("second", nn::Conv2d(2, 3, 1, rng)), nn::Flatten(), nn::Affine(12, 3, rng)};
  auto& first = net.get<nn::Conv2d>("first");
  first.weight() = Parameter(Tensor::from({1, 3, 5, -5}, Shape{2, 1, 1, 2}));
  const Tensor x = Tensor::from({0, 1, 2, 0, 0, 4}, Shape{1, 1, 2, 3});
  const nn::Dataset data(concat({Tensor::ones({1, 1, 2, 3}), x}, 0), Tensor::from({0, 1}, i64), 3);

  const plot::FirstConvolution c = plot::first_convolution(net, data, 1);
  BOOST_TEST(c.layer == "first");
  BOOST_REQUIRE(c.filters.size() == 2U);
  BOOST_TEST(c.filters[0].pixels == pixels({0, 255}), boost::test_tools::per_element());
  BOOST_TEST(c.filters[1].pixels == pixels({255, 0}), boost::test_tools::per_element());
  BOOST_TEST(c.filters[0].columns == 2U);
  BOOST_REQUIRE(c.input.size() == 1U);
  BOOST_TEST(c.input[0].pixels == pixels({0, 64, 128, 0, 0, 255}), boost::test_tools::per_element());
  // x0 + 3 x1 = 3, 7, 0, 12 and 5 x0 - 5 x1 = -5, -5, 0, -20
  BOOST_REQUIRE(c.maps.size() == 2U);
  BOOST_TEST(c.maps[0].pixels == pixels({64, 149, 0, 255}), boost::test_tools::per_element());
  BOOST_TEST(c.maps[1].pixels == pixels({191, 191, 255, 0}), boost::test_tools::per_element());
  BOOST_TEST(net.training());

  TrainingReport r{.title = "convolution", .filters_before = c.filters, .convolution = c};
  const std::string html = plot::to_html(r);
  for (const char* part : {"Filters of first", "Before training", "After training", "Feature maps of first"})
    BOOST_TEST(count(html, part) == 1U, part);
  BOOST_TEST(count(html, "data:image/png") == 2U + 2U + 1U + 2U);

  // Without a convolution there is nothing to see.
  const plot::FirstConvolution none = plot::first_convolution(reader_of_scores(), images());
  BOOST_TEST(none.filters.size() + none.maps.size() + none.input.size() == 0U);
  BOOST_TEST(count(plot::to_html({.title = "none", .convolution = none}), "Filters") == 0U);
}

BOOST_AUTO_TEST_CASE(filters_of_several_channels_are_told_apart) {
  const Tensor weight = reshape(cast(Tensor::arange(24), f64), {2, 3, 2, 2});
  const std::vector<plot::Image> all = plot::filters_of(weight);
  BOOST_REQUIRE(all.size() == 6U);
  BOOST_TEST(all[4].label == "1 of 1");  // channel 1 of what comes in, of channel 1 out
  BOOST_TEST(all[4].rows == 2U);
  BOOST_TEST(all[4].pixels == (std::vector<std::uint8_t>{0, 85, 170, 255}), boost::test_tools::per_element());
  BOOST_TEST(plot::filters_of(weight, 5).size() == 5U);
  BOOST_TEST(plot::maps_of(weight).size() == 3U);
  BOOST_TEST(plot::maps_of(weight, 1).size() == 1U);
  BOOST_CHECK_EXCEPTION(plot::filters_of(Tensor::ones({3, 4})), ShapeError,
                        mentions("filters of [3, 4]", "four axes"));
  BOOST_CHECK_EXCEPTION(plot::maps_of(Tensor::ones({0, 1, 2, 2})), ShapeError, mentions("no image"));
  BOOST_CHECK_EXCEPTION(plot::filters_of(Tensor::ones({1, 1, 2, 2}, i64)), DtypeError,
                        mentions("filters of i64"));
}

BOOST_AUTO_TEST_CASE(a_page_stands_alone_and_holds_everything) {
  TrainingReport r{.title = "a < b", .facts = {{"command", "tapegrad <x>"}}, .settings = {{"data", "x & y"}}};
  add_epoch(r, {2.3, 0.1}, {2.25, 0.125}, {}, true);
  nn::EpochReport& second = add_epoch(r, {std::nan(""), 0.5}, {1.5, 0.4375}, {1.75, 0.375}, false);
  second.gradient_norm = 0.75;
  second.items_per_second = 1234;
  const nn::Sequential net = reader_of_scores();
  r.classification = plot::examine(net, images(), 40, {"zero", "<one>", "two"});
  r.weights = plot::draw_weights({{"initial", plot::weights_of(net)}, {"epoch 2", plot::weights_of(net)}});
  r.graph = plot::draw_step(net, images(), 5);
  const std::string html = plot::to_html(r);
  BOOST_TEST(well_formed(as_xml(html)));
  for (const char* part : {"<h1>a &lt; b</h1>",
                           "Last epoch: test accuracy 43.75 %",
                           ">Loss<",
                           ">Accuracy<",
                           ">Learning rate<",
                           ">Gradient norm<",
                           ">Throughput<",
                           "Misclassified test items: 2 of 2<",
                           "true zero, predicted &lt;one&gt; (100 %)",
                           "0.weight [4, 3]",
                           "softmax_with_loss",
                           "x &amp; y",
                           "tapegrad &lt;x&gt;",
                           "<td>2.2500</td>",
                           ">validation<",
                           "<td>1.7500</td>",
                           "1 (best)",
                           "<td>0.75</td>",
                           "<td>1234</td>",
                           ">input [5, 4]<",
                           ">targets [5] i64<",
                           "Confusion matrix",
                           "Precision and recall",
                           ">epoch 2<",
                           ">best<",
                           "<title>test: epoch 2, 1.5</title>",
                           "<title>true zero, predicted two: 1 of 3 (33.3 %)</title>"})
    BOOST_TEST(html.find(part) != std::string::npos, part);
  BOOST_TEST(count(html, "<one>") == 0U);
  // Nothing is fetched from elsewhere, and nothing runs.
  BOOST_TEST(count(html, "http") == count(html, "xmlns=\"http://www.w3.org/2000/svg\""));
  BOOST_TEST(count(html, "<script") + count(html, "<link") + count(html, "url(") == 0U);
}

BOOST_AUTO_TEST_CASE(the_headline_names_the_best_epoch_and_its_figures) {
  TrainingReport r;
  BOOST_TEST(plot::headline(r).empty());
  add_epoch(r, {0.5, 0.8}, {0.6, 0.75}, {0.55, 0.77}, true);
  add_epoch(r, {0.3, 0.9}, {0.4, 0.875}, {0.45, 0.86}, true);
  add_epoch(r, {0.1, 1}, {0.7, 0.85}, {0.5, 0.84}, false);
  BOOST_TEST(
      plot::headline(r) ==
      "Best epoch 2 of 3, by the validation loss: test accuracy 87.50 %, test loss 0.4000, validation "
      "accuracy 86.00 %, validation loss 0.4500, training accuracy 90.00 %, training loss 0.3000. Last "
      "epoch: test accuracy 85.00 %, test loss 0.7000, validation accuracy 84.00 %, validation loss 0.5000, "
      "training accuracy 100.00 %, training loss 0.1000. 30 iterations.");
  r.test.pop_back();
  BOOST_CHECK_EXCEPTION(plot::headline(r), ArgumentError, mentions("3 epochs and 2 test scores"));
  r = {.names = {"squared error", "r2", false}};
  add_epoch(r, {0.5, 0.5}, {}, {}, true);
  BOOST_TEST(
      plot::headline(r) ==
      "Best epoch 1 of 1, by the training loss: test scores not measured, training r2 0.5000, training loss "
      "0.5000. 10 iterations.");
}

BOOST_AUTO_TEST_CASE(precision_and_recall_are_as_by_hand) {
  // Three classes: 5 right of 8, 6 right of 6, none of the third, which is predicted once.
  const plot::ConfusionCounts counts{{5, 2, 1}, {0, 6, 0}, {0, 0, 0}};
  const std::vector<plot::ClassScores> s = plot::scores_of(counts);
  BOOST_REQUIRE(s.size() == 3U);
  const auto tolerance = boost::test_tools::tolerance(1e-12);
  BOOST_TEST(s[0].precision == 1.0, tolerance);
  BOOST_TEST(s[0].recall == 5.0 / 8, tolerance);
  BOOST_TEST(s[0].f1 == 10.0 / 13, tolerance);
  BOOST_TEST(s[0].support == 8);
  BOOST_TEST(s[1].precision == 6.0 / 8, tolerance);
  BOOST_TEST(s[1].recall == 1.0, tolerance);
  BOOST_TEST(s[1].f1 == 12.0 / 14, tolerance);
  BOOST_TEST(s[2].precision == 0.0);
  BOOST_TEST(std::isnan(s[2].recall));
  BOOST_TEST(s[2].support == 0);
  BOOST_CHECK_THROW(plot::scores_of({{1, 2}}), ArgumentError);
  const std::string html = plot::to_html({.classification = {.confusion = counts}});
  BOOST_TEST(count(html, "<tr><td>0</td><td>1.0000</td><td>0.6250</td><td>0.7692</td><td>8</td></tr>") == 1U);
  BOOST_TEST(count(html, "<tr><td>2</td><td>0.0000</td><td>–</td><td>0.0000</td><td>0</td></tr>") == 1U);
  BOOST_TEST(count(html, "<tr><td>mean</td><td>0.8750</td><td>0.8125</td><td>0.8132</td><td>14</td></tr>") ==
             1U);
}

BOOST_AUTO_TEST_CASE(errors_of_predictions_are_as_by_hand) {
  // y = x for targets 1, 2, 3 and 6, in two columns of which the second is 1 off.
  const Tensor x = Tensor::from({{1, 2}, {2, 3}, {3, 4}, {5, 6}});
  const Tensor t = Tensor::from({{1, 1}, {2, 2}, {3, 3}, {6, 5}});
  const nn::Sequential net{nn::Affine(Parameter(Tensor::from({{1, 0}, {0, 1}})), Parameter())};
  const std::vector<plot::Prediction> p = plot::predict(net, nn::Dataset(x, t), {"first", "<second>"});
  BOOST_REQUIRE(p.size() == 2U);
  const auto tolerance = boost::test_tools::tolerance(1e-6);
  BOOST_TEST(p[0].rmse == 0.5, tolerance);  // one error of 1 in four
  BOOST_TEST(p[0].mae == 0.25, tolerance);
  BOOST_TEST(p[0].r2 == 1 - 1 / 14.0, tolerance);  // deviations from 3: 4 + 1 + 0 + 9
  BOOST_TEST(p[1].rmse == 1.0, tolerance);
  BOOST_TEST(p[1].mae == 1.0, tolerance);
  BOOST_TEST(p[1].r2 == 1 - 4 / 8.75, tolerance);
  BOOST_CHECK_EXCEPTION(plot::predict(net, nn::Dataset(x, t), {"one"}), ShapeError,
                        mentions("[4, 2]", "[n, 1]"));
  TrainingReport r{.title = "regression", .predictions = p};
  const std::string html = plot::to_html(r);
  BOOST_TEST(well_formed(as_xml(html)));
  for (const char* part : {"Predictions", "<td>first</td><td>0.5</td><td>0.25</td><td>0.9286</td><td>4</td>",
                           "&lt;second&gt;", ">target<", "<title>target 6, 5</title>"})
    BOOST_TEST(html.find(part) != std::string::npos, part);
  BOOST_TEST(count(html, "Confusion") == 0U);
}

BOOST_AUTO_TEST_CASE(predictions_are_drawn_where_any_is_finite) {
  const double nan = std::nan("");
  plot::Prediction p{.name = "y", .rmse = nan, .mae = nan, .r2 = nan};
  BOOST_TEST(!plot::draw_predictions(p));
  p.points = {{1, nan}, {nan, 2}};
  BOOST_TEST(!plot::draw_predictions(p));
  BOOST_TEST(count(plot::draw_errors(p).body, "to") > 0U);
  // Of 3,000 pairs every third would be shown: those alone are no numbers, or all but one of the others.
  p.points.assign(3000, {1, nan});
  p.points[1000] = {7, 8};
  const auto one = plot::draw_predictions(p);
  BOOST_REQUIRE(one.has_value());
  BOOST_TEST(count(one->body, "<title>target 7, 8</title>") == 1U);
  p.points.assign(3000, {1, 2});
  for (std::size_t i = 0; i < p.points.size(); i += 3) p.points[i].y = nan;
  BOOST_TEST(count(plot::draw_predictions(p)->body, "<title>target 1, 2</title>") > 600U);
  const std::string html =
      plot::to_html({.title = "diverged", .predictions = {p, {.name = "none", .points = {{1, nan}}}}});
  BOOST_TEST(well_formed(as_xml(html)));
  BOOST_TEST(count(html, "<td>y</td><td>–</td><td>–</td><td>–</td><td>3000</td>") == 1U);
  BOOST_TEST(count(html, ">Errors of y<") == 1U);
  BOOST_TEST(count(html, ">Errors of none<") == 0U);
}

BOOST_AUTO_TEST_CASE(weights_are_drawn_by_layer_and_time) {
  Generator rng(0);
  nn::Sequential net{nn::Affine(4, 3, rng), nn::BatchNorm(3), nn::Affine(3, 2, rng)};
  const nn::State before = plot::weights_of(net);
  BOOST_REQUIRE(before.size() == 2U);  // no bias, no scale
  BOOST_TEST(before[0].first == "0.weight");
  const double first = before[0].second.values<float>()[0];
  for (const auto& [name, parameter] : net.parameters())
    if (name == "0.weight") Parameter(parameter).assign(Tensor::full({4, 3}, std::nan("")));
  BOOST_TEST(before[0].second.values<float>()[0] == first);  // copies
  const std::vector<plot::Picture> all =
      plot::draw_weights({{"initial", before}, {"epoch 9", plot::weights_of(net)}});
  BOOST_REQUIRE(all.size() == 2U);
  for (const plot::Picture& p : all) {
    BOOST_TEST(well_formed(p.document()));
    BOOST_TEST(count(p.body, ">initial<") == 1U);
    BOOST_TEST(count(p.body, ">epoch 9<") == 1U);
  }
  BOOST_TEST(count(all[1].body, ">2.weight<") == 1U);
  BOOST_TEST(plot::draw_weights({{"", before}}, 1).size() == 1U);
  BOOST_TEST(plot::draw_weights({}).empty());
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_left_out) {
  const std::string html = plot::to_html({.title = "nothing"});
  for (const char* part : {"<h2>", "<svg", "<table"}) BOOST_TEST(count(html, part) == 0U, part);
  // One epoch, and losses that cannot be drawn at all.
  const double nan = std::nan("");
  TrainingReport one{.title = "one"};
  nn::EpochReport& epoch = add_epoch(one, {nan, 0.1}, {nan, 0.1}, {}, false);
  epoch.lr = nan;
  epoch.seconds = nan;
  BOOST_TEST(count(plot::to_html(one), "<svg xmlns") == 1U);
  BOOST_TEST(count(plot::to_html(one), "validation") == 0U);
}

BOOST_AUTO_TEST_CASE(curves_whose_values_lie_far_apart_are_logarithmic_and_say_so) {
  TrainingReport r;
  add_epoch(r, {1, 0.5}, {1, 0.5}, {}, true);
  add_epoch(r, {0.001, 0.9}, {0.5, 0.6}, {}, true);
  const std::vector<plot::Picture> curves = plot::draw_curves(r.history, r.test, r.names);
  BOOST_TEST(count(curves.at(0).body, "cross entropy (logarithmic)") == 1U);
  BOOST_TEST(count(curves.at(1).body, "logarithmic") == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace report_test
