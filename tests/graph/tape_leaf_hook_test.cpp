// The function that backward tells of gradients as soon as they are complete.
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

#include "tape_support.h"

namespace tape_leaf_hook_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

std::string events;

/// x^2, whose rule says that it runs.
struct Loud {
  static constexpr auto name = "loud";
  static constexpr auto saves = saves_for(kIn0);
  Tensor forward(const Tensor& x) const { return square(x); }
  static void vjp(VjpContext<Loud>& ctx) {
    events += "rule ";
    ctx.add(0, ctx.grad_output() * ctx.input<0>() * 2.0);
  }
  static void samples(Samples& s) { s.add(Loud{}, {SampleInput({2})}); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tape_leaf_hook)

BOOST_AUTO_TEST_CASE(it_is_told_of_each_leaf_once_while_earlier_ones_are_to_come) {
  const Parameter first = parameter(2), second = parameter(3), unrelated = parameter(7);
  Tape tape;
  const Tensor x = tape.watch(scalar(5));
  const Tensor hidden = apply_op(Loud{}, first * x);  // 100
  const Tensor nothing = square(unrelated);
  const Tensor y = hidden * second + second;  // second is read twice
  events.clear();
  std::vector<Gradients::Key> keys;
  std::vector<Tensor> told;
  const Gradients g = tape.backward(y, {.on_leaf = [&](const Gradients::Entry& e) {
                                      events += std::to_string(static_cast<int>(e.value.item())) + " ";
                                      keys.push_back(e.key);
                                      told.push_back(e.value);
                                    }});
  BOOST_TEST(events == "101 rule 300 120 0 ");  // 2 first x^2 second, 2 first^2 x second
  BOOST_TEST(g.size() == 4u);
  BOOST_TEST(g[second].item() == 101);
  BOOST_TEST(g[first].item() == 300);
  BOOST_TEST(g[x].item() == 120);
  BOOST_TEST(g[unrelated].item() == 0);
  BOOST_TEST_REQUIRE(keys.size() == 4u);
  for (std::size_t i = 0; i < keys.size(); ++i) BOOST_TEST(shares_elements(*g.find(keys[i]), told[i]));
  BOOST_TEST(nothing.item() == 49);
}

BOOST_AUTO_TEST_CASE(a_retained_graph_tells_when_all_are_complete_and_again) {
  const Parameter a = parameter(2), b = parameter(3);
  Tape tape;
  const Tensor first = a.value(), second = b.value();
  const Tensor y = apply_op(Loud{}, first * second);
  for (int pass = 0; pass < 2; ++pass) {
    events.clear();
    const Gradients g =
        tape.backward(y, {.retain_graph = RetainGraph::yes, .on_leaf = [](const Gradients::Entry& e) {
                            events += std::to_string(static_cast<int>(e.value.item())) + " ";
                          }});
    BOOST_TEST(events == "rule 36 24 ");
    BOOST_TEST(g[a].item() == 36);
  }
}

BOOST_AUTO_TEST_CASE(a_cotangent_is_given_as_well) {
  const Parameter a = parameter({1, 2});
  Tape tape;
  check_equal(tape.backward(square(a), {.cotangent = Tensor::from({5, 6}, f64)})[a], {10, 24});
}

BOOST_AUTO_TEST_CASE(gradients_that_it_is_told_of_share_no_elements) {
  const Parameter a = parameter({1, 2}), b = parameter({3, 4});
  Tape tape;
  std::vector<Tensor> told;
  const Gradients g = tape.backward(sum(a.value() + b.value()),
                                    {.on_leaf = [&](const Gradients::Entry& e) { told.push_back(e.value); }});
  BOOST_TEST(told.size() == 2u);
  BOOST_TEST(!shares_elements(g[a], g[b]));
}

BOOST_AUTO_TEST_CASE(what_it_throws_ends_the_pass) {
  const Parameter a = parameter(2), b = parameter(3);
  Tape tape;
  const auto record = [&] { return square(a.value()) * b; };
  int calls = 0;
  const Callback<void(const Gradients::Entry&)> throws = [&](const Gradients::Entry&) {
    ++calls;
    throw std::runtime_error("enough");
  };
  const Tensor y = record();
  BOOST_CHECK_EXCEPTION(tape.backward(y, {.on_leaf = throws}), std::runtime_error, mentions("enough"));
  BOOST_TEST(calls == 1);
  BOOST_TEST(tape.spent());
  tape.reset();
  const Gradients g = tape.backward(record());
  BOOST_TEST(g[a].item() == 12);
  BOOST_TEST(g[b].item() == 4);
}

BOOST_AUTO_TEST_CASE(a_tape_knows_which_parameters_it_has_read) {
  const Parameter a = parameter(2), other = parameter(3);
  Parameter frozen = parameter(4);
  frozen.freeze();
  Tape tape;
  BOOST_TEST(!tape.has_read(a));
  const Tensor y = a * frozen.value();
  BOOST_TEST(y.item() == 8);
  BOOST_TEST(tape.has_read(a));
  BOOST_TEST(!tape.has_read(other));
  BOOST_TEST(!tape.has_read(frozen));
  BOOST_TEST(!tape.has_read(Parameter()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_leaf_hook_test
