#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/tensor/sort.h>

#include "op_support.h"

namespace sorting_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// The indices of an order by selection: of what is left always the first that none precedes.
std::vector<double> selected(const std::vector<double>& x, bool descending, std::size_t count) {
  const auto precedes = [&](double a, double b) {
    const double low = descending ? b : a, high = descending ? a : b;
    return std::isnan(high) ? !std::isnan(low) : low < high;
  };
  std::vector<bool> taken(x.size());
  std::vector<double> order;
  while (order.size() < count) {
    std::size_t best = x.size();
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!taken[i] && (best == x.size() || precedes(x[i], x[best]))) best = i;
    taken[best] = true;
    order.push_back(static_cast<double>(best));
  }
  return order;
}

/// Numbers with ties, zeros of both signs, infinities and NaN.
Tensor hard(const Shape& shape, Dtype dtype) {
  Tensor x = cast(random(shape, i64, -4, 4), dtype);
  if (!is_floating(dtype)) return x;
  visit_floating(dtype, [&]<class T> {
    std::int64_t at = 0;
    for (T& v : x.mutable_values<T>()) {
      const std::int64_t i = at++ * 7919 % 31;
      if (i < 6)
        v = static_cast<T>(
            std::vector<double>{kNan, kInf, -kInf, -0.0, 1e-300, -kNan}[static_cast<std::size_t>(i)]);
    }
  });
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sorting)

BOOST_AUTO_TEST_CASE(values_come_in_order_with_their_indices) {
  const auto [values, indices] = sort(Tensor::from({{3, 1, 2}, {-1, -3, 7}}));
  check_tensor(values, {2, 3}, {1, 2, 3, -3, -1, 7});
  check_tensor(indices, {2, 3}, {1, 2, 0, 1, 0, 2});
  BOOST_CHECK(indices.dtype() == i64);
  const auto down = sort(Tensor::from({{3, 1, 2}, {-1, -3, 7}}), 0, {.descending = true});
  check_tensor(down.values, {2, 3}, {3, 1, 7, -1, -3, 2});
  check_tensor(down.indices, {2, 3}, {0, 0, 1, 1, 1, 0});
  check_tensor(argsort(Tensor::from({5, 4, 6}, i64)), {3}, {1, 0, 2});
  constexpr double kLowest = -9223372036854775808.0;
  check_tensor(argsort(Tensor::from({0, kLowest, -1, 1}, i64)), {4}, {1, 2, 0, 3});
}

BOOST_AUTO_TEST_CASE(a_nan_is_the_greatest_and_equal_ones_stay_in_place) {
  const Tensor x = Tensor::from({kNan, 1, kInf, 1, -0.0, 0, -kInf, kNan}, f64);
  check_tensor(argsort(x), {8}, {6, 4, 5, 1, 3, 2, 0, 7});
  check_tensor(argsort(x, -1, {.descending = true}), {8}, {0, 7, 2, 1, 3, 4, 5, 6});
  check_tensor(sort(x).values, {8}, {-kInf, 0, 0, 1, 1, kInf, kNan, kNan});
  check_tensor(topk(x, 3).indices, {3}, {0, 7, 2});
  check_tensor(topk(x, 5, 0, {.largest = false}).indices, {5}, {6, 4, 5, 1, 3});
}

BOOST_AUTO_TEST_CASE(any_axis_and_dtype_is_ordered_as_by_selection) {
  for (const Dtype dtype : {f32, f64, i64})
    for (const Shape& shape :
         {Shape{1}, Shape{37}, Shape{4, 33}, Shape{33, 4}, Shape{3, 17, 5}, Shape{2, 1, 40}})
      for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        const Tensor x = hard(shape, dtype);
        const auto a = static_cast<std::int64_t>(axis);
        const std::int64_t n = shape[axis];
        for (const bool descending : {false, true})
          for (const std::int64_t k : {n, (n + 1) / 2, std::int64_t{1}, std::int64_t{0}}) {
            const ValuesAndIndices top = topk(x, k, a, {.largest = descending});
            const Tensor all = argsort(x, a, {.descending = descending});
            const Tensor rows = reshape(transpose(x, a, -1), {-1, n});
            const Tensor found = reshape(transpose(top.indices, a, -1), Shape{rows.dim(0), k});
            for (std::int64_t r = 0; r < rows.dim(0); ++r)
              check_tensor(found[r], {k},
                           selected(numbers(rows[r]), descending, static_cast<std::size_t>(k)));
            check_tensor(top.indices, shape.with(axis, k), numbers(slice(all, a, 0, k)));
            check_tensor(top.values, shape.with(axis, k), numbers(gather(x, a, top.indices)));
          }
      }
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_an_order) {
  const Tensor x = hard({700, 300}, f32);
  const Tensor one = argsort(x, 0);
  set_threads(3);
  const Tensor three = argsort(x, 0);
  set_threads(1);
  BOOST_TEST(min(one == three).item() == 1);
}

