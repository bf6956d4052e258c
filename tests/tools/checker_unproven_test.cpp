// What a report must not leave open: inputs whose gradient nobody has seen, parameters that a module forgets,
// rules that are wrong for some of the inputs alone, exceptions of any type.

#include <string>
#include <vector>

#include <tapegrad/gradcheck/module.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/tensor/linalg.h>

#include "wrong_rules.h"

namespace checker_unproven_test {

using namespace test_gradcheck;
using gradcheck::check;
using gradcheck::check_module;

namespace {

/// A layer beside another one that `visit` leaves out.
class Forgets final : public nn::Module {
 public:
  explicit Forgets(Generator& g) : listed_(3, 3, g), forgotten_(3, 2, g) {}
  void visit(nn::Visitor& v) override {
    v("listed", listed_);
    if (!forgets) v("forgotten", forgotten_);
  }
  Tensor forward(const Tensor& x) override { return forgotten_(tanh(listed_(x))); }
  bool forgets = true;

 private:
  nn::Affine listed_, forgotten_;
};

/// a b c d, wrong where the first and the third input alone are tracked.
struct WrongForAPair : Faulty {
  static constexpr auto name = "wrong_for_a_pair";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kIn2 | kIn3);
  static Tensor forward(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d) {
    return mul(mul(a, b), mul(c, d));
  }
  bool wrong = true;
  static void vjp(VjpContext<WrongForAPair>& ctx) {
    const std::array<Tensor, 4> x{ctx.input<0>(), ctx.input<1>(), ctx.input<2>(), ctx.input<3>()};
    const bool pair = ctx.needs_grad(0) && !ctx.needs_grad(1) && ctx.needs_grad(2) && !ctx.needs_grad(3);
    for (std::size_t i = 0; i < 4; ++i) {
      if (!ctx.needs_grad(i)) continue;
      Tensor g = ctx.grad_output();
      for (std::size_t j = 0; j < 4; ++j)
        if (j != i) g = mul(g, x[j]);
      ctx.add(i, pair && ctx.op().wrong ? mul(g, 2) : g);
    }
  }
};

/// a b c, wrong where all three are one tensor.
struct WrongForThree : Faulty {
  static constexpr auto name = "wrong_for_three";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kIn2);
  static Tensor forward(const Tensor& a, const Tensor& b, const Tensor& c) { return mul(mul(a, b), c); }
  bool wrong = true;
  static void vjp(VjpContext<WrongForThree>& ctx) {
    const Tensor a = ctx.input<0>(), b = ctx.input<1>(), c = ctx.input<2>();
    const auto data = [](const Tensor& t) { return detail::TensorAccess::data(t); };
    const bool same = data(a) == data(b) && data(b) == data(c) && ctx.op().wrong;
    if (ctx.needs_grad(0)) ctx.add(0, mul(ctx.grad_output(), mul(b, c)));
    if (ctx.needs_grad(1)) ctx.add(1, mul(ctx.grad_output(), mul(a, c)));
    if (ctx.needs_grad(2) && !same) ctx.add(2, mul(ctx.grad_output(), mul(a, b)));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_unproven)

BOOST_AUTO_TEST_CASE(an_input_without_influence) {
  const auto first = [](const Tensor& x, const Tensor&) { return square(x); };
  const std::vector<Tensor> in{some({3}), some({2})};
  for (const Mode mode : kModes) {
    const Report r = check(first, in, {.mode = mode});
    BOOST_TEST(gradcheck::name_of(r.verdict()) == "UNPROVEN", r.text());
    BOOST_TEST(!r.ok());
    BOOST_TEST(r.unproven() == std::vector<std::string>{"input 1"});
    BOOST_TEST(mentions(r, "input 1"), r.text());
    const Report declared = check(first, in, {.mode = mode, .without_gradient = {"input 1"}});
    BOOST_TEST(declared.ok(), declared.text());
  }
  // Whose gradient is zero at this point alone is not proven either, and a constant need not be.
  BOOST_TEST(!check([](const Tensor& x) { return relu(x); }, {Tensor::from({-1, -2}, f64)}).ok());
  BOOST_TEST(check(first, in, {.constants = {1}}).ok());
}

BOOST_AUTO_TEST_CASE(a_parameter_without_influence) {
  Generator g(3);
  nn::Sequential net{nn::Affine(4, 6, g), nn::BatchNorm(6), nn::Tanh()};
  for (const Mode mode : kModes) {
    const Report r = check_module(net, some({7, 4}), {.mode = mode});
    BOOST_TEST(gradcheck::name_of(r.verdict()) == "UNPROVEN", r.text());
    BOOST_TEST(r.unproven() == std::vector<std::string>{"0.bias"});
    const Report declared = check_module(net, some({7, 4}), {.mode = mode, .without_gradient = {"0.bias"}});
    BOOST_TEST(declared.ok(), declared.text());
  }
}

BOOST_AUTO_TEST_CASE(a_parameter_that_visit_forgets) {
  Generator g(3);
  Forgets net(g);
  const Report r = check_module(net, some({4, 3}));
  CHECK_REJECTED(r);
  BOOST_TEST(mentions(r, "visit() does not list"), r.text());
  // The weight or the bias: which one affine is given first is the compiler's choice.
  BOOST_TEST((mentions(r, "parameter of shape [3, 2]") || mentions(r, "parameter of shape [2]")), r.text());
  BOOST_TEST(mentions(r, "in affine"), r.text());
  BOOST_TEST(r.count(Verdict::fail) == 1u, r.text());
  net.forgets = false;
  const Report right = check_module(net, some({4, 3}));
  BOOST_TEST(right.ok(), right.text());
}

BOOST_AUTO_TEST_CASE(a_pair_of_four_inputs) {
  const std::vector<Tensor> in{some({2, 3}), some({2, 3}, 1, 2), some({2, 3}, 0.5, 1), some({2, 3}, 2, 3)};
  BOOST_TEST(run<WrongForAPair>(in, kDerivatives).ok());
  for (const Mode mode : kModes) {
    const Report r = run<WrongForAPair>(in, {.mode = mode});
    CHECK_REJECTED(r);
    BOOST_TEST(mentions(r, "only some inputs tracked"), r.text());
    const Report right = run(in, {.order = 2, .mode = mode}, WrongForAPair{{}, false});
    BOOST_TEST(right.ok(), right.text());
  }
}

BOOST_AUTO_TEST_CASE(one_tensor_in_three_places) {
  const std::vector<Tensor> in{some({2, 3}), some({2, 3}, 1, 2), some({2, 3}, 0.5, 1)};
  BOOST_TEST(run<WrongForThree>(in, kDerivatives).ok());
  const Report r = run<WrongForThree>(in);
  CHECK_REJECTED(r);
  BOOST_TEST(mentions(r, "same tensor as input 0 and input 1 and input 2"), r.text());
  const Report right = run(in, {.order = 2}, WrongForThree{{}, false});
  BOOST_TEST(right.ok(), right.text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_unproven_test
