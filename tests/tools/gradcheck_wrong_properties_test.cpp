// Rules whose derivatives are right, and which the checker must reject for what else they do: they write to
// what is not theirs, or depend on what should not matter.

#include <cmath>

#include <tapegrad/ops/loops/parallel.h>

#include "wrong_rules.h"

namespace gradcheck_wrong_properties_test {

using namespace test_gradcheck;

namespace {

struct MutatesIncoming : SquareBase {
  static constexpr auto name = "mutates_incoming";
  static void vjp(VjpContext<MutatesIncoming>& ctx) {
    ctx.add(0, right_gradient(ctx));
    Tensor g = ctx.grad_output();
    // Through the back door, where no version is counted.
    if (!ctx.recording() && g.dtype() == f64 && g.size() > 0)
      detail::TensorAccess::data_as<double>(g)[0] *= 2;
  }
};
struct MutatesSaved : SquareBase {
  static constexpr auto name = "mutates_saved";
  static void vjp(VjpContext<MutatesSaved>& ctx) {
    ctx.add(0, right_gradient(ctx));
    Tensor x = ctx.input<0>();
    if (!ctx.recording() && x.dtype() == f64 && x.size() > 0)
      detail::TensorAccess::data_as<double>(x)[0] *= 2;
  }
};
struct WrongForSameInput : Faulty {
  static constexpr auto name = "wrong_for_same_input";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static Tensor forward(const Tensor& a, const Tensor& b) { return mul(a, b); }
  static void vjp(VjpContext<WrongForSameInput>& ctx) {
    const Tensor a = ctx.input<0>(), b = ctx.input<1>();
    const bool same = detail::TensorAccess::data(a) == detail::TensorAccess::data(b) && a.size() > 0;
    if (ctx.needs_grad(0)) ctx.add(0, mul(ctx.grad_output(), b));
    if (ctx.needs_grad(1) && !same) ctx.add(1, mul(ctx.grad_output(), a));
  }
};
struct WrongWhenUsedTwice : SquareBase {  // takes a gradient that nobody else holds for its own
  static constexpr auto name = "wrong_when_used_twice";
  static void vjp(VjpContext<WrongWhenUsedTwice>& ctx) {
    // The engine holds one reference; one more handle tells whether the caller does.
    const bool alone = detail::is_unique(detail::TensorAccess::storage(ctx.grad_output()));
    ctx.add(0, mul(right_gradient(ctx), alone && !ctx.recording() ? 2 : 1));
  }
};
struct Overwrites : SquareBase {
  static constexpr auto name = "overwrites";
  static void vjp(VjpContext<Overwrites>& ctx) { ctx.add(0, right_gradient(ctx)); }
  static void vjp_fused(VjpContext<Overwrites>& ctx) {
    const Tensor g = right_gradient(ctx);
    visit_floating(g.dtype(), [&]<class T> {
      ctx.accumulate<T>(0, [&](auto to) { std::ranges::copy(g.values<T>(), to.data); });
    });
  }
};
struct ReadsBesideItsBuffer : SquareBase {
  static constexpr auto name = "reads_beside_its_buffer";
  static void vjp(VjpContext<ReadsBesideItsBuffer>& ctx) {
    Tensor g = right_gradient(ctx);
    // Just before the first element: memory of the same block, whoever has it.
    const Tensor x = ctx.input<0>();
    const bool number = g.dtype() != f64 || !std::isnan(detail::TensorAccess::data_as<double>(x)[-1]);
    ctx.add(0, number ? g : mul(g, 0));
  }
};
struct WritesBesideItsBuffer : SquareBase {
  static constexpr auto name = "writes_beside_its_buffer";
  static void vjp(VjpContext<WritesBesideItsBuffer>& ctx) {
    ctx.add(0, right_gradient(ctx));
    if (ctx.grad_output().dtype() == f64) detail::TensorAccess::data_as<double>(ctx.grad_output())[-1] = 0;
  }
};
struct DependsOnThreads : SquareBase {
  static constexpr auto name = "depends_on_threads";
  static void vjp(VjpContext<DependsOnThreads>& ctx) {
    ctx.add(0, mul(right_gradient(ctx), detail::threads_here() == 2 ? 1 + 1e-15 : 1));
  }
};
struct Irreproducible : SquareBase {
  static constexpr auto name = "irreproducible";
  static void vjp(VjpContext<Irreproducible>& ctx) {
    static double drift = 1;
    ctx.add(0, mul(right_gradient(ctx), drift = drift == 1 ? 1 + 1e-15 : 1));
  }
};
struct SwapsSubset : Faulty {  // wrong where only the second input is tracked
  static constexpr auto name = "swaps_subset";
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static Tensor forward(const Tensor& a, const Tensor& b) { return mul(a, b); }
  static void vjp(VjpContext<SwapsSubset>& ctx) {
    if (ctx.needs_grad(0)) ctx.add(0, mul(ctx.grad_output(), ctx.input<1>()));
    if (ctx.needs_grad(1))
      ctx.add(1, mul(ctx.grad_output(), ctx.needs_grad(0) ? ctx.input<0>() : ctx.input<1>()));
  }
};
/// x^2, wrong for incoming gradients of less than `least` or more than `most`.
struct Clips : SquareBase {
  static constexpr auto name = "clips";
  double least = 0, most = 1e300;
  static void vjp(VjpContext<Clips>& ctx) {
    const Tensor size = abs(ctx.grad_output()), factor = minimum(size, ctx.op().most) / maximum(size, 1e-37);
    ctx.add(0, mul(right_gradient(ctx), where(size < ctx.op().least, 0, factor)));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_wrong_properties)

BOOST_AUTO_TEST_CASE(mutation) {
  const Report incoming = run<MutatesIncoming>({some({2, 3})});
  CHECK_REJECTED(incoming);
  BOOST_TEST(mentions(incoming, "nothing is changed, incoming gradient"));
  const Report saved = run<MutatesSaved>({some({2, 3})});
  CHECK_REJECTED(saved);
  BOOST_TEST(mentions(saved, "nothing is changed, input 0"));
}

BOOST_AUTO_TEST_CASE(wrong_for_one_tensor_in_two_places) {
  BOOST_TEST(run<WrongForSameInput>({some({2, 3}), some({2, 3})}, kDerivatives).ok());
  const Report report = run<WrongForSameInput>({some({2, 3}), some({2, 3}, 1, 3)});
  CHECK_REJECTED(report);
  BOOST_TEST(mentions(report, "same tensor as input 0 and input 1"));
}

BOOST_AUTO_TEST_CASE(wrong_when_the_result_is_used_twice) {
  const Report report = run<WrongWhenUsedTwice>({some({2, 3})});
  CHECK_REJECTED(report);
  BOOST_TEST(mentions(report, "result used twice"));
}

BOOST_AUTO_TEST_CASE(overwrites_instead_of_adding) {
  BOOST_TEST(run<Overwrites>({some({2, 3})}, kDerivatives).ok());
  const Report report = run<Overwrites>({some({2, 3})});
  CHECK_REJECTED(report);
  BOOST_TEST(mentions(report, "input used elsewhere too"));
}

BOOST_AUTO_TEST_CASE(tiny_and_huge_incoming_gradients) {
  const std::vector<Tensor> in{some({2, 3})};
  BOOST_TEST(run(in, {.recorded = false}, Clips{}).ok());
  for (const Clips& wrong : {Clips{{}, 1e-25}, Clips{{}, 0, 1e25}}) {
    BOOST_TEST(run(in, {.properties = false, .recorded = false}, wrong).ok());
    const Report report = run(in, {.recorded = false}, wrong);
    CHECK_REJECTED(report);
    BOOST_TEST(mentions(report, wrong.least > 0 ? "incoming gradient, tiny" : "incoming gradient, large"),
               report.text());
  }
}

BOOST_AUTO_TEST_CASE(beside_the_buffer) {
  BOOST_TEST(run<ReadsBesideItsBuffer>({some({2, 3})}, kDerivatives).ok());
  const Report reads = run<ReadsBesideItsBuffer>({some({2, 3})});
  CHECK_REJECTED(reads);
  BOOST_TEST(mentions(reads, "read beside the elements"));
  const Report writes = run<WritesBesideItsBuffer>({some({2, 3})});
  CHECK_REJECTED(writes);
  BOOST_TEST(mentions(writes, "written beside the elements, incoming gradient"));
}

BOOST_AUTO_TEST_CASE(other_bits_with_two_threads) {
  const Report report = run<DependsOnThreads>({some({2, 3})});
  CHECK_REJECTED(report);
  BOOST_TEST(mentions(report, "two threads give other bits than one"));
}

BOOST_AUTO_TEST_CASE(irreproducible) { CHECK_REJECTED(run<Irreproducible>({some({2, 3})})); }

BOOST_AUTO_TEST_CASE(wrong_for_a_subset_of_tracked_inputs) {
  BOOST_TEST(run<SwapsSubset>({some({2, 3}), some({2, 3}, 1, 3)}, kDerivatives).ok());
  const Report report = run<SwapsSubset>({some({2, 3}), some({2, 3}, 1, 3)});
  CHECK_REJECTED(report);
  BOOST_TEST(mentions(report, "only some inputs tracked"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_wrong_properties_test
