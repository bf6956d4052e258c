#include <cmath>
#include <cstdint>
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
