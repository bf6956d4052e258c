#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "plot/report.h"
#include "plot/tape.h"
#include "support.h"
#include "xml_support.h"

using namespace tapegrad;
using plot::draw_tape;
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

}  // namespace

BOOST_AUTO_TEST_SUITE(report)

BOOST_AUTO_TEST_CASE(the_test_items_are_counted_and_the_surest_mistakes_shown) {
  TrainingReport r;
  const nn::Sequential net = reader_of_scores();
  plot::examine(r, net, images());
  const std::vector<std::vector<std::int64_t>> expected{{1, 1, 1}, {0, 1, 0}, {0, 0, 1}};
  BOOST_TEST((r.confusion == expected));
  BOOST_TEST(r.misclassified_in_all == 2);
  BOOST_REQUIRE(r.misclassified.size() == 2U);
  // softmax of (0, 8, 0) gives e^8 / (e^8 + 2) = 0.9993, of (0, 0, 2) gives 0.7870.
  BOOST_TEST(r.misclassified[0].label == "1, not 0: 100 %");
  BOOST_TEST(r.misclassified[1].label == "2, not 0: 79 %");
  BOOST_TEST(r.misclassified[1].pixels == (std::vector<std::uint8_t>{0, 0, 255, 255}),
             boost::test_tools::per_element());
  BOOST_TEST(r.misclassified[0].columns == 2U);
  plot::examine(r, net, images(), 1);
  BOOST_TEST(r.misclassified.size() == 1U);
  BOOST_TEST(r.misclassified_in_all == 2);
  Generator rng(0);
  BOOST_CHECK_EXCEPTION(plot::examine(r, nn::Sequential{nn::Affine(4, 2, rng)}, images()), ShapeError,
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
  TrainingReport r;
  plot::examine(r, reader_of_scores(), data, 2);
  BOOST_REQUIRE(r.most_confused.size() == 3U);
  const std::vector<std::array<std::int64_t, 4>> expected{{2, 1, 10, 10}, {0, 1, 3, 5}, {0, 2, 1, 5}};
  for (std::size_t i = 0; i < 3; ++i) {
    const plot::Confusion& c = r.most_confused[i];
    BOOST_TEST((std::array{c.truth, c.found, c.count, c.total} == expected[i]));
  }
  BOOST_TEST(r.most_confused[0].images.size() == 8U);  // of ten
  BOOST_TEST(r.most_confused[1].images.size() == 3U);
  // The surest first: e^3 / (e^3 + 2), e^2 / (e^2 + 2), e / (e + 2).
  BOOST_TEST(r.most_confused[1].images[0].label == "1, not 0: 91 %");
  BOOST_TEST(r.most_confused[1].images[2].label == "1, not 0: 58 %");
  const std::string html = plot::to_html(r);
  for (const char* part : {"Most confused", "2 taken for 1: 10 of 10", "0 taken for 2: 1 of 5"})
    BOOST_TEST(count(html, part) == 1U, part);
  BOOST_TEST(html.find("2 taken for 1") < html.find("0 taken for 1"));
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
  TrainingReport r{.title = "a < b", .settings = {{"data", "x & y"}, {"lr", "0.1"}}};
  r.history = {{1, 60, {2.3, 0.1}, {2.25, 0.125}},
               {2, 120, {std::nan(""), 0.5}, {1.5, 0.4375}, {1.75, 0.375}}};
  const nn::Sequential net = reader_of_scores();
  plot::examine(r, net, images());
  r.graph = plot::draw_step(net, images(), 5);
  const std::string html = plot::to_html(r);
  // What HTML leaves open is closed for the check.
  std::string xml = html.substr(html.find("<html"));
  const std::string meta = "<meta charset=\"utf-8\">";
  xml.replace(xml.find(meta), meta.size(), "");
  BOOST_TEST(well_formed(xml));
  for (const char* part :
       {"<h1>a &lt; b</h1>", "43.75 %", "Loss", "Accuracy", "2 of 2", "1, not 0: 100 %", "0.weight [4, 3]",
        "softmax_with_loss", "x &amp; y", "2.2500", ">validation<", "1.7500"})
    BOOST_TEST(html.find(part) != std::string::npos, part);
  // Nothing is fetched from elsewhere, and nothing runs.
  BOOST_TEST(count(html, "http") == count(html, "xmlns=\"http://www.w3.org/2000/svg\""));
  BOOST_TEST(count(html, "<script") + count(html, "<link") + count(html, "url(") == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_left_out) {
  const std::string html = plot::to_html({.title = "nothing"});
  for (const char* part : {"<h2>", "<svg", "<table"}) BOOST_TEST(count(html, part) == 0U, part);
  // One epoch, and losses that cannot be drawn at all.
  const double nan = std::nan("");
  const std::string one = plot::to_html({.title = "one", .history = {{1, 10, {nan, 0.1}, {nan, 0.1}}}});
  BOOST_TEST(count(one, "<svg xmlns") == 1U);
  BOOST_TEST(count(one, "validation") == 0U);
}

BOOST_AUTO_TEST_CASE(a_tape_is_drawn_with_parameters_constants_and_skips) {
  const Parameter w(Tensor::ones({2, 2}));
  Tape tape;
  const Tensor x = Tensor::ones({3, 2});
  const Tensor h = matmul(x, w);
  const Tensor y = tanh(matmul(relu(h), w)) + h;
  sum(y);
  const plot::Picture picture = draw_tape(tape, {{w.id(), "w & v"}});
  BOOST_TEST(well_formed(picture.document()));
  BOOST_TEST(count(picture.body, "w &amp; v [2, 2]") == 1U);  // once, though two products read it
  BOOST_TEST(count(picture.body, "constant [3, 2]") == 1U);
  for (const char* op : {">relu<", ">tanh<", ">add<", ">sum<"}) BOOST_TEST(count(picture.body, op) == 1U, op);
  BOOST_TEST(count(picture.body, ">matmul<") == 2U);
  // Nine edges: two into each product, one into relu and tanh, two into the sum of both, one into the last.
  // An arrow each, of a line and a head.
  BOOST_TEST(count(picture.body, "<path") == 2U * 9U);
  Tape empty;
  BOOST_CHECK_EXCEPTION(draw_tape(empty), ArgumentError, mentions("no operation"));
}

BOOST_AUTO_TEST_SUITE_END()
