#include <stdexcept>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/samples.h>

#include "tape_support.h"

namespace tape_faults_test {

using namespace tapegrad;
using namespace tapegrad::test;

/// Ops with faults: whatever a rule does, the tape says what is wrong and stays in order.
BOOST_AUTO_TEST_SUITE(tape_faults)

namespace {

const GradOptions kRecord{.record = Record::yes};

int countdown = -1;  ///< the rule of Failing throws when this reaches 0

struct Failing {
  static constexpr auto name = "failing";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  Tensor forward(const Tensor& x) const { return x * 2.0; }
  static void vjp(VjpContext<Failing>& ctx) {
    ctx.add(0, ctx.grad_output());
    if (countdown >= 0 && countdown-- == 0) throw std::runtime_error("failing");
    ctx.add(0, ctx.grad_output());
  }
  static void samples(Samples& s) { s.add(Failing{}, {SampleInput({2})}); }
};

enum class Wrong { shape, dtype, undefined, no_input, in_place, constant };

template <Wrong F>
struct WrongRule {
  static constexpr auto name = "faulty";
  static constexpr auto saves = saves_for(kIn1, kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x, const Tensor&) const { return x.copy(); }
  static void vjp(VjpContext<WrongRule>& ctx) {
    if (F == Wrong::shape) ctx.add(0, Tensor::ones({3}, f64));
    if (F == Wrong::dtype) ctx.add(0, Tensor::ones({2}, f32));
    if (F == Wrong::undefined) ctx.add(0, Tensor());
    if (F == Wrong::no_input) ctx.add(2, ctx.grad_output());
    if (F == Wrong::in_place) ctx.template accumulate<float>(0, [](auto) { BOOST_TEST(false); });
    if (F == Wrong::constant) {  // the gradient of a constant is dropped
      ctx.add(0, ctx.grad_output());
      ctx.add(1, ctx.grad_output());
      ctx.template accumulate<double>(1, [](auto) { BOOST_TEST(false); });
    }
  }
  static void samples(Samples& s) { s.add(WrongRule{}, {SampleInput({2}), SampleInput({2})}); }
};

struct Undefined {
  static constexpr auto name = "undefined";
  static constexpr auto saves = saves_for(kNone);
  Tensor forward(const Tensor&) const { return {}; }
  static void vjp(VjpContext<Undefined>&) {}
  static void samples(Samples&) {}
};

struct KeepsWhatItHasNot {
  static constexpr auto name = "keeps_what_it_has_not";
  static constexpr auto saves = saves_for(kIn1);
  Tensor forward(const Tensor& x) const { return x * 1.0; }
  static void vjp(VjpContext<KeepsWhatItHasNot>& ctx) { ctx.add(0, ctx.grad_output()); }
  static void samples(Samples&) {}
};

Tape* meddled = nullptr;
enum class Meddling { reset, rewind, backward };

/// Touches the tape that is just calling it.
template <Meddling M, bool InRule>
struct Meddler {
  static constexpr auto name = "meddler";
  static constexpr auto saves = saves_for(kIn0);
  static void meddle() {
    const Tensor one = scalar(1);
    if (M == Meddling::reset) meddled->reset();
    if (M == Meddling::rewind) meddled->rewind(Mark());
    if (M == Meddling::backward) meddled->backward(one);
  }
  Tensor forward(const Tensor& x) const {
    if (!InRule) meddle();
    return x * 1.0;
  }
  static void vjp(VjpContext<Meddler>& ctx) {
    if (InRule) meddle();
    ctx.add(0, ctx.grad_output());
  }
  static void samples(Samples&) {}
};

template <Wrong F>
void check_fault(std::initializer_list<const char*> parts) {
  const Parameter p = parameter({1, 2});
  Tape tape;
  const NameScope scope("net");
  const Tensor y = apply_op(WrongRule<F>{}, p.value(), Tensor::ones({2}, f64));
  BOOST_CHECK_EXCEPTION(tape.backward(y, Tensor::ones({2}, f64)), Error, [&](const Error& e) {
    bool all = mentions("faulty 'net'")(e);
    for (const char* part : parts) all = all && mentions(part)(e);
    return all;
  });
  BOOST_TEST(tape.spent());
}

struct InPlace {
  static constexpr auto name = "in_place";
  static constexpr auto saves = saves_for(kNone);
  Tensor forward(const Tensor& x) const { return x * 1.0; }
  static void vjp(VjpContext<InPlace>& ctx) {
    ctx.accumulate<double>(0, [&](auto to) { to.put(1, [&](auto) { return ctx.grad_output().item(); }); });
  }
  static void samples(Samples&) {}
};

}  // namespace

BOOST_AUTO_TEST_CASE(clause_8_an_exception_in_mid_backward_leaves_the_tape_in_order) {
  const Parameter p = parameter({1, 2});
  const Tensor cotangent = Tensor::ones({2}, f64);
  for (const int after : {0, 1, 2}) {
    Tape tape;
    const Tensor x = p;
    Tensor y = x;
    std::vector<Tensor> held;
    for (int i = 0; i < 3; ++i) {
      y = apply_op(Failing{}, y) + exp(y);
      held.push_back(y);
    }
    const std::size_t size = tape.size();
    countdown = after;
    BOOST_CHECK_THROW(tape.backward(y, cotangent, RetainGraph::yes), std::runtime_error);
    countdown = after;
    BOOST_CHECK_THROW(tape.grad(y, x, {.cotangent = cotangent}), std::runtime_error);
    BOOST_TEST(tape.size() == size);
    BOOST_TEST(unique(cotangent));  // no gradient stays behind
    countdown = after;
    BOOST_CHECK_THROW(tape.grad(y, x, {cotangent, Record::yes}), std::runtime_error);
    BOOST_TEST(tape.active());
    BOOST_TEST(!tape.spent());
    BOOST_TEST(!Tape::current()->checks_finite());
    // It can be asked again, with the right answer.
    const Tensor again = tape.grad(y, x, {.cotangent = cotangent});
    const Gradients g = tape.backward(y, cotangent, RetainGraph::yes);
    check_close(again, g[p].to_vector<double>());
    check_close(tape.grad(tape.grad(y, x, {cotangent, Record::yes}), x, {.cotangent = cotangent}),
                tape.grad(tape.grad(y, x, {cotangent, Record::yes}), x, {.cotangent = cotangent})
                    .to_vector<double>());
    // Without keep it is spent, and everything is released.
    countdown = after;
    BOOST_CHECK_THROW(tape.backward(y, cotangent), std::runtime_error);
    BOOST_TEST(tape.spent());
    BOOST_TEST(!tape.active());
    BOOST_CHECK_THROW(tape.backward(y, cotangent), TapeSpent);
    y = Tensor();
    for (Tensor& h : held) BOOST_TEST(unique(h));
    BOOST_TEST(unique(cotangent));
    tape.reset();
    BOOST_TEST(tape.active());
  }
  BOOST_TEST(unique(p));
}

BOOST_AUTO_TEST_CASE(clause_8_an_exception_in_forward_records_nothing) {
  const Parameter p = parameter({1, 2});
  Tape tape;
  const Tensor x = p;
  const std::size_t size = tape.size();
  BOOST_CHECK_THROW(x + Tensor::ones({3}, f64), ShapeError);
  BOOST_CHECK_THROW(x + Tensor::ones({2}, f32), DtypeError);
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(unique(p) == false);
  check_equal(tape.grad(x + x, x, {.cotangent = Tensor::ones({2}, f64)}), {2, 2});
}

BOOST_AUTO_TEST_CASE(clause_9_gradients_that_do_not_fit_are_refused) {
  check_fault<Wrong::shape>({"input 0", "[3] of f64", "[2] of f64"});
  check_fault<Wrong::dtype>({"input 0", "[2] of f32", "[2] of f64"});
  check_fault<Wrong::undefined>({"input 0", "undefined gradient"});
  check_fault<Wrong::no_input>({"input 2", "it has 2"});
  check_fault<Wrong::in_place>({"input 0", "a gradient of f32", "[2] of f64"});
}

BOOST_AUTO_TEST_CASE(clause_9_gradients_that_nobody_wants_are_dropped) {
  const Parameter p = parameter({1, 2});
  const Tensor cotangent = Tensor::ones({2}, f64);
  Tape tape;
  const Tensor y = apply_op(WrongRule<Wrong::constant>{}, p.value(), Tensor::ones({2}, f64));
  check_equal(tape.backward(y, cotangent, RetainGraph::yes)[p], {1, 1});
  BOOST_TEST(unique(cotangent));
}

BOOST_AUTO_TEST_CASE(clause_9_a_rule_cannot_write_in_place_while_it_is_recorded) {
  const Parameter p = parameter(3);
  Tape tape;
  const Tensor x = p;
  const Tensor y = apply_op(InPlace{}, x) + apply_op(InPlace{}, x);
  BOOST_CHECK_EXCEPTION(tape.grad(y, x, kRecord), Error, mentions("in_place", "recorded"));
  check_equal(tape.grad(y, x), {2});
}

BOOST_AUTO_TEST_CASE(clause_9_faulty_values_are_refused) {
  const Parameter p = parameter(3);
  Tape tape;
  BOOST_CHECK_EXCEPTION(apply_op(Undefined{}, p.value()), Error, mentions("undefined"));
  BOOST_CHECK_EXCEPTION(apply_op(KeepsWhatItHasNot{}, p.value()), Error,
                        mentions("keeps_what_it_has_not", "input 1", "1 inputs"));
  BOOST_TEST(tape.size() == 1u);
}

BOOST_AUTO_TEST_CASE(clause_9_an_op_cannot_pull_the_tape_from_under_itself) {
  const Parameter p = parameter(3);
  Tape tape;
  meddled = &tape;
  const Tensor x = p;
  BOOST_CHECK_EXCEPTION(apply_op(Meddler<Meddling::reset, false>{}, x), Error,
                        mentions("reset", "in the middle"));
  BOOST_CHECK_EXCEPTION(apply_op(Meddler<Meddling::rewind, false>{}, x), Error,
                        mentions("rewind", "in the middle"));
  BOOST_CHECK_EXCEPTION(apply_op(Meddler<Meddling::backward, false>{}, x), Error,
                        mentions("backward", "in the middle"));
  const Tensor reset = apply_op(Meddler<Meddling::reset, true>{}, x);
  const Tensor rewind = apply_op(Meddler<Meddling::rewind, true>{}, x);
  const Tensor backward = apply_op(Meddler<Meddling::backward, true>{}, x);
  BOOST_CHECK_EXCEPTION(tape.grad(reset, x), Error, mentions("reset", "in the middle"));
  BOOST_CHECK_EXCEPTION(tape.grad(rewind, x), Error, mentions("rewind", "in the middle"));
  BOOST_CHECK_EXCEPTION(tape.grad(backward, x), Error, mentions("backward", "in the middle"));
  BOOST_CHECK_THROW(tape.grad(reset, x, kRecord), Error);
  BOOST_TEST(tape.grad(x, x).item() == 1);
  tape.reset();
  BOOST_TEST(tape.active());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_faults_test
