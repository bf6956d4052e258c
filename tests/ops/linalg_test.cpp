#include <tapegrad/graph/sanitizers.h>

#include "both_rules.h"
#include "op_support.h"

namespace linalg_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Case {
  Shape a;
  Shape b;
  bool transpose_a = false;
  bool transpose_b = false;
};

const std::vector<Case> kCases{
    {{2, 3}, {3, 4}},
    {{3, 2}, {3, 4}, true, false},
    {{2, 3}, {4, 3}, false, true},
    {{3, 2}, {4, 3}, true, true},
    {{1, 1}, {1, 1}},
    {{1, 7}, {7, 1}},
    {{5, 1}, {1, 6}},
    {{17, 5}, {5, 19}},
    {{5, 17}, {19, 5}, true, true},
    {{33, 65}, {65, 47}},
    {{65, 33}, {65, 47}, true, false},
    {{33, 65}, {47, 65}, false, true},
    {{65, 33}, {47, 65}, true, true},
    {{40, 90}, {90, 1}},
    {{90, 40}, {90, 1}, true, false},
    {{1, 90}, {90, 40}},
    {{1, 90}, {40, 90}, false, true},
    {{40, 1}, {1, 50}},
    {{1, 40}, {50, 1}, true, true},
    // nothing to do, or nothing to add up
    {{0, 3}, {3, 4}},
    {{2, 0}, {0, 4}},
    {{0, 2}, {4, 0}, true, true},
    {{2, 3}, {3, 0}},
    {{0, 0}, {0, 0}},
    {{0}, {0}},
    // vectors
    {{6}, {6}},
    {{300}, {300}},
    {{3}, {3, 4}},
    {{3}, {4, 3}, false, true},
    {{2, 3}, {3}},
    {{3, 2}, {3}, true, false},
    // batches
    {{4, 2, 3}, {4, 3, 5}},
    {{4, 2, 3}, {3, 5}},
    {{4, 2, 3}, {5, 3}, false, true},
    {{4, 3, 2}, {3, 5}, true, false},
    {{2, 3}, {4, 3, 5}},
    {{2, 3}, {4, 5, 3}, false, true},
    {{3, 2}, {4, 3, 5}, true, false},
    {{2, 1, 2, 3}, {3, 3, 2}},
    {{2, 1, 3, 2}, {3, 2, 3}, true, true},
    {{1, 2, 3}, {4, 3, 2}},
    {{1, 3, 2}, {4, 3, 2}, true, false},
    {{2, 3, 1, 4}, {2, 1, 4, 2}},
    {{4, 2, 3}, {3}},
    {{3}, {4, 3, 2}},
    {{3}, {4, 2, 3}, false, true},
    {{0, 2, 3}, {3, 2}},
    {{2, 3}, {0, 3, 2}},
    {{3, 20, 30}, {30, 10}},
};

// The product as its terms: element `out` of the result has a term a[ia] * b[ib] for each call f(out, ia,
// ib).
struct Terms {
  Shape out;
  std::int64_t m, n, k;
  std::vector<std::size_t> a_batch, b_batch;
  Case c;

  explicit Terms(const Case& given) : c(given) {
    const bool row = c.a.rank() == 1;
    const bool column = c.b.rank() == 1;
    const Shape a = row ? Shape{1, c.a[0]} : c.a;
    const Shape b = column ? Shape{c.b[0], 1} : c.b;
    m = a.dim(c.transpose_a ? -1 : -2);
    k = a.dim(c.transpose_a ? -2 : -1);
    n = b.dim(c.transpose_b ? -2 : -1);
    const auto batch_of = [](const Shape& s) { return Shape(s.dims().first(s.rank() - 2)); };
    const Shape batch = broadcast(batch_of(a), batch_of(b), "test");
    a_batch = broadcast_index(batch_of(a), batch);
    b_batch = broadcast_index(batch_of(b), batch);
    out = batch;
    if (!row) out = out.inserted(out.rank(), m);
    if (!column) out = out.inserted(out.rank(), n);
  }

  template <class F>
  void each(F&& f) const {
    const auto at = [](std::size_t batch, std::int64_t rows, std::int64_t columns, std::int64_t i,
                       std::int64_t j) {
      return batch * static_cast<std::size_t>(rows * columns) + static_cast<std::size_t>(i * columns + j);
    };
    for (std::size_t s = 0; s < a_batch.size(); ++s)
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j)
          for (std::int64_t p = 0; p < k; ++p)
            f(at(s, m, n, i, j), c.transpose_a ? at(a_batch[s], k, m, p, i) : at(a_batch[s], m, k, i, p),
              c.transpose_b ? at(b_batch[s], n, k, j, p) : at(b_batch[s], k, n, p, j));
  }
};

