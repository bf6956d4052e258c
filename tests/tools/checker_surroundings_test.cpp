// Rules that give the right numbers, and are wrong in what surrounds them: in what they write to and read
// from, for some of their inputs, or with several threads; at any order, in either precision, in every mode.
// Each beside a right twin.

#include <array>
#include <string>

#include <tapegrad/gradcheck/module.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/visitor.h>
#include <tapegrad/ops/loops/parallel.h>

#include "wrong_rules.h"

namespace checker_surroundings_test {

using namespace test_gradcheck;

namespace {

enum class Fault : std::uint8_t {
  none,
  last_forward,     ///< reads what the last forward pass left
  mutates,          ///< writes to the incoming gradient
  overwrites,       ///< puts its gradient in the place of what is there
  one_of_two,       ///< wrong where the second input alone is tracked
  same_tensor,      ///< wrong where both inputs are one tensor
  several_threads,  ///< gives other bits with three threads
  not_linear,       ///< limits the incoming gradient
  writes_saved      ///< writes to an input with three threads
};

/// a b.
struct Careless : Faulty {
  static constexpr auto name = "careless";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  Fault fault = Fault::none;
  Dtype only = f64;       ///< the fault shows in this precision
  bool recorded = false;  ///< it shows in what a recorded gradient depends on alone
  static inline std::array<Tensor, 2> last{};

  static Tensor forward(const Tensor& a, const Tensor& b) {
    last = {a.detach(), b.detach()};
    return mul(a, b);
  }
  bool shows(Fault f, Dtype dtype, bool recording) const {
    return fault == f && only == dtype && recorded == recording;
  }
  static void vjp(VjpContext<Careless>& ctx) {
    const auto shows = [&](Fault f) { return ctx.op().shows(f, ctx.input_dtype(0), ctx.recording()); };
    Tensor a = ctx.input<0>(), b = ctx.input<1>(), g = ctx.grad_output();
    const bool same = detail::TensorAccess::data(a) == detail::TensorAccess::data(b) && a.size() > 0;
    if (shows(Fault::one_of_two) && !ctx.needs_grad(0)) g = ctx.recording() ? g.detach() : mul(g, 2);
    if (shows(Fault::same_tensor) && same) a = ctx.recording() ? a.detach() : mul(a, 2);
    if (shows(Fault::last_forward)) a = last[0], b = last[1];
    if (shows(Fault::several_threads) && detail::threads_here() == 3) b = mul(b, 1 + 1e-6);
    if (shows(Fault::not_linear)) g = clamp(g, -1e5, 1e5);
    if (ctx.needs_grad(0)) ctx.add(0, mul(g, b));
    if (ctx.needs_grad(1)) ctx.add(1, mul(g, a));
    if (shows(Fault::writes_saved) && detail::threads_here() == 3) {
      Tensor saved = ctx.input<0>();
      visit_floating(saved.dtype(), [&]<class T> { saved.mutable_values<T>()[0] *= 2; });
    }
    if (shows(Fault::mutates) && g.size() > 0)
      visit_floating(g.dtype(), [&]<class T> { detail::TensorAccess::data_as<T>(g)[0] *= 2; });
  }
  static void vjp_fused(VjpContext<Careless>& ctx) {
    if (!ctx.op().shows(Fault::overwrites, ctx.input_dtype(0), false)) return vjp(ctx);
    for (const std::size_t i : {0u, 1u}) {
      if (!ctx.needs_grad(i)) continue;
      const Tensor g = mul(ctx.grad_output(), i == 0 ? ctx.input<1>() : ctx.input<0>());
      visit_floating(g.dtype(), [&]<class T> {
        ctx.accumulate<T>(i, [&](auto to) { std::ranges::copy(g.values<T>(), to.data); });
      });
    }
  }
};

const std::vector<Tensor>& two_inputs() {
  static const std::vector<Tensor> in{some({2, 3}), some({2, 3}, 1, 3)};
  return in;
}

struct Case {
  Fault fault;
  const char* called;
};
constexpr Case kFirstOrder[] = {
    {Fault::last_forward, "forward at another point before the backward pass, gradient"},
    {Fault::mutates, "nothing is changed"},
    {Fault::overwrites, "input used elsewhere too"},
    {Fault::one_of_two, "only some inputs tracked"},
    {Fault::same_tensor, "same tensor as input 0 and input 1"},
    {Fault::several_threads, "threads, gradient"},
    {Fault::not_linear, "linear in the incoming gradient, large"},
    {Fault::writes_saved, "threads, gradient"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_surroundings)

BOOST_AUTO_TEST_CASE(right_twin) {
  for (const Mode mode : kModes) {
    const Report r = run(two_inputs(), {.order = 3, .mode = mode}, Careless{});
    BOOST_TEST(r.ok(), r.text());
  }
}

BOOST_AUTO_TEST_CASE(at_first_order) {
  for (const Case& c : kFirstOrder)
    for (const Dtype only : {f64, f32}) {
      BOOST_TEST(run(two_inputs(), kDerivatives, Careless{{}, c.fault, only}).ok(), c.called);
      for (const Mode mode : kModes) {
        const Report r = run(two_inputs(), {.mode = mode}, Careless{{}, c.fault, only});
        CHECK_REJECTED(r);
        BOOST_TEST(mentions(r, c.called), r.text());
        BOOST_TEST(mentions(r, ", in f32") == (only == f32), r.text());
      }
    }
}

BOOST_AUTO_TEST_CASE(at_second_order) {
  for (const Fault fault : {Fault::one_of_two, Fault::same_tensor}) {
    const Careless wrong{{}, fault, f64, true};
    BOOST_TEST(run(two_inputs(), {}, wrong).ok());
    for (const Mode mode : kModes) {
      const Report r = run(two_inputs(), {.order = 2, .mode = mode}, wrong);
      CHECK_REJECTED(r);
      BOOST_TEST(mentions(r, fault == Fault::one_of_two ? "order 2, only some inputs tracked"
                                                        : "order 2, same tensor as input 0 and input 1"),
                 r.text());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_surroundings_test
