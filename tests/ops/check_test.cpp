#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/tapegrad.h>

#include "op_support.h"

namespace check_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Call {
  const char* op;
  std::function<void()> run;
};

/// Each call throws an Error whose message starts with its op and mentions all parts.
template <class Error, class... Parts>
void check_errors(const std::vector<Call>& calls, Parts... parts) {
  for (const Call& call : calls) BOOST_TEST_CONTEXT(call.op)
  BOOST_CHECK_EXCEPTION(call.run(), Error, [&](const Error& e) {
    return std::string_view(e.what()).starts_with(call.op) && mentions(parts...)(e);
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(check)

BOOST_AUTO_TEST_CASE(mixed_dtypes) {
  const Tensor a = Tensor::ones({2, 2}), b = Tensor::ones({2, 2}, f64);
  const Tensor index = Tensor::zeros({2, 2}, i64), indices = Tensor::from({0, 1}, i64);
  const auto f = [](const Tensor& x) { return square(x); };
  check_errors<DtypeError>({{"add", [&] { a + b; }},
                            {"where", [&] { where(a, a, b); }},
                            {"concat",
                             [&] {
                               concat({a, a, b});
                             }},
                            {"stack: concat",
                             [&] {
                               stack({a, a, b});
                             }},
                            {"matmul", [&] { matmul(a, b); }},
                            {"affine", [&] { affine(a, b); }},
                            {"affine", [&] { affine(a, a, Tensor::ones({2}, f64)); }},
                            {"scatter_add", [&] { scatter_add(a, 0, index, b); }},
                            {"index_add", [&] { index_add(a, 0, indices, b); }},
                            {"mse_loss", [&] { mse_loss(a, b); }},
                            {"softmax_with_loss", [&] { softmax_with_loss(a, b); }},
                            {"batch_norm", [&] { batch_norm(a, Tensor::ones({2}), Tensor::ones({2}, f64)); }},
                            {"vjp", [&] { vjp(f, a, b); }},
                            {"jvp", [&] { jvp(f, a, b); }}},
                           " of f32", " of f64", "cast one of them");
}

BOOST_AUTO_TEST_CASE(operands_of_several_are_numbered) {
  const Tensor a = Tensor::ones({2}), b = Tensor::ones({2}, f64);
  BOOST_CHECK_EXCEPTION(concat({a, a, b}), DtypeError, mentions("part 0 of f32", "part 2 of f64"));
  BOOST_CHECK_EXCEPTION(a - b, DtypeError, mentions("input 0 of f32", "input 1 of f64"));
  // The condition takes the dtype of what it chooses from, and is not to blame.
  BOOST_CHECK_EXCEPTION(where(b, a, b), DtypeError, mentions("input 1 of f32", "input 2 of f64"));
}

BOOST_AUTO_TEST_CASE(integers) {
  const Tensor n = Tensor::ones({2, 2}, i64), of_each = Tensor::ones({2}, i64);
  check_errors<DtypeError>({{"exp", [&] { exp(n); }},
                            {"div", [&] { n / n; }},
                            {"mean", [&] { mean(n); }},
                            {"matmul", [&] { matmul(n, n); }},
                            {"affine", [&] { affine(n, n); }},
                            {"softmax", [&] { softmax(n); }},
                            {"mse_loss", [&] { mse_loss(n, n); }},
                            {"batch_norm", [&] { batch_norm(n, of_each, of_each); }}},
                           "i64", "takes f32 and f64, cast");
  const auto f = [](const Tensor& x) { return sum(x); };
  check_errors<DtypeError>(
      {{"gradient", [&] { gradient(f, n); }},
       {"jacobian", [&] { jacobian([](const Tensor& x) { return argmax(x); }, cast(n, f64)); }},
       {"numerical_partial", [&] { numerical_partial(f, n, 0); }},
       {"numerical_gradient", [&] { numerical_gradient(f, n); }}},
      "i64", "no derivative", "cast");
}

BOOST_AUTO_TEST_CASE(indices_of_another_dtype) {
  const Tensor x = Tensor::ones({2, 2});
  check_errors<DtypeError>({{"gather", [&] { gather(x, 0, x); }},
                            {"scatter_add", [&] { scatter_add(x, 0, x, x); }},
                            {"index_select", [&] { index_select(x, 0, x); }},
                            {"index_add", [&] { index_add(x, 0, x, x); }},
                            {"one_hot", [&] { one_hot(x, 3); }}},
                           "f32", "must be i64", "cast");
}

BOOST_AUTO_TEST_CASE(undefined_tensors) {
  const Tensor none, x = Tensor::ones({2, 2});
  const auto f = [](const Tensor& v) { return sum(v); };
  check_errors<ArgumentError>({{"add", [&] { x + none; }},
                               {"add", [&] { none + x; }},
                               {"where", [&] { where(x, none, x); }},
                               {"concat",
                                [&] {
                                  concat({x, none});
                                }},
                               {"concat",
                                [&] {
                                  concat({none, x});
                                }},
                               {"stack",
                                [&] {
                                  stack({x, none});
                                }},
                               {"stack",
                                [&] {
                                  stack({none, x});
                                }},
                               {"unsqueeze", [&] { unsqueeze(none, 0); }},
                               {"unsqueeze", [&] { unsqueeze(none, 3); }},
                               {"squeeze", [&] { squeeze(none); }},
                               {"squeeze", [&] { squeeze(none, 0); }},
                               {"reshape",
                                [&] {
                                  reshape(none, {2, -1});
                                }},
                               {"flatten", [&] { flatten(none); }},
                               {"transpose", [&] { transpose(none); }},
                               {"transpose", [&] { transpose(none, 0, 1); }},
                               {"permute",
                                [&] {
                                  permute(none, {0, 1});
                                }},
                               {"flip", [&] { flip(none, 0); }},
                               {"broadcast_to", [&] { broadcast_to(none, {2}); }},
                               {"pad",
                                [&] {
                                  pad(none, {{1, 1}});
                                }},
                               {"slice", [&] { slice(none, 0, 0); }},
                               {"select", [&] { select(none, 0, 0); }},
                               {"split", [&] { split(none, 2); }},
                               {"sum", [&] { sum(none, 0); }},
                               {"cumsum", [&] { cumsum(none, 0); }},
                               {"softmax", [&] { softmax(none); }},
                               {"gather", [&] { gather(none, 0, x); }},
                               {"gather", [&] { gather(x, 0, none); }},
                               {"matmul", [&] { matmul(x, none); }},
                               {"dot", [&] { dot(none, x); }},
                               {"outer", [&] { outer(x, none); }},
                               {"gradient", [&] { gradient(f, none); }},
                               {"vjp", [&] { vjp(f, x, none); }},
                               {"numerical_partial", [&] { numerical_partial(f, none, 0); }},
                               {"numerical_gradient", [&] { numerical_gradient(f, none); }}},
                              "undefined tensor");
}

// ---- functions that are made of others name themselves first ----

BOOST_AUTO_TEST_CASE(impossible_shapes_name_the_function_that_was_called) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 59;
  const Tensor nothing = Tensor::zeros({0, kHuge});
  const Tensor eight = Tensor::ones({1, 1, 1, 1, 1, 1, 1, 1});
  Generator rng(0);
  check_errors<ShapeError>({{"eye: ", [&] { Tensor::eye(kHuge); }},
                            {"permutation: ", [&] { permutation(2 * kHuge, rng); }},
                            {"one_hot of [2]: ", [&] { one_hot(Tensor::zeros({2}, i64), kHuge); }},
                            {"matmul of ",
                             [&] {
                               matmul(Tensor::zeros({kHuge, 0}), Tensor::zeros({0, kHuge}));
                             }},
                            {"concat of ",
                             [&] {
                               concat({nothing, nothing}, 1);
                             }},
                            {"stack: ",
                             [&] {
                               stack({nothing, nothing}, 0);
                             }},
                            {"reshape: ",
                             [&] {
                               reshape(eight, {kHuge, 4});
                             }},
                            {"affine: ", [&] { nn::Affine(kHuge, 2, rng); }},
                            {"batch_norm: ", [&] { nn::BatchNorm{2 * kHuge}; }},
                            {"prelu: ", [&] { nn::Prelu{2 * kHuge}; }}},
                           "too many elements", "make them smaller");
  check_errors<ShapeError>(
      {{"unsqueeze: ", [&] { unsqueeze(eight, 0); }},
       {"stack: ",
        [&] {
          stack({eight, eight});
        }},
       {"jacobian: ",
        [&] {
          jacobian([](const Tensor& x) { return 2 * x; }, reshape(eight, {1, 1, 1, 1, 1}));
        }}},
      " axes given, at most 8 are supported", "flatten or reshape");
  check_errors<ShapeError>(
      {{"eye: ", [&] { Tensor::eye(-1); }}, {"reshape: ", [&] { reshape(eight, {-2}); }}}, "negative");
}

BOOST_AUTO_TEST_CASE(a_number_beside_integers_names_the_function) {
  const Tensor i = Tensor::ones({2}, i64);
  check_errors<DtypeError>({{"maximum: ", [&] { maximum(i, 0.5); }},
                            {"minimum: ", [&] { minimum(0.5, i); }},
                            {"equal: ", [&] { (void)(i == 0.5); }},
                            {"less: ", [&] { (void)(i < 0.5); }},
                            {"less: ", [&] { (void)(0.5 > i); }},
                            {"greater_equal: ", [&] { (void)(i >= 0.5); }},
                            {"where: ", [&] { where(i, i, 0.5); }},
                            {"where: ", [&] { where(i, 0.5, i); }},
                            {"pad: ",
                             [&] {
                               pad(i, {{1, 1}}, 0.5);
                             }},
                            {"scalar_like: ", [&] { scalar_like(i, 0.5); }}},
                           "the number 0.5 is not a whole number", "f32 or f64");
}

BOOST_AUTO_TEST_CASE(layers_name_themselves_where_their_parameters_cannot_be) {
  Generator rng(0);
  check_errors<DtypeError>({{"affine: ", [&] { nn::Affine(2, 3, rng, {.dtype = i64}); }},
                            {"affine: ", [&] { nn::Affine(2, 3, rng, {.bias = false, .dtype = i64}); }},
                            {"batch_norm: ", [&] { nn::BatchNorm(2, {.dtype = i64}); }},
                            {"prelu: ", [&] { nn::Prelu(2, i64); }}},
                           "parameters of i64 have no gradient", "f32 or f64");
  check_errors<ArgumentError>({{"prelu: 0 ", [&] { nn::Prelu(0); }}, {"prelu: -5 ", [&] { nn::Prelu(-5); }}},
                              "one for each entry of its last axis");
}

BOOST_AUTO_TEST_CASE(functions_that_call_others_name_themselves) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const Tensor nothing = Tensor::zeros({0}), a = Tensor::ones({2});
  check_errors<ArgumentError>({{"vector_norm: max: ", [&] { vector_norm(nothing, kInf); }},
                               {"vector_norm: min: ", [&] { vector_norm(nothing, -kInf); }}},
                              "no elements");
  check_errors<DtypeError>({{"dot: ", [&] { dot(a, Tensor::ones({2}, f64)); }},
                            {"outer: ", [&] { outer(a, Tensor::ones({2}, f64)); }}},
                           "cast one of them");
  check_errors<ShapeError>(
      {{"gradient_descent: ", [&] { optim::gradient_descent([](const Tensor& x) { return x; }, a); }}},
      "must have one element");
  check_errors<DtypeError>(
      {{"gradient_descent: ",
        [&] { optim::gradient_descent([](const Tensor& x) { return sum(x); }, cast(a, i64)); }}},
      "has no derivative");
}

BOOST_AUTO_TEST_CASE(a_number_that_an_activation_does_not_take_is_refused_by_function_and_layer) {
  const Tensor x = Tensor::ones({2});
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    check_errors<ArgumentError>({{"leaky_relu: slope ", [&] { leaky_relu(x, bad); }},
                                 {"leaky_relu: slope ", [&] { nn::LeakyRelu{bad}; }},
                                 {"elu: alpha ", [&] { elu(x, bad); }},
                                 {"elu: alpha ", [&] { nn::Elu{bad}; }},
                                 {"softplus: beta ", [&] { softplus(x, bad); }},
                                 {"softplus: beta ", [&] { nn::Softplus{bad}; }}},
                                "finite");
  for (const double bad : {0.0, -1.0})
    check_errors<ArgumentError>(
        {{"softplus: beta ", [&] { softplus(x, bad); }}, {"softplus: beta ", [&] { nn::Softplus{bad}; }}},
        "positive and finite");
  BOOST_TEST(nn::Elu(-1).alpha() == -1);
  BOOST_TEST(nn::LeakyRelu(0).slope() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace check_test
