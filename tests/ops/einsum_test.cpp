#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/tensor/einsum.h>

#include "op_support.h"

namespace einsum_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// The sum of products as it is defined: over all values of all letters. A formula without "..." and with "->".
std::vector<double> by_definition(const std::string& formula, const std::vector<Tensor>& operands) {
  const std::size_t arrow = formula.find("->");
  std::vector<std::string> terms(1);
  for (const char c : formula.substr(0, arrow)) c == ',' ? terms.emplace_back() : terms.back() += c;
  const std::string result = formula.substr(arrow + 2);
  std::map<char, std::int64_t> sizes, at;
  for (std::size_t p = 0; p < terms.size(); ++p)
    for (std::size_t i = 0; i < terms[p].size(); ++i) {
      std::int64_t& size = sizes.try_emplace(terms[p][i], 1).first->second;
      if (size == 1) size = operands[p].shape()[i];
    }
  const auto place = [&](const std::string& letters, const auto& size_at) {
    std::int64_t flat = 0;
    for (std::size_t i = 0; i < letters.size(); ++i)
      flat = flat * size_at(i) + (size_at(i) == 1 ? 0 : at[letters[i]]);
    return static_cast<std::size_t>(flat);
  };
  std::vector<std::vector<double>> values;
  for (const Tensor& t : operands) values.push_back(numbers(t));
  std::int64_t outputs = 1, all = 1;
  for (const char c : result) outputs *= sizes[c];
  for (const auto& [letter, size] : sizes) all *= size;
  std::vector<double> y(static_cast<std::size_t>(outputs));
  for (std::int64_t n = 0; n < all; ++n) {
    std::int64_t rest = n;
    for (const auto& [letter, size] : sizes) at[letter] = rest % size, rest /= size;
    double product = 1;
    for (std::size_t p = 0; p < terms.size(); ++p)
      product *= values[p][place(terms[p], [&](std::size_t i) { return operands[p].shape()[i]; })];
    y[place(result, [&](std::size_t i) { return sizes[result[i]]; })] += product;
  }
  return y;
}

struct Case {
  const char* formula;
  std::vector<Shape> shapes;
  Shape result;
};

