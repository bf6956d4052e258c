#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace tensor_test {

using namespace tapegrad;
using tapegrad::test::mentions;

// What refers to a tensor's parts is not given by a temporary, which is gone at the end of the expression.
namespace {

template <class T>
concept gives_values = requires(T&& t) {
  std::forward<T>(t).template values<float>();
};
template <class T>
concept gives_mutable_values = requires(T&& t) {
  std::forward<T>(t).template mutable_values<float>();
};
template <class T>
concept gives_dims = requires(T&& t) {
  std::forward<T>(t).dims();
};

static_assert(gives_values<Tensor&> && gives_values<const Tensor&>);
static_assert(!gives_values<Tensor> && !gives_values<const Tensor>);
static_assert(gives_mutable_values<Tensor&> && !gives_mutable_values<Tensor>);
static_assert(gives_dims<const Shape&> && !gives_dims<Shape> && !gives_dims<const Shape>);
static_assert(std::is_same_v<decltype(std::declval<Tensor>().shape()), Shape>);
static_assert(std::is_same_v<decltype(std::declval<const Tensor&>().shape()), const Shape&>);
static_assert(std::is_same_v<decltype(std::declval<Gradients>()[Parameter()]), Tensor>);
static_assert(std::is_same_v<decltype(std::declval<const Gradients&>()[Tensor()]), const Tensor&>);

}  // namespace

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(factories_fill_with_what_they_say) {
  for (const Dtype dtype : {f32, f64, i64}) {
    BOOST_TEST((Tensor::zeros({2, 3}, dtype).shape() == Shape{2, 3}));
    visit_dtype(dtype, [&]<class T> {
      BOOST_TEST(Tensor::zeros({2, 3}, dtype).to_vector<T>() == std::vector<T>(6, T{0}));
      BOOST_TEST(Tensor::ones({2}, dtype).to_vector<T>() == std::vector<T>(2, T{1}));
      BOOST_TEST(Tensor::full({2}, -7, dtype).to_vector<T>() == std::vector<T>(2, T{-7}));
      BOOST_TEST(Tensor::eye(3, dtype).to_vector<T>() == (std::vector<T>{1, 0, 0, 0, 1, 0, 0, 0, 1}));
    });
    BOOST_TEST((Tensor::empty({4}, dtype).dtype() == dtype));
    BOOST_TEST(Tensor::scalar(5, dtype).item() == 5);
    BOOST_TEST(Tensor::scalar(5, dtype).rank() == 0U);
  }
  BOOST_TEST((Tensor::zeros({}).dtype() == f32));
  BOOST_TEST(Tensor::eye(0).size() == 0);
}

