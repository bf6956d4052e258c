#include <tapegrad/ops/gradients.h>

#include "op_support.h"

namespace gradients_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Gradients with these values for parameters of this many elements.
Gradients gradients_of(const std::vector<std::pair<Parameter, std::vector<double>>>& values) {
  Tape tape;
  Tensor loss = Tensor::scalar(0, values[0].first.dtype());
  for (const auto& [parameter, v] : values)
    loss = loss + sum(parameter * cast(Tensor::from(v, parameter.shape()), parameter.dtype()));
  return tape.backward(loss);
}

const Parameter kA(Tensor::zeros({3}, f64));
const Parameter kB(Tensor::zeros({2, 2}, f64));
const Parameter kC(Tensor::zeros({1}, f64));

}  // namespace

BOOST_AUTO_TEST_SUITE(gradients)

BOOST_AUTO_TEST_CASE(sums_take_the_union_of_keys) {
  const Gradients g = gradients_of({{kA, {1, 2, 3}}, {kB, {1, 2, 3, 4}}});
  const Gradients h = gradients_of({{kC, {5}}, {kB, {10, 20, 30, 40}}});
  for (const Gradients& s : {g + h, h + g}) {
    BOOST_TEST(s.size() == 3u);
    check_tensor(s[kA], {3}, {1, 2, 3});
    check_tensor(s[kB], {2, 2}, {11, 22, 33, 44});
    check_tensor(s[kC], {1}, {5});
    // parameters stay in the order of their creation
    BOOST_TEST((s.begin()->key.parameter == kA.id() && (s.end() - 1)->key.parameter == kC.id()));
  }
  check_tensor(g[kB], {2, 2}, {1, 2, 3, 4});
  check_tensor(h[kB], {2, 2}, {10, 20, 30, 40});
  BOOST_TEST((g + Gradients()).size() == 2u);
  BOOST_TEST((Gradients() + Gradients()).empty());
}

BOOST_AUTO_TEST_CASE(changes_leave_copies_alone) {
  const Gradients original = gradients_of({{kA, {1, 2, 3}}});
  const Tensor held = original[kA];
  Gradients g = original;
  g += original;
  check_tensor(g[kA], {3}, {2, 4, 6});
  g *= 10;
  clip_value(g, 30);
  check_tensor(g[kA], {3}, {20, 30, 30});
  g += g;
  check_tensor(g[kA], {3}, {40, 60, 60});
  check_tensor(original[kA], {3}, {1, 2, 3});
  check_tensor(held, {3}, {1, 2, 3});
  check_tensor((original * 2)[kA], {3}, {2, 4, 6});
  check_tensor((0.5 * original)[kA], {3}, {0.5, 1, 1.5});

  // two leaves whose gradients are one and the same tensor
  Tape tape;
  const Parameter p(Tensor::zeros({2}, f64)), q(Tensor::zeros({2}, f64));
  Gradients shared = tape.backward(p.value() + q.value(), Tensor::from({1, 2}, f64));
  *shared.find(p) = *shared.find(q);
  shared *= 3;
  check_tensor(shared[p], {2}, {3, 6});
  check_tensor(shared[q], {2}, {3, 6});
}

BOOST_AUTO_TEST_CASE(watched_tensors_have_entries_too) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 2}, f64));
  Gradients g = tape.backward(sum(x * x));
  g *= 0.5;
  check_tensor(g[x], {2}, {1, 2});
  check_tensor((g + g)[x], {2}, {2, 4});
}

BOOST_AUTO_TEST_CASE(average_of_workers) {
  const std::vector<Gradients> workers{gradients_of({{kA, {1, 2, 3}}}),
                                       gradients_of({{kA, {3, 2, 1}}, {kC, {8}}}),
                                       gradients_of({{kA, {2, 2, 5}}}), gradients_of({{kA, {0, 0, 1}}})};
  const Gradients mean = average(workers);
  check_tensor(mean[kA], {3}, {1.5, 1.5, 2.5});
  check_tensor(mean[kC], {1}, {2});  // the others count as zeros
  check_tensor(workers[0][kA], {3}, {1, 2, 3});
  check_tensor(average(std::span(workers).first(1))[kA], {3}, {1, 2, 3});
  BOOST_CHECK_EXCEPTION(average({}), ArgumentError, mentions("average", "at least one"));
}