const std::vector<Case> kCases{
    {"i->i", {{3}}, {3}},
    {"i->", {{5}}, {}},
    {"ij->ji", {{2, 3}}, {3, 2}},
    {"ij->j", {{2, 3}}, {3}},
    {"ijk->ki", {{2, 3, 4}}, {4, 2}},
    {"ii->i", {{4, 4}}, {4}},
    {"ii->", {{4, 4}}, {}},
    {"iji->j", {{3, 2, 3}}, {2}},
    {"iii->i", {{3, 3, 3}}, {3}},
    {"ijij->ji", {{2, 3, 2, 3}}, {3, 2}},
    {"->", {Shape{}}, {}},
    {",->", {Shape{}, Shape{}}, {}},
    {",ij->ij", {Shape{}, {2, 3}}, {2, 3}},
    {"i,i->", {{4}, {4}}, {}},
    {"i,i->i", {{4}, {4}}, {4}},
    {"i,j->ij", {{2}, {3}}, {2, 3}},
    {"i,j->ji", {{2}, {3}}, {3, 2}},
    {"i,j->j", {{2}, {3}}, {3}},
    {"ij,jk->ik", {{2, 3}, {3, 4}}, {2, 4}},
    {"ji,jk->ki", {{3, 2}, {3, 4}}, {4, 2}},
    {"ij,kj->ik", {{2, 3}, {4, 3}}, {2, 4}},
    {"ij,j->i", {{2, 3}, {3}}, {2}},
    {"j,jk->k", {{3}, {3, 4}}, {4}},
    {"bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}}, {2, 3, 5}},
    {"ibj,jkb->kbi", {{3, 2, 4}, {4, 5, 2}}, {5, 2, 3}},
    {"bqhd,bkhd->bhqk", {{2, 3, 2, 4}, {2, 5, 2, 4}}, {2, 2, 3, 5}},
    {"ijkl,klmj->im", {{2, 3, 4, 2}, {4, 2, 5, 3}}, {2, 5}},
    {"ij,ij->ij", {{2, 3}, {2, 3}}, {2, 3}},
    {"ij,ji->", {{2, 3}, {3, 2}}, {}},
    {"ijx,jky->ik", {{2, 3, 2}, {3, 4, 3}}, {2, 4}},
    {"ii,ij->j", {{3, 3}, {3, 2}}, {2}},
    {"ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 2}}, {2, 2}},
    {"i,i,i->i", {{3}, {3}, {3}}, {3}},
    {"bi,bj,ijo->bo", {{2, 3}, {2, 4}, {3, 4, 5}}, {2, 5}},
    {"ab,cd->dbca", {{2, 3}, {4, 2}}, {2, 3, 4, 2}},
    {"Aa,aB->AB", {{2, 3}, {3, 2}}, {2, 2}},
    {"ij,jk->ik", {{2, 1}, {3, 4}}, {2, 4}},
    {"i,ii->i", {{1}, {3, 3}}, {3}},
    {"bij,bjk->bik", {{1, 3, 4}, {2, 4, 5}}, {2, 3, 5}},
    {"ij,jk->ik", {{2, 0}, {0, 4}}, {2, 4}},
    {"ij,jk->ik", {{0, 3}, {3, 4}}, {0, 4}},
    {"ii->i", {{0, 0}}, {0}},
};

std::vector<Tensor> operands_of(const Case& c, Dtype dtype) {
  std::vector<Tensor> operands;
  for (const Shape& shape : c.shapes)
    operands.push_back(random(shape, dtype) + 0.125 * static_cast<double>(operands.size()));
  return operands;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(einsum)

BOOST_AUTO_TEST_CASE(a_result_is_the_sum_over_all_letters) {
  for (const Case& c : kCases)
    for (const Dtype dtype : {f32, f64}) {
      BOOST_TEST_CONTEXT(c.formula) {
        const std::vector<Tensor> operands = operands_of(c, dtype);
        check_tensor(tapegrad::einsum(c.formula, operands), c.result, by_definition(c.formula, operands),
                     tolerance_of(dtype, 1e-5, 1e-13));
      }
    }
}

BOOST_AUTO_TEST_CASE(gradients_are_right_to_the_second_order) {
  for (const Case& c : kCases) {
    const std::vector<Tensor> operands = operands_of(c, f64);
    if (std::ranges::any_of(operands, [](const Tensor& t) { return t.size() == 0; })) continue;
    const auto f = [&](std::span<const Tensor> in) { return square(tapegrad::einsum(c.formula, in)); };
    const auto report = gradcheck::check(f, operands, {.order = 2});
    BOOST_TEST(report.ok(), c.formula << "\n" << report.text());
  }
  // Of a product of three the third derivative is the first that is constant.
  check_tensor(derivative(
                   [](const Tensor& t) {
                     return tapegrad::einsum("i,i,i->", {t, t, t});
                   },
                   Tensor::from({2, 3}, f64), 3),
               {2}, {6, 6});
  check_tensor(
      tapegrad::einsum("i,i->", {Tensor::from({1e200, 1}, f64), Tensor::from({1e-200, 1e-300}, f64)}), {},
      {1});
}

BOOST_AUTO_TEST_CASE(without_an_arrow_letters_that_occur_once_stay) {
  const Tensor a = random({2, 3}, f64), b = random({3, 4}, f64);
  check_tensor(tapegrad::einsum("ij,jk", {a, b}), {2, 4}, by_definition("ij,jk->ik", {a, b}));
  check_tensor(tapegrad::einsum("ba", {a}), {3, 2}, by_definition("ba->ab", {a}));
  check_tensor(tapegrad::einsum("aB", {a}), {3, 2}, by_definition("aB->Ba", {a}));
  const Tensor square_matrix = random({3, 3}, f64);
  check_tensor(tapegrad::einsum("ii", {square_matrix}), {}, by_definition("ii->", {square_matrix}));
  check_tensor(tapegrad::einsum(" i j , j k ", {a, b}), {2, 4}, by_definition("ij,jk->ik", {a, b}));
}

BOOST_AUTO_TEST_CASE(an_ellipsis_is_axes_without_names) {
  const Tensor a = random({2, 3, 4, 5}, f64), b = random({3, 5, 6}, f64), m = random({5, 6}, f64);
  check_tensor(tapegrad::einsum("...ij->...ji", {a}), {2, 3, 5, 4}, by_definition("xyij->xyji", {a}));
  check_tensor(tapegrad::einsum("...ij,...jk->...ik", {a, b}), {2, 3, 4, 6},
               by_definition("xyij,yjk->xyik", {a, b}));
  check_tensor(tapegrad::einsum("...ij,jk", {a, m}), {2, 3, 4, 6}, by_definition("xyij,jk->xyik", {a, m}));
  check_tensor(tapegrad::einsum("i...->...", {a}), {3, 4, 5}, by_definition("ixyz->xyz", {a}));
  check_tensor(tapegrad::einsum("i...j->j...i", {a}), {5, 3, 4, 2}, by_definition("ixyj->jxyi", {a}));
  check_tensor(tapegrad::einsum("...ij->ij", {a}), {4, 5}, by_definition("xyij->ij", {a}));
  check_tensor(tapegrad::einsum("...,...->...", {m, random({6}, f64)}), {5, 6},
               by_definition("xy,y->xy", {m, random({6}, f64)}));
  const Tensor ones = random({2, 1, 5, 6}, f64);
  check_tensor(tapegrad::einsum("...jk,...jk->...", {ones, b}), {2, 3},
               by_definition("xyjk,yjk->xy", {ones, b}));
  check_tensor(tapegrad::einsum("...ij,jk->...ik", {a[0][0], m}), {4, 6},
               by_definition("ij,jk->ik", {a[0][0], m}));
}

BOOST_AUTO_TEST_CASE(a_formula_that_does_not_fit_is_named) {
  using tapegrad::einsum;
  const Tensor a = Tensor::zeros({2, 3}), b = Tensor::zeros({4, 5});
  BOOST_CHECK_EXCEPTION(
      einsum("ij,jk->ik", {a, b}), ShapeError,
      mentions("einsum 'ij,jk->ik'", "'j'", "size 3 in operand 0 [2, 3]", "size 4 in operand 1 [4, 5]"));
  BOOST_CHECK_EXCEPTION(einsum("ii->i", {a}), ShapeError, mentions("'i'", "size 2", "size 3", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(einsum("ijk->i", {a}), ShapeError,
                        mentions("'ijk' names 3 axes", "operand 0 is [2, 3]"));
  BOOST_CHECK_EXCEPTION(einsum("ij...k->i", {a}), ShapeError,
                        mentions("names 3 axes beside '...'", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(einsum("...i,...i->...", {a, Tensor::zeros({4, 3})}), ShapeError,
                        mentions("axis -1 of '...'", "size 2", "size 4"));
  BOOST_CHECK_EXCEPTION(einsum("ij,jk->ik", {a}), ArgumentError, mentions("of 2 operands, 1 are given"));
  BOOST_CHECK_EXCEPTION(einsum("ij", std::vector<Tensor>{}), ArgumentError,
                        mentions("of 1 operands, 0 are given"));
  BOOST_CHECK_EXCEPTION(einsum("ij->ik", {a}), ArgumentError, mentions("'k'", "no operand has"));
  BOOST_CHECK_EXCEPTION(einsum("ij->ii", {a}), ArgumentError, mentions("the result has 'i' twice"));
  BOOST_CHECK_EXCEPTION(einsum("i1->i", {a}), ArgumentError, mentions("'1' is no name of an axis"));
  BOOST_CHECK_EXCEPTION(einsum("ij->i->j", {a}), ArgumentError, mentions("'-'"));
  BOOST_CHECK_EXCEPTION(einsum("..ij", {a}), ArgumentError, mentions("'.'"));
  BOOST_CHECK_EXCEPTION(einsum("...i...", {a}), ArgumentError, mentions("'...' twice"));
  BOOST_CHECK_EXCEPTION(einsum("ij", {cast(a, i64)}), DtypeError, mentions("einsum", "operand 0", "i64"));
  BOOST_CHECK_EXCEPTION(einsum("ij,ij", {a, cast(a, f64)}), DtypeError,
                        mentions("einsum", "operand 1", "f64"));
  BOOST_CHECK_EXCEPTION(einsum("ij,ij", {a, Tensor()}), ArgumentError,
                        mentions("einsum", "operand 1", "undefined"));
  const Tensor deep = Tensor::zeros({1, 1, 1, 1, 1, 1});
  check_tensor(einsum("abcdef,ghijkl->", {deep, deep}), {}, {0});
  BOOST_CHECK_EXCEPTION(einsum("abcdef,ghijkl->abcdefghijkl", {deep, deep}), ShapeError, mentions("einsum"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace einsum_test