BOOST_AUTO_TEST_CASE(arange_counts_without_accumulating_errors) {
  BOOST_TEST(Tensor::arange(4).to_vector<std::int64_t>() == (std::vector<std::int64_t>{0, 1, 2, 3}));
  BOOST_TEST(Tensor::arange(5, 0, -2, f64).to_vector<double>() == (std::vector<double>{5, 3, 1}));
  BOOST_TEST(Tensor::arange(0).size() == 0);
  const std::vector<double> tenths = Tensor::arange(0, 1000, 0.1, f64).to_vector<double>();
  BOOST_TEST(tenths.size() == 10'000U);
  BOOST_TEST(tenths[9999] == 9999 * 0.1);
  BOOST_CHECK_EXCEPTION(Tensor::arange(0, 1, 0), ArgumentError, mentions("steps of 0"));
  BOOST_CHECK_EXCEPTION(Tensor::arange(0, 1, -1), ArgumentError, mentions("-1"));
  BOOST_CHECK_THROW(Tensor::arange(0, std::numeric_limits<double>::infinity()), ArgumentError);
  BOOST_CHECK_THROW(Tensor::arange(0, 1, std::nan("")), ArgumentError);
  BOOST_CHECK_THROW(Tensor::arange(-1), ArgumentError);
  BOOST_CHECK_EXCEPTION(Tensor::arange(0, 1e18), ArgumentError, mentions("too many"));
}

BOOST_AUTO_TEST_CASE(values_come_from_literals_vectors_and_spans) {
  BOOST_TEST(Tensor::from({1, 2.5, 3}).to_vector<float>() == (std::vector<float>{1, 2.5F, 3}));
  const Tensor matrix = Tensor::from({{1, 2}, {3, 4}, {5, 6}}, f64);
  BOOST_TEST((matrix.shape() == Shape{3, 2}));
  BOOST_TEST(matrix.to_vector<double>() == (std::vector<double>{1, 2, 3, 4, 5, 6}));
  BOOST_TEST((Tensor::from({1, 2, 3, 4}, Shape{2, 2}, i64).to_vector<std::int64_t>() ==
              std::vector<std::int64_t>{1, 2, 3, 4}));
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  BOOST_TEST((Tensor::from(values).dtype() == f64));
  BOOST_TEST((Tensor::from(values, Shape{2, 3}).shape() == Shape{2, 3}));
  BOOST_TEST(Tensor::from(values).to_vector<double>() == values);
  const std::vector<float> narrow{1, 2};
  BOOST_TEST((Tensor::from(std::span<const float>(narrow), Shape{2, 1}).dtype() == f32));
  BOOST_TEST(Tensor::from(std::vector<float>{}).size() == 0);

  BOOST_CHECK_EXCEPTION(Tensor::from(values, Shape{2, 2}), ShapeError, mentions("6 values", "[2, 2]", "4"));
  BOOST_CHECK_EXCEPTION(Tensor::from({{1, 2}, {3}}), ShapeError, mentions("2 and 1"));
  BOOST_CHECK_EXCEPTION(Tensor::from({1, 2, 3}, Shape{2}), ShapeError, mentions("3 values"));
}

BOOST_AUTO_TEST_CASE(copies_share_elements_and_copy_does_not) {
  Tensor a = Tensor::from({1, 2, 3});
  const Tensor b = a;
  const Tensor c = a.copy();
  a.mutable_values<float>()[0] = 9;
  BOOST_TEST(b.values<float>()[0] == 9);
  BOOST_TEST(c.values<float>()[0] == 1);
  BOOST_TEST(a.version() == 1U);
  BOOST_TEST(b.version() == 1U);
  BOOST_TEST(c.version() == 0U);
}

BOOST_AUTO_TEST_CASE(moving_leaves_the_source_undefined) {
  Tensor a = Tensor::from({1, 2, 3});
  Tensor b = std::move(a);
  BOOST_TEST(!a.defined());  // NOLINT(bugprone-use-after-move)
  BOOST_TEST(b.to_vector<float>() == (std::vector<float>{1, 2, 3}));
  Tensor c = Tensor::from({4, 5});
  c = std::move(b);
  BOOST_TEST(!b.defined());  // NOLINT(bugprone-use-after-move)
  BOOST_TEST(c.to_vector<float>() == (std::vector<float>{1, 2, 3}));
  Tensor& same = c;
  c = std::move(same);
  BOOST_TEST(c.to_vector<float>() == (std::vector<float>{1, 2, 3}));
  c = same;
  BOOST_TEST(c.to_vector<float>() == (std::vector<float>{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(assignment_gives_the_old_elements_up_at_once) {
  const auto address = [](const Tensor& t) { return t.values<float>().data(); };
  const Shape large{1 << 16};
  const float* before = address(Tensor::empty(large));
  const bool pooled = address(Tensor::empty(large)) == before;  // not in the address sanitizer's build
  Tensor a = Tensor::empty(large);
  const float* old = address(a);
  Tensor b = Tensor::full({8}, 2);
  a = std::move(b);
  BOOST_TEST(a.size() == 8);
  const Tensor c = Tensor::empty(large);
  if (pooled) BOOST_TEST(address(c) == old);
}

BOOST_AUTO_TEST_CASE(item_reads_one_element) {
  BOOST_TEST(Tensor::from({2.5}).item() == 2.5);
  BOOST_TEST(Tensor::full({1, 1, 1}, 3, i64).item() == 3);
  BOOST_CHECK_EXCEPTION(Tensor::zeros({2, 3}).item(), ShapeError, mentions("[2, 3]", "6"));
  BOOST_CHECK_THROW(Tensor::zeros({0}).item(), ShapeError);
  BOOST_CHECK_EXCEPTION(Tensor().item(), ArgumentError, mentions("undefined"));
}

BOOST_AUTO_TEST_CASE(elements_are_read_as_their_own_type_only) {
  Tensor t = Tensor::zeros({2}, f64);
  BOOST_CHECK_EXCEPTION(t.values<float>(), DtypeError, mentions("f64", "f32", "cast"));
  BOOST_CHECK_THROW(t.mutable_values<std::int64_t>(), DtypeError);
  BOOST_CHECK_THROW(t.to_vector<float>(), DtypeError);
  BOOST_TEST(t.version() == 0U);
}

BOOST_AUTO_TEST_CASE(an_undefined_tensor_has_no_elements) {
  Tensor t;
  BOOST_TEST(!t.defined());
  BOOST_TEST(!t.tracked());
  BOOST_TEST(t.version() == 0U);
  BOOST_TEST((t.shape() == Shape{}));
  BOOST_TEST((t.dtype() == f32));
  BOOST_TEST(!Tensor(t).defined());
  BOOST_TEST(!t.detach().defined());
  BOOST_CHECK_EXCEPTION(t.copy(), ArgumentError, mentions("copy:", "undefined", "assign"));
  BOOST_CHECK_EXCEPTION(t.item(), ArgumentError, mentions("item:", "undefined", "assign"));
  BOOST_CHECK_EXCEPTION(t.values<float>(), ArgumentError, mentions("values:", "undefined", "assign"));
  BOOST_CHECK_EXCEPTION(t.mutable_values<float>(), ArgumentError, mentions("mutable_values:", "undefined"));
  BOOST_CHECK_THROW(t.to_vector<float>(), ArgumentError);
  t = Tensor::ones({1});
  BOOST_TEST(t.item() == 1);
}

BOOST_AUTO_TEST_CASE(axes_count_from_the_end_as_well) {
  const Tensor t = Tensor::zeros({2, 3, 4});
  BOOST_TEST(t.dim(0) == 2);
  BOOST_TEST(t.dim(-1) == 4);
  BOOST_CHECK_EXCEPTION(t.dim(3), ArgumentError, mentions("axis 3"));
}

BOOST_AUTO_TEST_CASE(numbers_that_are_no_integers_are_refused_for_i64) {
  const double nan = std::nan("");
  BOOST_CHECK_EXCEPTION(Tensor::full({2}, nan, i64), ArgumentError, mentions("nan", "i64"));
  BOOST_CHECK_EXCEPTION(Tensor::full({2}, 1e19, i64), ArgumentError, mentions("1e+19"));
  BOOST_CHECK_EXCEPTION(Tensor::from({1, 2.5}, i64), ArgumentError, mentions("2.5"));
  BOOST_CHECK_EXCEPTION(Tensor::arange(0, 2, 0.5, i64), ArgumentError, mentions("0.5"));
  BOOST_TEST(Tensor::full({1}, -0x1p63, i64).item() == -0x1p63);
}

BOOST_AUTO_TEST_CASE(a_watched_tensor_is_tracked_and_its_detached_handle_is_not) {
  const Tensor x = Tensor::from({1, 2});
  Tensor watched;
  {
    Tape tape;
    watched = tape.watch(x);
    BOOST_TEST(watched.tracked());
    BOOST_TEST(!x.tracked());
    BOOST_TEST(!watched.detach().tracked());
    BOOST_TEST(!watched.copy().tracked());
    const Tensor detached = watched.detach();
    BOOST_TEST(detached.values<float>().data() == x.values<float>().data());
  }
  BOOST_TEST(!watched.tracked());
  BOOST_TEST(watched.to_vector<float>() == (std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tensor_test
