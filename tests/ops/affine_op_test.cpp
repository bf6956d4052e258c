#include <tapegrad/graph/name_scope.h>

#include "both_rules.h"
#include "op_support.h"

namespace affine_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(affine_op)

BOOST_AUTO_TEST_CASE(affine_values_and_gradients) {
  struct Layer {
    Shape x;
    std::int64_t out;
  };
  const std::vector<Layer> layers{{{4, 3}, 2}, {{3}, 2},    {{2, 5, 3}, 4}, {{1, 1}, 1},  {{30, 40}, 20},
                                  {{0, 3}, 2}, {{4, 0}, 3}, {{4, 3}, 0},    {{70, 9}, 1}, {{1, 50}, 60}};
  for (const Dtype dtype : {f32, f64})
    for (const Layer& layer : layers)
      BOOST_TEST_CONTEXT(to_string(layer.x) << " to " << layer.out << " of " << name_of(dtype)) {
        const std::int64_t in = layer.x.dim(-1);
        const std::int64_t out = layer.out;
        const std::int64_t rows = layer.x.removed(layer.x.rank() - 1).size();
        const Shape y_shape = layer.x.with(layer.x.rank() - 1, out);
        const Tensor x = random(layer.x, dtype, -2, 2, 1);
        const Parameter weight(random({in, out}, dtype, -2, 2, 2));
        const Parameter bias(random({out}, dtype, -2, 2, 3));
        const Tensor g = random(y_shape, dtype, -2, 2, 4);
        const auto xv = numbers(x), wv = numbers(weight.data()), bv = numbers(bias.data()), gv = numbers(g);
        Wide y(gv.size()), dx(xv.size()), dw(wv.size()), db(bv.size());
        for (std::int64_t r = 0; r < rows; ++r)
          for (std::int64_t j = 0; j < out; ++j) {
            const auto o = static_cast<std::size_t>(r * out + j);
            y[o] += bv[static_cast<std::size_t>(j)];
            db[static_cast<std::size_t>(j)] += gv[o];
            for (std::int64_t i = 0; i < in; ++i) {
              const auto ix = static_cast<std::size_t>(r * in + i);
              const auto iw = static_cast<std::size_t>(i * out + j);
              y[o] += static_cast<long double>(xv[ix]) * wv[iw];
              dx[ix] += static_cast<long double>(gv[o]) * wv[iw];
              dw[iw] += static_cast<long double>(gv[o]) * xv[ix];
            }
          }
        check_tensor(affine(x, weight, bias), y_shape, rounded(y), product_tolerance(dtype));
        with_both_rules([&] {
          // Used once, and again so that the gradients are added to what is there.
          for (const double times : {1, 2}) {
            Tape tape;
            const Tensor leaf = tape.watch(x);
            Tensor result = affine(leaf, weight, bias);
            if (times == 2) result = result + affine(leaf, weight, bias);
            const Gradients grads = tape.backward(result, g);
            const auto scaled = [&](Wide w) {
              for (long double& v : w) v *= static_cast<long double>(times);
              return rounded(w);
            };
            check_tensor(grads[leaf], layer.x, scaled(dx), product_tolerance(dtype));
            check_tensor(grads[weight], {in, out}, scaled(dw), product_tolerance(dtype));
            check_tensor(grads[bias], {out}, scaled(db), product_tolerance(dtype));
          }
        });
      }
}

