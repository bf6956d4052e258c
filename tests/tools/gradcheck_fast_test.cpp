// What fast mode makes of an op's large samples: it finds what their size decides, and says what it leaves to smaller
// ones.

#include <string>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/parallel.h>

#include "gradcheck_support.h"

namespace gradcheck_fast_test {

using namespace test_gradcheck;

namespace {

enum class Wrong { nowhere, last_element, threads, single, recorded, not_linear };

/// x^2, whose rule is wrong for many elements alone.
template <Wrong kWrong, bool kSmall = true>
struct Sized {
  static constexpr auto name = "sized";
  static constexpr auto saves = saves_for(kIn0);
  static Tensor forward(const Tensor& x) { return mul(x, x); }
  static void vjp(VjpContext<Sized>& ctx) {
    const Tensor x = ctx.template input<0>();
    Tensor g = mul(mul(ctx.grad_output(), x), 2);
    if (x.size() > 20000) {
      if (kWrong == Wrong::threads && detail::threads_here() == 3) g = mul(g, 1 + 1e-6);
      if (kWrong == Wrong::single && x.dtype() == f32) g = mul(g, 1.01);
      if (kWrong == Wrong::recorded && ctx.recording()) g = mul(g, 1 + 1e-6);
      if (kWrong == Wrong::last_element && !ctx.recording())
        visit_floating(g.dtype(), [&]<class T> { g.mutable_values<T>().back() *= static_cast<T>(1.001); });
      if (kWrong == Wrong::not_linear) g = mul(mul(clamp(ctx.grad_output(), -1e25, 1e25), x), 2);
    }
    ctx.add(0, g);
  }
  static void samples(Samples& s) {
    if (kSmall) s.add(Sized{}, {Shape{7}});
    s.add(Sized{}, {Shape{3, 7001}});
  }
};

template <class Op>
int exit_code(const char* mode) {
  return code(catalog_of<Op>(), {"--mode", mode});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck_fast)

BOOST_AUTO_TEST_CASE(large_samples_show_what_their_size_decides) {
  BOOST_TEST(exit_code<Sized<Wrong::nowhere>>("fast") == 0);
  BOOST_TEST(exit_code<Sized<Wrong::last_element>>("fast") == 1);
  BOOST_TEST(exit_code<Sized<Wrong::threads>>("fast") == 1);
  BOOST_TEST(exit_code<Sized<Wrong::single>>("fast") == 1);
  BOOST_TEST(exit_code<Sized<Wrong::recorded>>("fast") == 1);
}

BOOST_AUTO_TEST_CASE(what_it_leaves_out_is_said) {
  for (const char* order : {"1", "2"}) {
    const Json all = results_of(catalog_of<Sized<Wrong::nowhere>>(), {"--mode", "fast", "--order", order});
    const Json& samples = all["subjects"][0]["samples"];
    BOOST_TEST(samples[0]["size_alone"] == false);
    BOOST_TEST(samples[1]["size_alone"] == true);
    for (const Json& input : samples[1]["inputs"]) BOOST_TEST(input["order"] == 1, input);
  }
  const std::string said = "of 1 large samples only what their size decides was checked";
  BOOST_TEST(contains(run(catalog_of<Sized<Wrong::nowhere>>(), {"--mode", "fast"}).out, said));
  BOOST_TEST(!contains(run(catalog_of<Sized<Wrong::nowhere>>(), {}).out, said));
  // What else a rule may do wrong at many elements alone is for the other modes.
  BOOST_TEST(exit_code<Sized<Wrong::not_linear>>("fast") == 0);
  BOOST_TEST(exit_code<Sized<Wrong::not_linear>>("auto") == 1);
}

BOOST_AUTO_TEST_CASE(a_large_sample_alone_is_checked_whole) {
  const Json all = results_of(catalog_of<Sized<Wrong::nowhere, false>>(), {"--mode", "fast"});
  BOOST_TEST(all["subjects"][0]["samples"][0]["size_alone"] == false);
  BOOST_TEST((exit_code<Sized<Wrong::not_linear, false>>("fast")) == 1);
}

// A failure is repeated as it was found.
BOOST_AUTO_TEST_CASE(one_sample_again) {
  const Outcome o = run(catalog_of<Sized<Wrong::last_element>>(), {"--mode", "fast", "--repro", "sized#1"});
  BOOST_TEST(o.code == 1, o.out);
  BOOST_TEST(contains(o.out, "of 1 large samples"), o.out);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_fast_test