BOOST_AUTO_TEST_CASE(norms) {
  BOOST_TEST(global_norm(Gradients()) == 0);
  BOOST_TEST(global_norm(gradients_of({{kA, {0, 0, 0}}})) == 0);
  BOOST_TEST(near(global_norm(gradients_of({{kA, {1, 2, 2}}, {kB, {0, 0, 4, 0}}})), 5, 1e-15));
  // squares beyond what f64 holds
  BOOST_TEST(near(global_norm(gradients_of({{kA, {3e200, 4e200, 0}}})) / 5e200, 1, 1e-15));
  BOOST_TEST(near(global_norm(gradients_of({{kA, {3e-200, 4e-200, 0}}})) / 5e-200, 1, 1e-15));
  BOOST_TEST(std::isnan(global_norm(gradients_of({{kA, {1, kNan, 0}}}))));
  BOOST_TEST(global_norm(gradients_of({{kA, {1, -kInf, 0}}})) == kInf);
  // f32 is summed in f64
  const Parameter large(Tensor::zeros({1000, 1000}));
  BOOST_TEST(near(global_norm(gradients_of({{large, std::vector<double>(1000000, 0.5)}})), 500, 1e-15));
}

BOOST_AUTO_TEST_CASE(clipping_by_norm) {
  Gradients g = gradients_of({{kA, {1, 2, 2}}, {kB, {0, 0, 4, 0}}});
  BOOST_TEST(near(clip_global_norm(g, 6), 5, 1e-15));
  check_tensor(g[kA], {3}, {1, 2, 2});
  BOOST_TEST(near(clip_global_norm(g, 2.5), 5, 1e-15));
  check_tensor(g[kA], {3}, {0.5, 1, 1});
  check_tensor(g[kB], {2, 2}, {0, 0, 2, 0});
  BOOST_TEST(near(global_norm(g), 2.5, 1e-15));
  BOOST_TEST(near(clip_global_norm(g, kInf), 2.5, 1e-15));

  for (const double bad : {kNan, kInf}) {
    Gradients broken = gradients_of({{kA, {1, 2, 2}}, {kB, {0, 0, 4, bad}}});
    BOOST_CHECK_EXCEPTION(clip_global_norm(broken, 1), NonFinite,
                          mentions("clip_global_norm", "gradient 1 of 2", "[2, 2]", "at [1, 1]"));
    check_tensor(broken[kA], {3}, {1, 2, 2});
  }
  for (const double bad : {0.0, -1.0, kNan})
    BOOST_CHECK_EXCEPTION(clip_global_norm(g, bad), ArgumentError, mentions("max_norm", "positive"));
}

BOOST_AUTO_TEST_CASE(clipping_by_value) {
  Gradients g = gradients_of({{kA, {-3, 0.5, 3}}, {kB, {1, -1, kInf, kNan}}});
  clip_value(g, 1);
  check_tensor(g[kA], {3}, {-1, 0.5, 1});
  check_tensor(g[kB], {2, 2}, {1, -1, 1, kNan});
  for (const double bad : {0.0, -1.0, kNan})
    BOOST_CHECK_EXCEPTION(clip_value(g, bad), ArgumentError, mentions("limit", "positive"));
}

BOOST_AUTO_TEST_CASE(entries_that_do_not_fit) {
  Gradients g;
  g.insert({7, {}}, Tensor::zeros({3}));
  g.insert({8, {}}, Tensor::zeros({3}));
  Gradients other;
  other.insert({7, {}}, Tensor::ones({3}));
  other.insert({8, {}}, Tensor::ones({4}));
  BOOST_CHECK_EXCEPTION(g += other, ShapeError, mentions("[3]", "[4]"));
  Gradients wide;
  wide.insert({7, {}}, Tensor::ones({3}));
  wide.insert({8, {}}, Tensor::ones({3}, f64));
  BOOST_CHECK_EXCEPTION(g += wide, DtypeError, mentions("f32", "f64"));
  check_tensor(*g.find(Gradients::Key{7, {}}), {3}, {0, 0, 0});  // nothing was added
}

BOOST_AUTO_TEST_CASE(clipping_of_any_size) {
  // Norms that no f64 holds, and factors that no f32 does.
  for (const Dtype dtype : {f64, f32}) {
    const double large = dtype == f64 ? 1.5e308 : 3e38;
    Tape tape;
    const Tensor x = tape.watch(Tensor::zeros({4}, dtype));
    Gradients g = tape.backward(x, Tensor::full({4}, large, dtype));
    clip_global_norm(g, 1);
    check_tensor(g[x], {4}, {0.5, 0.5, 0.5, 0.5}, dtype == f64 ? 1e-14 : 1e-6);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradients_test