BOOST_AUTO_TEST_CASE(affine_is_matmul_and_add_to_any_order) {
  const Tensor x = random({4, 3}, f64, -1, 1, 1);
  const Tensor w = random({3, 2}, f64, -1, 1, 2);
  const Tensor b = random({2}, f64, -1, 1, 3);
  const auto third = [&](auto&& layer) {
    Tape tape;
    const Tensor lx = tape.watch(x), lw = tape.watch(w), lb = tape.watch(b);
    Tensor y = sum(tanh(layer(lx, lw, lb)));
    for (int i = 0; i < 2; ++i) {
      const std::vector<Tensor> d = tape.grad(y, {lx, lw, lb}, {.record = Record::yes});
      y = sum(square(d[0])) + sum(square(d[1])) + sum(square(d[2]));
    }
    std::vector<double> all;
    for (const Tensor& t : tape.grad(y, {lx, lw, lb}))
      for (const double v : numbers(t)) all.push_back(v);
    return all;
  };
  const std::vector<double> of_affine = third([](auto&... t) { return affine(t...); });
  const std::vector<double> of_parts =
      third([](const Tensor& i, const Tensor& u, const Tensor& c) { return matmul(i, u) + c; });
  for (std::size_t i = 0; i < of_parts.size(); ++i) BOOST_TEST(near(of_affine[i], of_parts[i], 1e-11));
}

// The gradient of the weight reads the input, that of the input reads the weight, that of the bias neither:
// what is not read is not kept, and may change.
BOOST_AUTO_TEST_CASE(only_what_a_wanted_gradient_reads_is_kept) {
  Tensor x = random({4, 3}, f64);
  Tensor w = random({3, 2}, f64);
  const Tensor b = Tensor::zeros({2}, f64);
  {
    Tape tape;
    const Tensor lw = tape.watch(w);
    const Tensor y = affine(x, lw, b);
    w.mutable_values<double>()[0] = 7;
    BOOST_CHECK_NO_THROW(tape.backward(sum(y)));
  }
  {
    Tape tape;
    const Tensor lx = tape.watch(x);
    const Tensor y = matmul(lx, w);
    x.mutable_values<double>()[0] = 7;
    BOOST_CHECK_NO_THROW(tape.backward(sum(y)));
  }
  {
    Tape tape;
    const Tensor lb = tape.watch(b);
    const Tensor y = affine(x, w, lb);
    x.mutable_values<double>()[0] = 8;
    w.mutable_values<double>()[0] = 8;
    BOOST_CHECK_NO_THROW(tape.backward(sum(y)));
  }
  {
    Tape tape;
    const Tensor lx = tape.watch(x);
    const Tensor y = affine(lx, w, b);
    w.mutable_values<double>()[0] = 9;
    BOOST_CHECK_EXCEPTION(tape.backward(sum(y)), MutatedSaved, mentions("affine", "input 1"));
  }
}

BOOST_AUTO_TEST_CASE(errors_name_operands_and_shapes) {
  const auto zeros = [](const Shape& s, Dtype d = f32) { return Tensor::zeros(s, d); };
  {
    const NameScope scope("fc2");
    BOOST_CHECK_EXCEPTION(
        affine(zeros({64, 320}), zeros({512, 10}), zeros({10})), ShapeError,
        mentions("affine 'fc2': input [64, 320] has last dimension 320, weight [512, 10] expects 512"));
  }
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}), zeros({3, 2}), zeros({3})), ShapeError,
                        mentions("bias [3]", "weight [3, 2]", "expects [2]"));
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}), zeros({3, 2}), zeros({1, 2})), ShapeError,
                        mentions("bias [1, 2]"));
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}), zeros({3}), zeros({3})), ShapeError,
                        mentions("weight [3]", "matrix"));
  BOOST_CHECK_EXCEPTION(affine(zeros({}), zeros({3, 2}), zeros({2})), ShapeError,
                        mentions("input is a scalar"));
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}), zeros({3, 2}, f64), zeros({2})), DtypeError,
                        mentions("f32", "f64"));
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}, i64), zeros({3, 2}, i64), zeros({2}, i64)), DtypeError,
                        mentions("i64", "cast"));
  BOOST_CHECK_EXCEPTION(affine(zeros({4, 3}), Tensor(), zeros({2})), ArgumentError,
                        mentions("input 1", "undefined"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace affine_op_test
