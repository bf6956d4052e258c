#include <cstddef>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "plot/report.h"
#include "plot/tape.h"
#include "support.h"
#include "xml_support.h"

namespace tape_picture_test {

using namespace tapegrad;
using plot::draw_tape;
using test::count;
using test::mentions;
using test::well_formed;

BOOST_AUTO_TEST_SUITE(tape_picture)

BOOST_AUTO_TEST_CASE(a_tape_is_drawn_with_parameters_constants_and_skips) {
  const Parameter w(Tensor::ones({2, 2}));
  Tape tape;
  const Tensor x = Tensor::ones({3, 2});
  const Tensor h = matmul(x, w);
  const Tensor y = tanh(matmul(relu(h), w)) + h;
  sum(y);
  const plot::Picture picture =
      draw_tape(tape, {{{w.id(), "w & v"}}, {{Tensor::zeros({3, 2}, i64), "targets"}}});
  BOOST_TEST(well_formed(picture.document()));
  BOOST_TEST(count(picture.body, "w &amp; v [2, 2]") == 1U);  // once, though two products read it
  BOOST_TEST(count(picture.body, "constant [3, 2]") == 1U);
  for (const char* op : {">relu<", ">tanh<", ">add<", ">sum<"}) BOOST_TEST(count(picture.body, op) == 1U, op);
  BOOST_TEST(count(picture.body, ">matmul<") == 2U);
  // Nine edges: two into each product, one into relu and tanh, two into the sum of both, one into the last.
  // An arrow each, of a line and a head.
  BOOST_TEST(count(picture.body, "<path") == 2U * 9U);
  BOOST_TEST(count(draw_tape(tape, {{}, {{x, "in < put"}}}).body, ">in &lt; put [3, 2]<") == 1U);
  // Its reader is the node at position 1, behind the leaf.
  const auto named_from = [&](std::size_t from) {
    return draw_tape(tape, {{}, {{x, "first"}, {x, "second", from}}}).body;
  };
  BOOST_TEST(count(named_from(1), ">second [3, 2]<") == 1U);
  BOOST_TEST(count(named_from(2), ">first [3, 2]<") == 1U);
  Tape empty;
  BOOST_CHECK_EXCEPTION(draw_tape(empty), ArgumentError, mentions("no operation"));
}

BOOST_AUTO_TEST_CASE(a_step_tells_input_and_targets_apart_that_look_alike) {
  const Tensor x = Tensor::from({1, 2, 3}, Shape{3, 1});
  Generator rng(0);
  const nn::Objective squares([](const Tensor& y, const Tensor& t) { return mse_loss(y, t); },
                              [](const Tensor&, const Tensor&) { return 0.0; });
  const plot::Picture step =
      plot::draw_step(nn::Sequential{nn::Affine(1, 1, rng)}, nn::Dataset(x, x + 1), 3, squares);
  BOOST_TEST(count(step.body, ">input [3, 1]<") == 1U);
  BOOST_TEST(count(step.body, ">targets [3, 1]<") == 1U);
  BOOST_TEST(count(step.body, ">constant") == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_picture_test
