#include <string>

#include <tapegrad/graph/dot.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>

#include "op_support.h"

namespace dot_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(dot)

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

struct Contains {
  const std::string& text;
  void operator()(const std::string& line) const {
    BOOST_TEST(count(text, "  " + line + ";\n") == 1u, line << " once in\n" << text);
  }
};

Tensor number(double v) { return Tensor::scalar(v, f64); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_tape_without_annotations) {
  const Parameter w(Tensor::from({{1, 2}, {3, 4}}));
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 2}, f64));
  const Tensor y = matmul(Tensor::from({{1, 1}}), w);
  const std::string text = to_dot(tape, {.parameter_names = {{w.id(), "the \"weight\""}}});
  const Contains has{text};
  has("n0 [shape=box, style=filled, fillcolor=\"#dbe9f6\", label=\"watched\\n[2] f64\"]");
  has("n1 [shape=box, style=filled, fillcolor=\"#dbe9f6\", label=\"the \\\"weight\\\"\\n[2, 2]\"]");
  has("n2 [label=\"matmul\\n[1, 2]\"]");
  has("c2_0 [shape=note, fontsize=10, label=\"[1, 2]\"]");
  has("c2_0 -> n2 [style=dashed]");
  has("n1 -> n2");
  BOOST_TEST(text.starts_with("digraph tape {\n"));
  BOOST_TEST(text.ends_with("}\n"));
  BOOST_TEST(count(to_dot(tape), "label=\"parameter\\n") == 1u);
  BOOST_TEST(count(text, "dir=back") == 0u);
}

BOOST_AUTO_TEST_CASE(attributes_are_shown_on_request) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({{1, 2}, {3, 4}}));
  const Tensor y = matmul(x, x, {.transpose_b = true});
  BOOST_TEST(count(to_dot(tape), "transpose") == 0u);
  const std::string text = to_dot(tape, {.attributes = true});
  BOOST_TEST(count(text, "label=\"matmul\\ntranspose_a=false, transpose_b=true\\n[2, 2]\"") == 1u, text);
}

BOOST_AUTO_TEST_CASE(modules_are_framed) {
  Generator rng(0);
  nn::Sequential net{nn::Affine(2, 3, rng), nn::Relu()};
  Tape tape;
  const Tensor y = net(Tensor::ones({1, 2}));
  const std::string text = to_dot(tape);
  BOOST_TEST(count(text, "subgraph cluster_0 {\n  label=\"0\"") == 1u, text);
}

BOOST_AUTO_TEST_CASE(the_shopping_graph_with_values_forward_and_derivatives_backward) {
  Tape tape;
  const Tensor apple = tape.watch(number(100)), apples = tape.watch(number(2)), tax = tape.watch(number(1.1));
  const Tensor orange = tape.watch(number(150)), oranges = tape.watch(number(3));
  const Tensor for_apples = apple * apples;
  const Tensor for_oranges = orange * oranges;
  const Tensor price = for_apples + for_oranges;
  const Tensor total = price * tax;
  std::vector<DotTensor> tensors{{apple, "apple"},     {apples, "apples"}, {orange, "orange"},
                                 {oranges, "oranges"}, {tax, "tax"},       {for_apples, "A"},
                                 {for_oranges, ""},    {price, "price"},   {total, "the bill"}};
  for (DotTensor& t : tensors) t.gradient = tape.grad(total, t.tensor);
  const std::string text = to_dot(tape, {.tensors = tensors});
  const Contains has{text};
  has("n0 [shape=box, style=filled, fillcolor=\"#dbe9f6\", label=\"apple\\n[] f64\"]");
  has("n5 [label=\"mul\\nA\\n[] f64\"]");
  has("n6 [label=\"mul\\n[] f64\"]");
  has("r8 [shape=plaintext, label=\"the bill\"]");
  const auto edge = [&](const std::string& ends, const std::string& value, const std::string& gradient) {
    has(ends + " [label=\"" + value + "\", fontcolor=\"#2c5f8a\"]");
    has(ends + " [dir=back, label=\"" + gradient + "\", color=\"#b5302a\", fontcolor=\"#b5302a\"]");
  };
  edge("n0 -> n5", "100", "2.2");
  edge("n1 -> n5", "2", "110");
  edge("n3 -> n6", "150", "3.3");
  edge("n4 -> n6", "3", "165");
  edge("n5 -> n7", "200", "1.1");
  edge("n6 -> n7", "450", "1.1");
  edge("n7 -> n8", "650", "1.1");
  edge("n2 -> n8", "1.1", "650");
  edge("n8 -> r8", "715", "1");
  BOOST_TEST(count(text, "dir=back") == 9u);

  // The same once backward has spent the tape.
  const Gradients g = tape.backward(total);
  for (DotTensor& t : tensors)
    if (const Tensor* found = g.find(t.tensor)) t.gradient = *found;
  BOOST_TEST(to_dot(tape, {.tensors = tensors}) == text);
}

BOOST_AUTO_TEST_CASE(what_is_used_several_times_shows_its_gradient_once) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 2}, f64));
  const Tensor wide = tape.watch(Tensor::ones({5}, f64));
  const Tensor squares = x * x;
  const Tensor y = sum(squares) + sum(wide);
  const std::string text = to_dot(tape, {.tensors = {{x, "x", tape.grad(y, x)}, {wide, "wide"}, {y}}});
  const Contains has{text};
  has("n0 [shape=box, style=filled, fillcolor=\"#dbe9f6\", label=\"x\\n[2] f64\\ngradient [2, 4]\"]");
  BOOST_TEST(count(text, "n0 -> n2 [label=\"[1, 2]\", fontcolor=\"#2c5f8a\"];\n") == 2u, text);
  BOOST_TEST(count(text, "[label=\"[5]\", fontcolor=\"#2c5f8a\"];\n") == 1u, text);  // too large for an edge
  BOOST_TEST(count(text, "dir=back") == 0u);  // no gradient was given of the others
  BOOST_TEST(count(text, "shape=plaintext, label=\"\"") == 1u);
  // A matrix stays in one line.
  const Tensor m = tape.watch(Tensor::from({{1, 2}, {3, 4}}, f64));
  const std::string matrix = to_dot(tape, {.tensors = {{m, "m"}}});
  BOOST_TEST(count(matrix, "label=\"[[1, 2],  [3, 4]]\"") == 1u, matrix);
}

BOOST_AUTO_TEST_CASE(refusals) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  BOOST_CHECK_EXCEPTION(to_dot(tape, {.tensors = {{number(2), "stray"}}}), NotTracked,
                        mentions("to_dot", "'stray'", "not on this tape"));
  BOOST_CHECK_EXCEPTION(to_dot(tape, {.tensors = {{Tensor(), "none"}}}), NotTracked, mentions("'none'"));
  BOOST_CHECK_EXCEPTION(to_dot(tape, {.tensors = {{x, "x", Tensor::ones({2}, f64)}}}), ShapeError,
                        mentions("to_dot", "'x'", "[2]", "[]"));
  Tape inner;
  BOOST_CHECK_THROW(to_dot(inner, {.tensors = {{x, "x"}}}), NotTracked);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace dot_test
