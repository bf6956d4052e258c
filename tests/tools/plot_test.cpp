#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>

#include <boost/test/unit_test.hpp>

#include "plot/chart.h"
#include "plot/confusion.h"
#include "plot/images.h"
#include "support.h"
#include "xml_support.h"

namespace plot_test {

using namespace tapegrad;
using namespace tapegrad::plot;
using test::count;
using test::mentions;
using test::well_formed;

namespace {

std::vector<std::string> labels(Scale scale, double low, double high, double length = 500,
                                double spacing = 60) {
  Range range(scale);
  range.include(low);
  range.include(high);
  std::vector<std::string> out;
  for (const Axis::Tick& t : Axis(range, 0, length).ticks(spacing)) out.push_back(t.label);
  return out;
}

void check_labels(const std::vector<std::string>& got, const std::vector<std::string>& expected) {
  BOOST_TEST(got == expected, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plot)

BOOST_AUTO_TEST_CASE(ticks_stand_at_round_numbers) {
  check_labels(labels(Scale::linear, 0, 1), {"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  check_labels(labels(Scale::linear, -0.031, 0.022), {"-0.03", "-0.02", "-0.01", "0.00", "0.01", "0.02"});
  check_labels(labels(Scale::linear, 0, 10'000), {"0", "2000", "4000", "6000", "8000", "10000"});
  check_labels(labels(Scale::linear, -3, 3, 300), {"-2", "0", "2"});
  check_labels(labels(Scale::linear, 0, 3e8), {"0", "5·10⁷", "10⁸", "1.5·10⁸", "2·10⁸", "2.5·10⁸", "3·10⁸"});
  check_labels(labels(Scale::log, 0.9, 1100, 300), {"1", "10", "100", "1000"});
  check_labels(labels(Scale::log, 0.9, 60), {"1", "2", "5", "10", "20", "50"});
  check_labels(labels(Scale::log, 1e-12, 1e6, 300), {"10⁻¹²", "10⁻⁹", "10⁻⁶", "0.001", "1", "1000", "10⁶"});
  // Between powers of ten there are others where these alone are few, and even steps where there is less than a decade.
  check_labels(labels(Scale::log, 0.02, 0.9), {"0.02", "0.05", "0.1", "0.2", "0.5"});
  check_labels(labels(Scale::log, 0.02, 0.9, 200, 20), {"0.02", "0.05", "0.1", "0.2", "0.5"});
  check_labels(labels(Scale::log, 3, 15, 500), {"3", "5", "7", "10", "15"});
  check_labels(labels(Scale::log, 3e-8, 2e-3, 160, 34), {"10⁻⁷", "10⁻⁶", "10⁻⁵", "10⁻⁴", "0.001"});
  check_labels(labels(Scale::log, 1e-30, 1e30, 100, 90), {"1"});
  check_labels(labels(Scale::log, 2.1, 2.9), {"2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9"});
}

BOOST_AUTO_TEST_CASE(an_axis_maps_its_ends_to_its_places) {
  Range range(Scale::log);
  range.include(1);
  range.include(100);
  range.include(-5);  // cannot be drawn
  range.include(std::nan(""));
  const Axis axis(range, 50, 250);
  BOOST_TEST(axis.at(1) == 50);
  BOOST_TEST(axis.at(10) == 150);
  BOOST_TEST(axis.at(100) == 250);
}

BOOST_AUTO_TEST_CASE(axes_that_cannot_be_are_refused) {
  BOOST_CHECK_EXCEPTION(Chart("empty").draw(), ArgumentError, mentions("nothing to show"));
  BOOST_CHECK_EXCEPTION(
      Chart("c").y({.label = "loss", .scale = Scale::log}).line("a", {{0, -1}, {1, 0}}).draw(), ArgumentError,
      mentions("'loss'", "no value above 0"));
  BOOST_CHECK_EXCEPTION(Chart("c").x({.from = 5}).line("a", {{0, 0}, {1, 1}}).draw(), ArgumentError,
                        mentions("from 5"));
  BOOST_CHECK_EXCEPTION(Chart("c").x({.scale = Scale::log, .from = 0}).line("a", {{1, 1}, {2, 2}}).draw(),
                        ArgumentError, mentions("cannot reach 0"));
  BOOST_CHECK_THROW(Chart("c").histogram(std::vector<double>{1}, 0, 0, 1), ArgumentError);
  BOOST_CHECK_THROW(Chart("c").histogram(std::vector<double>{1}, 3, 1, 1), ArgumentError);
}

BOOST_AUTO_TEST_CASE(a_chart_is_well_formed_and_holds_its_series) {
  const double inf = std::numeric_limits<double>::infinity();
  Chart chart("a < b & \"c\"");
  chart.x({.label = "<x>"}).y({.label = "y"});
  chart.line("one & two", {{0, 1}, {1, 2}, {2, std::nan("")}, {3, 4}, {4, inf}, {5, 5}});
  chart.line("dots", {{0, 1}, {1, 2}, {1.5, inf}}, kDots);
  chart.line("", {{0, 0}, {5, 1}}, kDashed);
  const std::string svg = chart.draw().document();
  BOOST_TEST(well_formed(svg), svg);
  BOOST_TEST(count(svg, "a &lt; b &amp; &quot;c&quot;") == 1U);
  BOOST_TEST(count(svg, ">one &amp; two<") == 1U);
  BOOST_TEST(count(svg, "r=\"3\"") == 3U);  // two points and the legend's
  BOOST_TEST(count(svg, "<title>one &amp; two: &lt;x&gt; 3, 4</title>") == 1U);
  BOOST_TEST(count(svg, "<title>dots: &lt;x&gt; 1, 2</title>") == 1U);
  BOOST_TEST(count(svg, "<title>") == 4U + 2U + 2U);
  BOOST_TEST(count(svg, "stroke-dasharray") == 1U);
  // The line is interrupted where it cannot be drawn: three pieces.
  const std::size_t line = svg.find("<path d=\"M", svg.find("<svg x="));
  BOOST_TEST(count(svg.substr(line, svg.find("fill", line) - line), "M") == 3U);
}

BOOST_AUTO_TEST_CASE(series_that_belong_together_share_a_colour) {
  const auto strokes = [](const char* of, const Style& second) {
    Chart chart("c");
    chart.line("one", {{0, 0}, {1, 1}}).line("two", {{0, 1}, {1, 0}}, second).line("three", {{0, 2}, {1, 2}});
    return count(chart.draw().document(), std::string("stroke=\"") + of + "\"");
  };
  // Each series draws its line and its entry of the legend.
  const std::size_t alone = strokes(colour(0), {});
  BOOST_TEST_REQUIRE(alone > 0U);
  BOOST_TEST(strokes(colour(0), {.colour = 0}) == 2 * alone);
  BOOST_TEST(strokes(colour(1), {.colour = 0}) == alone);  // the third has it now
  BOOST_TEST(strokes(colour(2), {.colour = 0}) == 0U);
  BOOST_TEST(strokes(colour(2), {}) == alone);
}

BOOST_AUTO_TEST_CASE(one_value_alone_has_axes_too) {
  for (const double v : {0.0, 7.0, -1e-9, 1e12})
    BOOST_TEST(well_formed(Chart("c").dots("", {{v, v}}).draw().document()));
  BOOST_TEST(well_formed(Chart("c").y({.scale = Scale::log}).dots("", {{1, 5}}).draw().document()));
}

BOOST_AUTO_TEST_CASE(colours_that_come_again_have_other_dashes) {
  Chart chart("many");
  for (int i = 0; i < 8; ++i) chart.line(std::to_string(i), {{0, 1.0 * i}, {1, 1.0 * i}});
  const std::string svg = chart.draw().document();
  BOOST_TEST(count(svg, colour(0)) == 4U);                   // two lines, each with its legend
  BOOST_TEST(count(svg, "stroke-dasharray=\"7 4\"") == 4U);  // lines 6 and 7
}

BOOST_AUTO_TEST_CASE(a_histogram_counts_each_value_once) {
  const std::vector<double> values{0, 0.1, 0.24, 0.25, 0.5, 0.99, 1, -0.1, 1.1, std::nan("")};
  const std::string svg =
      Chart("h").y({.from = 0, .to = 4}).size(400, 300).histogram(values, 4, 0, 1).draw().document();
  BOOST_TEST(well_formed(svg));
  // Bars 3, 1, 1 and 2 high: the frame's height is 4.
  std::vector<double> heights;
  for (std::size_t at = svg.find("fill=\"#0072b2\""); at != std::string::npos;
       at = svg.find("fill=\"#0072b2\"", at + 1)) {
    const std::size_t from = svg.rfind("height=\"", at) + 8;
    heights.push_back(std::stod(svg.substr(from)));
  }
  BOOST_REQUIRE(heights.size() == 4U);
  BOOST_TEST(heights[0] / heights[1] == 3, boost::test_tools::tolerance(0.01));
  BOOST_TEST(heights[2] == heights[1]);
  BOOST_TEST(heights[3] / heights[1] == 2, boost::test_tools::tolerance(0.01));
}

BOOST_AUTO_TEST_CASE(a_bar_that_is_cut_off_shows_it) {
  std::vector<double> values(500, 0.1);
  values.push_back(0.9);
  const auto svg = [&](std::optional<double> to) {
    return Chart("h").y({.to = to}).size(400, 300).histogram(values, 4, 0, 1).draw().document();
  };
  BOOST_TEST(well_formed(svg(100)));
  BOOST_TEST(count(svg(100), "-5\" stroke=\"white\" stroke-width=\"2\"") == 2U);
  BOOST_TEST(count(svg(100), ">500<") == 1U);  // the height that it would have
  BOOST_TEST(count(svg(100), "<title>0 to 0.25: 500</title>") == 1U);
  BOOST_TEST(count(svg({}), "-5\" stroke=\"white\" stroke-width=\"2\"") == 0U);
}

BOOST_AUTO_TEST_CASE(axes_say_that_they_are_logarithmic) {
  const Points points{{1, 10}, {100, 1000}};
  const auto svg = [&](const char* label) {
    return Chart("c").x({.label = "x"}).y({.label = label, .scale = Scale::log}).line("", points).draw().body;
  };
  BOOST_TEST(count(svg("loss"), ">loss (logarithmic)<") == 1U);
  BOOST_TEST(count(svg(""), ">logarithmic<") == 1U);
  BOOST_TEST(count(svg("loss"), "logarithmic") == 1U);
}

BOOST_AUTO_TEST_CASE(whole_numbers_alone_are_ticks_where_they_are_asked_for) {
  const auto ticks = [](double to, bool whole) {
    Range range(Scale::linear);
    range.include(1);
    range.include(to);
    std::vector<std::string> out;
    for (const Axis::Tick& t : Axis(range, 0, 500, whole).ticks(60)) out.push_back(t.label);
    return out;
  };
  check_labels(ticks(3, true), {"1", "2", "3"});
  BOOST_TEST(ticks(3, false).size() > 3U);
  check_labels(ticks(40, true), ticks(40, false));
}

BOOST_AUTO_TEST_CASE(a_mark_and_a_row_of_names_stand_above_the_axes) {
  Chart chart("c");
  chart.legend(Legend::above).line("first", {{0, 0}, {10, 1}}).line("second", {{0, 1}, {10, 0}});
  chart.mark(4, "here & there").mark(40, "outside");
  const std::string svg = chart.draw().document();
  BOOST_TEST(well_formed(svg));
  BOOST_TEST(count(svg, ">here &amp; there<") == 1U);
  BOOST_TEST(count(svg, "outside") == 0U);
  BOOST_TEST(count(svg, ">second<") == 1U);
}

BOOST_AUTO_TEST_CASE(a_contour_follows_its_level) {
  // The circle of radius 1 in a square of side 4: every point of the path is at distance 1.
  const std::string svg = Chart("")
                              .x({.from = -2, .to = 2})
                              .y({.from = -2, .to = 2})
                              .contour([](double x, double y) { return x * x + y * y; }, {1, 9})
                              .arrows({{{0, 0}, {1, 0}}, {{1, 1}, {0, 0}}})
                              .draw()
                              .body;
  BOOST_TEST(well_formed("<g>" + svg + "</g>"));
  const std::size_t inside = svg.find("<svg x=\"");
  double frame[4];
  std::size_t at = svg.find("viewBox=\"", inside) + 9;
  for (double& f : frame) {
    std::size_t used = 0;
    f = std::stod(svg.substr(at), &used);
    at += used + 1;
  }
  at = svg.find("d=\"M", at) + 3;
  const std::size_t end = svg.find('"', at);
  int points = 0;
  while (at < end) {
    std::size_t used = 0;
    const double px = std::stod(svg.substr(at + 1), &used);
    at += 1 + used + 1;
    const double py = std::stod(svg.substr(at), &used);
    at += used;
    ++points;
    const double x = -2 + 4 * (px - frame[0]) / frame[2];
    const double y = -2 + 4 * (py - frame[1]) / frame[3];
    BOOST_TEST(std::hypot(x, y) == 1, boost::test_tools::tolerance(0.01));
  }
  BOOST_TEST(points > 100);
}

BOOST_AUTO_TEST_CASE(pictures_stand_in_a_grid) {
  const Picture part{10, 20, "<path/>"};
  const Picture all = grid({part, part, part}, 2, "Three");
  BOOST_TEST(all.height == 34 + 40);
  BOOST_TEST(count(all.body, "<path/>") == 3U);
  BOOST_TEST(count(all.body, "translate(10.0 34.0)") == 1U);
  BOOST_TEST(count(all.body, "translate(0.0 54.0)") == 1U);
  BOOST_TEST(well_formed(all.document()));
  BOOST_CHECK_THROW(grid({part}, 0), ArgumentError);
}

BOOST_AUTO_TEST_CASE(an_image_is_a_png_with_ink_black) {
  const std::string svg = draw(Image{.rows = 1, .columns = 2, .pixels = {0, 255}}, 20).document();
  BOOST_TEST(well_formed(svg));
  // A PNG of 2 x 1 pixels with 8 bits of grey: its head and the checksum that the standard prescribes for it.
  BOOST_TEST(count(svg, "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBW") == 1U);
  BOOST_CHECK_THROW(draw(Image{.rows = 2, .columns = 2, .pixels = {1}}, 20), ArgumentError);
  BOOST_CHECK_THROW(draw(Image{}, 20), ArgumentError);
  const std::vector<float> values{0, 0.5F, 1, 7, -1, std::nanf("")};
  const Image image = image_of(values, 2);
  BOOST_TEST(image.rows == 3U);
  BOOST_TEST(image.pixels == (std::vector<std::uint8_t>{0, 128, 255, 255, 0, 0}),
             boost::test_tools::per_element());
  BOOST_CHECK_THROW(image_of(values, 4), ArgumentError);
  BOOST_CHECK_THROW(image_of(values, 0), ArgumentError);
  const std::vector<float> far{-3e38F, 0, std::nanf(""), 3e38F};
  BOOST_TEST(image_of_range(far, 2, "x").pixels == (std::vector<std::uint8_t>{0, 128, 0, 255}),
             boost::test_tools::per_element());
  BOOST_TEST(image_of_range(far, 2, "x").label == "x");
  const std::vector<float> constant{4, 4, std::numeric_limits<float>::infinity(), 4};
  BOOST_TEST(image_of_range(constant, 4).pixels == (std::vector<std::uint8_t>{0, 0, 0, 0}),
             boost::test_tools::per_element());
  BOOST_CHECK_THROW(image_of_range(far, 3), ArgumentError);
  const Image digit{.rows = 1, .columns = 1, .pixels = {7}, .label = "5 < 6"};
  BOOST_TEST(count(image_grid({digit, digit, digit}, 2).document(), "5 &lt; 6") == 3U);
}

BOOST_AUTO_TEST_CASE(a_confusion_matrix_shows_its_counts) {
  const std::string svg = confusion_matrix({{50, 3}, {0, 47}}, "test").document();
  BOOST_TEST(well_formed(svg));
  for (const char* number : {">50<", ">3<", ">47<"}) BOOST_TEST(count(svg, number) == 1U);
  BOOST_TEST(count(svg, ">0<") == 2U);  // the class, not the count
  BOOST_TEST(count(svg, "<title>true 0, predicted 1: 3 of 53 (5.7 %)</title>") == 1U);
  const std::string named = confusion_matrix({{1, 2}, {3, 4}}, {}, {"<a>", std::string(60, 'm')}).document();
  BOOST_TEST(well_formed(named));
  BOOST_TEST(count(named, ">&lt;a&gt;<") == 2U);
  BOOST_TEST(count(named, "mmm…<") == 2U);
  BOOST_TEST(count(named, "true &lt;a&gt;, predicted " + std::string(60, 'm') + ": 2 of 3 (66.7 %)") == 1U);
  BOOST_CHECK_THROW(confusion_matrix({{1, 2}, {3, 4}}, {}, {"one"}), ArgumentError);
  BOOST_CHECK_THROW(confusion_matrix({}), ArgumentError);
  BOOST_CHECK_THROW(confusion_matrix({{1, 2}}), ArgumentError);
  BOOST_TEST(well_formed(confusion_matrix({{0, 0}, {0, 0}}).document()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace plot_test