BOOST_AUTO_TEST_CASE(nothing_is_sorted_to_nothing) {
  BOOST_TEST(sort(Tensor::zeros({0})).values.size() == 0);
  BOOST_TEST(to_string(argsort(Tensor::zeros({0, 3}), 0).shape()) == "[0, 3]");
  BOOST_TEST(to_string(sort(Tensor::zeros({0, 3}), 1).indices.shape()) == "[0, 3]");
  BOOST_TEST(to_string(topk(Tensor::zeros({2, 3}), 0).values.shape()) == "[2, 0]");
}

BOOST_AUTO_TEST_CASE(gradients_go_where_values_came_from) {
  const Tensor x = Tensor::from({{3, 1, 2}, {5, 6, 4}}, f64);
  const Tensor weights = Tensor::from({1, 10, 100}, f64);
  check_tensor(derivative([&](const Tensor& t) { return sort(t).values * weights; }, x), {2, 3},
               {100, 1, 10, 10, 100, 1});
  check_tensor(derivative([&](const Tensor& t) { return square(topk(t, 1).values); }, x), {2, 3},
               {6, 0, 0, 0, 12, 0});
  check_tensor(derivative([&](const Tensor& t) { return topk(t, 2, 0).values * 3; }, x, 2), {2, 3},
               {0, 0, 0, 0, 0, 0});
  // At a tie by the order that is returned.
  check_tensor(
      derivative([&](const Tensor& t) { return sort(t).values * weights; }, Tensor::from({2, 1, 2}, f64)),
      {3}, {10, 1, 100});
  const Tensor far = Tensor::from({1e30, -1e29, 3e15, 1}, f64);
  for (const Tensor& at : {x, far, Tensor::from({7}, f64)})
    for (const bool largest : {false, true}) {
      const double scale = 1 / max(abs(at)).item();
      const std::int64_t k = std::min<std::int64_t>(2, at.dim(-1));
      const auto f = [=](const Tensor& t) {
        return sin(topk(scale * t, k, -1, {.largest = largest}).values);
      };
      const auto report = gradcheck::check(f, {at}, {.order = 2});
      BOOST_TEST(report.ok(), report.text());
    }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_sorted_is_named) {
  const Tensor x = Tensor::zeros({2, 3});
  BOOST_CHECK_EXCEPTION(sort(x, 2), ArgumentError, mentions("sort", "axis 2", "rank 2"));
  BOOST_CHECK_EXCEPTION(argsort(x, -3), ArgumentError, mentions("argsort", "axis -3", "rank 2"));
  BOOST_CHECK_EXCEPTION(topk(x, 4), ArgumentError,
                        mentions("topk", "k is 4", "3 elements along axis -1", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(topk(x, -1, 0), ArgumentError, mentions("topk", "k is -1", "axis 0", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(topk(x, 1, 5), ArgumentError, mentions("topk", "5"));
  BOOST_CHECK_EXCEPTION(sort(Tensor::scalar(1)), ArgumentError, mentions("sort", "scalar"));
  BOOST_CHECK_EXCEPTION(sort(Tensor()), ArgumentError, mentions("sort", "undefined"));
  BOOST_CHECK_EXCEPTION(topk(Tensor(), 1), ArgumentError, mentions("topk", "undefined"));
}

template <class Axis>
concept Sorts = requires(const Tensor& x, Axis axis) {
  sort(x, axis);
};
template <class Axis>
concept ArgSorts = requires(const Tensor& x, Axis axis) {
  argsort(x, axis);
};
template <class Axis>
concept TakesTop = requires(const Tensor& x, Axis axis) {
  topk(x, 1, axis);
};
// As "descending" and "largest" would be given elsewhere.
static_assert(Sorts<int> && !Sorts<bool> && ArgSorts<int> && !ArgSorts<bool> && TakesTop<int> &&
              !TakesTop<bool>);

BOOST_AUTO_TEST_SUITE_END()

}  // namespace sorting_test
