#include <cstdint>
#include <limits>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/tensor.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace shape_test {

using namespace tapegrad;
using tapegrad::test::mentions;

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(a_shape_has_sizes_of_axes_rank_and_size) {
  const Shape s{2, 3, 4};
  BOOST_TEST(s.rank() == 3U);
  BOOST_TEST(s.size() == 24);
  BOOST_TEST(s[0] == 2);
  BOOST_TEST(s.dim(-1) == 4);
  BOOST_TEST(s.dim(1) == 3);
  BOOST_TEST(
      (std::vector<std::int64_t>(s.dims().begin(), s.dims().end()) == std::vector<std::int64_t>{2, 3, 4}));
  BOOST_TEST(to_string(s) == "[2, 3, 4]");
}

BOOST_AUTO_TEST_CASE(the_empty_shape_is_a_scalar) {
  const Shape s;
  BOOST_TEST(s.rank() == 0U);
  BOOST_TEST(s.size() == 1);
  BOOST_TEST(to_string(s) == "[]");
  BOOST_TEST((s == Shape{}));
  BOOST_TEST((s != Shape{1}));
}

BOOST_AUTO_TEST_CASE(an_axis_of_no_elements_empties_a_shape) {
  BOOST_TEST((Shape{3, 0, 2}.size() == 0));
  // Where there are no elements, the sizes of the other axes may be anything whose product still fits.
  BOOST_TEST((Shape{0, std::int64_t{1} << 40}.size() == 0));
}

BOOST_AUTO_TEST_CASE(shapes_compare_by_rank_and_sizes) {
  BOOST_TEST((Shape{2, 3} == Shape{2, 3}));
  BOOST_TEST((Shape{2, 3} != Shape{3, 2}));
  BOOST_TEST((Shape{2, 3} != Shape{2, 3, 1}));
  BOOST_TEST((Shape{6} != Shape{2, 3}));
}

BOOST_AUTO_TEST_CASE(axes_are_replaced_inserted_and_removed) {
  const Shape s{2, 3, 4};
  BOOST_TEST((s.with(1, 7) == Shape{2, 7, 4}));
  BOOST_TEST((s.with(1, 0).size() == 0));
  BOOST_TEST((s.inserted(0, 5) == Shape{5, 2, 3, 4}));
  BOOST_TEST((s.inserted(3, 5) == Shape{2, 3, 4, 5}));
  BOOST_TEST((s.removed(0) == Shape{3, 4}));
  BOOST_TEST((s.removed(2) == Shape{2, 3}));
  BOOST_TEST((Shape{4}.removed(0) == Shape{}));
}

BOOST_AUTO_TEST_CASE(impossible_shapes_are_refused) {
  BOOST_CHECK_EXCEPTION((Shape{2, -1}), ShapeError, mentions("-1", "axis 1", "negative"));
  BOOST_CHECK_EXCEPTION((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError, mentions("9 axes", "8"));
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  BOOST_CHECK_EXCEPTION((Shape{kMost, 2}), ShapeError, mentions("too many"));
  BOOST_CHECK_THROW((Shape{kMost}), ShapeError);
  BOOST_CHECK_THROW((Shape{std::int64_t{1} << 32, std::int64_t{1} << 32}), ShapeError);
  // An axis of size 0 does not hide an overflow of the others: axes may later be removed.
  BOOST_CHECK_THROW((Shape{0, kMost, kMost}), ShapeError);
  BOOST_CHECK_THROW((Shape{2, 3}.with(0, -4)), ShapeError);
  BOOST_CHECK_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1}.inserted(0, 1)), ShapeError);
}

BOOST_AUTO_TEST_CASE(axes_outside_the_rank_are_refused) {
  const Shape s{2, 3};
  BOOST_CHECK_EXCEPTION(s.dim(2), ArgumentError, mentions("axis 2", "rank 2"));
  BOOST_CHECK_THROW(s.dim(-3), ArgumentError);
  BOOST_CHECK_EXCEPTION(Shape{}.dim(0), ArgumentError, mentions("scalar"));
  BOOST_CHECK_EXCEPTION(normalize_axis(5, 2, "concat"), ArgumentError, mentions("concat", "axis 5"));
  BOOST_TEST(normalize_axis(-2, 2, "concat") == 0U);
  BOOST_TEST(normalize_axis(1, 2, "concat") == 1U);
}

BOOST_AUTO_TEST_CASE(broadcasting_aligns_at_the_last_axis_and_stretches_ones) {
  BOOST_TEST((broadcast(Shape{2, 3}, Shape{2, 3}, "add") == Shape{2, 3}));
  BOOST_TEST((broadcast(Shape{2, 3}, Shape{3}, "add") == Shape{2, 3}));
  BOOST_TEST((broadcast(Shape{3}, Shape{2, 3}, "add") == Shape{2, 3}));
  BOOST_TEST((broadcast(Shape{2, 1}, Shape{1, 3}, "add") == Shape{2, 3}));
  BOOST_TEST((broadcast(Shape{}, Shape{2, 3}, "add") == Shape{2, 3}));
  BOOST_TEST((broadcast(Shape{5, 1, 4}, Shape{3, 1}, "add") == Shape{5, 3, 4}));
  BOOST_TEST((broadcast(Shape{1, 3}, Shape{0, 3}, "add") == Shape{0, 3}));
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_broadcast_are_refused_by_the_name_of_the_operation) {
  BOOST_CHECK_EXCEPTION(broadcast(Shape{2, 3}, Shape{2, 4}, "mul"), ShapeError,
                        mentions("mul", "[2, 3]", "[2, 4]", "3 and 4"));
  BOOST_CHECK_EXCEPTION(broadcast(Shape{2}, Shape{4, 3}, "mul"), ShapeError, mentions("axis -1 ", "2 and 3"));
  BOOST_CHECK_THROW(broadcast(Shape{0}, Shape{2}, "mul"), ShapeError);
  // Two that fit on their own but not together.
  BOOST_CHECK_THROW(broadcast(Shape{std::int64_t{1} << 40, 1}, Shape{1, std::int64_t{1} << 40}, "mul"),
                    ShapeError);
}

BOOST_AUTO_TEST_CASE(broadcasts_to_goes_one_way) {
  BOOST_TEST(broadcasts_to(Shape{3}, Shape{2, 3}));
  BOOST_TEST(broadcasts_to(Shape{2, 1}, Shape{2, 3}));
  BOOST_TEST(broadcasts_to(Shape{}, Shape{2, 3}));
  BOOST_TEST(!broadcasts_to(Shape{2, 3}, Shape{3}));
  BOOST_TEST(!broadcasts_to(Shape{2}, Shape{2, 3}));
  BOOST_TEST(!broadcasts_to(Shape{2, 3}, Shape{2, 1}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shape_test