std::string text(const Case& c, Dtype dtype) {
  return to_string(c.a) + (c.transpose_a ? "^T x " : " x ") + to_string(c.b) + (c.transpose_b ? "^T " : " ") +
         std::string(name_of(dtype));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(linalg)

BOOST_AUTO_TEST_CASE(matmul_values_and_gradients) {
  for (const Dtype dtype : {f32, f64})
    for (const Case& c : kCases) BOOST_TEST_CONTEXT(text(c, dtype)) {
        const Terms terms(c);
        const MatmulOptions options{c.transpose_a, c.transpose_b};
        const Tensor a = random(c.a, dtype, -2, 2, 1);
        const Tensor b = random(c.b, dtype, -2, 2, 2);
        const Tensor g = random(terms.out, dtype, -2, 2, 3);
        const std::vector<double> av = numbers(a);
        const std::vector<double> bv = numbers(b);
        const std::vector<double> gv = numbers(g);
        Wide y(gv.size()), da(av.size()), db(bv.size());
        terms.each([&](std::size_t o, std::size_t ia, std::size_t ib) {
          y[o] += static_cast<long double>(av[ia]) * bv[ib];
          da[ia] += static_cast<long double>(gv[o]) * bv[ib];
          db[ib] += static_cast<long double>(gv[o]) * av[ia];
        });
        check_tensor(matmul(a, b, options), terms.out, rounded(y), product_tolerance(dtype));
        with_both_rules([&] {
          Tape tape;
          const Tensor ta = tape.watch(a);
          const Tensor tb = tape.watch(b);
          const Gradients grads = tape.backward(matmul(ta, tb, options), g);
          check_tensor(grads[ta], c.a, rounded(da), product_tolerance(dtype));
          check_tensor(grads[tb], c.b, rounded(db), product_tolerance(dtype));
        });
      }
}

// With L = <g, A B>: <v, dL/dA> = sum g b v, whose derivatives for b and g are known sums again.
BOOST_AUTO_TEST_CASE(matmul_second_order) {
  for (const Case& c : kCases) BOOST_TEST_CONTEXT(text(c, f64)) {
      const Terms terms(c);
      Tape tape;
      const Tensor a = tape.watch(random(c.a, f64, -2, 2, 1));
      const Tensor b = tape.watch(random(c.b, f64, -2, 2, 2));
      const Tensor g = tape.watch(random(terms.out, f64, -2, 2, 3));
      const Tensor v = random(c.a, f64, -2, 2, 4);
      const Tensor w = random(c.b, f64, -2, 2, 5);
      const Tensor y = matmul(a, b, {c.transpose_a, c.transpose_b});
      const std::vector<Tensor> d = tape.grad(y, {a, b}, {.cotangent = g, .record = Record::yes});
      const std::vector<Tensor> of_da = tape.grad(sum(d[0] * v), {a, b, g});
      const std::vector<Tensor> of_db = tape.grad(sum(d[1] * w), {a, b, g});
      const auto av = numbers(a), bv = numbers(b), gv = numbers(g), vv = numbers(v), wv = numbers(w);
      Wide by_b(bv.size()), by_g(gv.size()), by_a(av.size()), by_g2(gv.size());
      terms.each([&](std::size_t o, std::size_t ia, std::size_t ib) {
        by_b[ib] += static_cast<long double>(gv[o]) * vv[ia];
        by_g[o] += static_cast<long double>(bv[ib]) * vv[ia];
        by_a[ia] += static_cast<long double>(gv[o]) * wv[ib];
        by_g2[o] += static_cast<long double>(av[ia]) * wv[ib];
      });
      check_tensor(of_da[0], c.a, std::vector<double>(av.size()));
      check_tensor(of_da[1], c.b, rounded(by_b));
      check_tensor(of_da[2], terms.out, rounded(by_g));
      check_tensor(of_db[0], c.a, rounded(by_a));
      check_tensor(of_db[1], c.b, std::vector<double>(bv.size()));
      check_tensor(of_db[2], terms.out, rounded(by_g2));
    }
}

BOOST_AUTO_TEST_CASE(gradients_are_added_in_place) {
  const Tensor a = random({20, 30}, f64, -1, 1, 1);
  const Tensor b = random({30, 40}, f64, -1, 1, 2);
  const Tensor batch = random({3, 40, 20}, f64, -1, 1, 3);
  std::vector<std::vector<double>> results;
  with_both_rules([&] {
    Tape tape;
    const Tensor x = tape.watch(a);
    const Tensor w = tape.watch(b);
    const Tensor y = matmul(x, w);
    // Each operand is used several times, plain, transposed and as one matrix of a batch.
    const Tensor loss =
        sum(y * y) + sum(matmul(w, x, {true, true})) + sum(square(matmul(batch, x))) + sum(matmul(x, w) * 3);
    const Gradients g = tape.backward(loss);
    for (const Tensor& t : {g[x], g[w]}) results.push_back(numbers(t));
  });
  for (int i : {0, 1})
    for (std::size_t j = 0; j < results[static_cast<std::size_t>(i)].size(); ++j)
      BOOST_TEST(
          near(results[static_cast<std::size_t>(i)][j], results[static_cast<std::size_t>(i + 2)][j], 1e-12));
}

BOOST_AUTO_TEST_CASE(nan_in_old_memory_is_not_read) {
  for (int i = 0; i < 3; ++i) {
    { const Tensor poison = Tensor::full({40, 50}, kNan, f32); }  // its block is reused for the result
    const Tensor y = matmul(Tensor::ones({40, 0}), Tensor::ones({0, 50}));
    for (const double v : numbers(y)) BOOST_TEST_REQUIRE(v == 0);
    { const Tensor poison = Tensor::full({40, 50}, kNan, f32); }
    for (const double v : numbers(matmul(Tensor::ones({40, 60}), Tensor::ones({60, 50}))))
      BOOST_TEST_REQUIRE(v == 60);
  }
}

BOOST_AUTO_TEST_CASE(vector_products) {
  check_tensor(dot(Tensor::from({1, 2, 3}), Tensor::from({4, 5, 6})), {}, {32});
  check_tensor(outer(Tensor::from({1, 2}, f64), Tensor::from({3, 4, 5}, f64)), {2, 3}, {3, 4, 5, 6, 8, 10});
  check_tensor(outer(Tensor::zeros({0}), Tensor::zeros({3})), {0, 3}, {});
  Tape tape;
  const Tensor a = tape.watch(Tensor::from({1, 2}, f64));
  const Tensor b = tape.watch(Tensor::from({3, 4, 5}, f64));
  const Tensor g = Tensor::from({{1, 0, 2}, {0, 1, 1}}, f64);
  const Gradients grads = tape.backward(outer(a, b), g);
  check_tensor(grads[a], {2}, {13, 9});
  check_tensor(grads[b], {3}, {1, 2, 4});
}

BOOST_AUTO_TEST_CASE(a_training_step_allocates_nothing) {
  const Tensor x = random({20, 30}, f32);
  const Tensor batch = random({5, 20, 30}, f32);
  Parameter w(random({30, 10}, f32));
  Parameter b(random({10}, f32));
  const auto step = [&] {
    Tape tape;
    const Tensor y = affine(x, w, b);
    const Tensor loss = mean(square(y)) + mean(matmul(batch, w)) + softmax_with_loss(y, softmax(y.detach()));
    (void)tape.backward(loss);
  };
  for (int i = 0; i < 3; ++i) step();
  const std::uint64_t before = system_allocations();
  for (int i = 0; i < 5; ++i) step();
#if !TAPEGRAD_ASAN  // where blocks are not reused, so that a use after free is seen
  BOOST_TEST(system_allocations() == before);
#else
  (void)before;
#endif
}

BOOST_AUTO_TEST_CASE(errors_name_operands_and_shapes) {
  const auto zeros = [](const Shape& s, Dtype d = f32) { return Tensor::zeros(s, d); };
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({4, 5})), ShapeError,
                        mentions("matmul: a [2, 3] has 3 columns, b [4, 5] has 4 rows"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({3, 5}), {.transpose_a = true}), ShapeError,
                        mentions("a [2, 3], transposed, has 2 columns"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({3}), zeros({4})), ShapeError, mentions("a [3]", "b [4]"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({}), zeros({4})), ShapeError, mentions("a is a scalar"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({4}), zeros({})), ShapeError, mentions("b is a scalar"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({3}), zeros({3, 2}), {.transpose_a = true}), ArgumentError,
                        mentions("transpose_a", "[3]"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({3}), {.transpose_b = true}), ArgumentError,
                        mentions("transpose_b"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 2, 3}), zeros({3, 3, 2})), ShapeError,
                        mentions("matmul", "[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}), zeros({3, 2}, f64)), DtypeError,
                        mentions("f32", "f64", "cast"));
  BOOST_CHECK_EXCEPTION(matmul(zeros({2, 3}, i64), zeros({3, 2}, i64)), DtypeError, mentions("i64"));
  BOOST_CHECK_EXCEPTION(matmul(Tensor(), zeros({3, 2})), ArgumentError, mentions("matmul", "input 0"));
  BOOST_CHECK_EXCEPTION(dot(zeros({3}), zeros({4})), ShapeError, mentions("dot", "[3]", "[4]"));
  BOOST_CHECK_EXCEPTION(dot(zeros({3, 1}), zeros({3})), ShapeError, mentions("dot", "[3, 1]"));
  BOOST_CHECK_EXCEPTION(outer(zeros({3, 1}), zeros({3})), ShapeError, mentions("outer", "[3, 1]"));
  BOOST_CHECK_THROW(outer(zeros({3}), Tensor()), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace linalg_test
