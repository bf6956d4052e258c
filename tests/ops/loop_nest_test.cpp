// Loops over operands with strides: what becomes one axis, and which elements are met in which order.
#include <vector>

#include <tapegrad/ops/loops/loop_nest.h>

#include <boost/test/unit_test.hpp>

namespace loop_nest_test {

using namespace tapegrad;
using detail::broadcast_nest;
using detail::LoopNest;

namespace {

using Offsets = std::vector<std::int64_t>;

/// Where operand k stands at each position.
template <std::size_t N>
Offsets by_steps(const LoopNest<N>& nest, std::size_t k) {
  Offsets all;
  typename LoopNest<N>::Cursor at(nest);
  for (std::int64_t i = 0; i < nest.size(); ++i, at.next()) all.push_back(at[k]);
  if (nest.size() > 0) BOOST_TEST(at[k] == 0);  // after the last comes the first
  return all;
}

template <std::size_t N>
Offsets by_runs(const LoopNest<N>& nest, std::size_t k, std::int64_t begin, std::int64_t end) {
  Offsets all;
  nest.for_each_run(begin, end, [&](const auto& at, std::int64_t run) {
    for (std::int64_t j = 0; j < run; ++j) all.push_back(at[k] + j * nest.inner().stride[k]);
  });
  return all;
}

/// Every way of walking a nest agrees with the offsets expected.
template <std::size_t N>
void check_walks(const LoopNest<N>& nest, std::size_t k, const Offsets& expected) {
  const auto n = static_cast<std::int64_t>(expected.size());
  BOOST_TEST(nest.size() == n);
  BOOST_TEST(by_steps(nest, k) == expected, boost::test_tools::per_element());
  for (std::int64_t begin = 0; begin <= n; ++begin) {
    if (begin < n)
      BOOST_TEST((typename LoopNest<N>::Cursor(nest, begin))[k] == expected[static_cast<std::size_t>(begin)]);
    for (std::int64_t end = begin; end <= n; ++end) {
      const Offsets part(expected.begin() + begin, expected.begin() + end);
      BOOST_TEST(by_runs(nest, k, begin, end) == part, boost::test_tools::per_element());
    }
  }
}

/// Offsets of a row-major operand along the elements of what it broadcasts to, from the definition.
Offsets broadcast_offsets(const Shape& in, const Shape& out) {
  Offsets all;
  for (std::int64_t i = 0; i < out.size(); ++i) {
    std::int64_t rest = i, offset = 0, stride = 1;
    for (std::size_t d = out.rank(), e = in.rank(); d-- > 0;) {
      const std::int64_t index = rest % out[d];
      rest /= out[d];
      if (e == 0) continue;
      --e;
      if (in[e] != 1) offset += index * stride;
      stride *= in[e];
    }
    all.push_back(offset);
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_nest)

BOOST_AUTO_TEST_CASE(broadcast_operands_lie_as_defined) {
  const std::vector<std::pair<Shape, Shape>> pairs{{{}, {}},
                                                   {{}, {3}},
                                                   {{1}, {3}},
                                                   {{3}, {3}},
                                                   {{3}, {2, 3}},
                                                   {{2, 1}, {2, 3}},
                                                   {{2, 3}, {2, 3}},
                                                   {{1, 3}, {2, 3}},
                                                   {{1, 1}, {2, 3}},
                                                   {{2, 1, 3}, {2, 4, 3}},
                                                   {{4, 1}, {2, 4, 3}},
                                                   {{1, 4, 1}, {2, 4, 3}},
                                                   {{2, 1, 2, 1}, {2, 3, 2, 2}},
                                                   {{5, 1, 1}, {5, 1, 2}}};
  for (const auto& [in, out] : pairs) BOOST_TEST_CONTEXT(to_string(in) << " to " << to_string(out)) {
      check_walks(broadcast_nest(out, in), 0, broadcast_offsets(in, out));
      const auto both = broadcast_nest(out, out, in);
      check_walks(both, 0, broadcast_offsets(out, out));
      check_walks(both, 1, broadcast_offsets(in, out));
    }
}

BOOST_AUTO_TEST_CASE(axes_that_lie_alike_become_one) {
  BOOST_TEST(broadcast_nest(Shape{2, 3, 4}, Shape{2, 3, 4}).rank() == 1u);
  BOOST_TEST(broadcast_nest(Shape{2, 3, 4}, Shape{}).rank() == 1u);
  BOOST_TEST(broadcast_nest(Shape{2, 3, 4}, Shape{4}).rank() == 2u);
  BOOST_TEST(broadcast_nest(Shape{2, 3, 4}, Shape{3, 4}).inner().size == 12);
  BOOST_TEST(broadcast_nest(Shape{2, 3, 4}, Shape{2, 1, 4}).rank() == 3u);
  // Only where they lie alike in all operands.
  BOOST_TEST(broadcast_nest(Shape{2, 3}, Shape{2, 3}, Shape{3}).rank() == 2u);
  BOOST_TEST(broadcast_nest(Shape{1, 1}, Shape{1, 1}).rank() == 0u);
}

BOOST_AUTO_TEST_CASE(strides_of_any_sign) {
  LoopNest<2> nest;
  nest.axis(2, {3, -1});
  nest.axis(3, {-1, 2});
  check_walks(nest, 0, {0, -1, -2, 3, 2, 1});
  check_walks(nest, 1, {0, 2, 4, -1, 1, 3});
}

BOOST_AUTO_TEST_CASE(an_empty_axis_leaves_no_position) {
  for (const std::int64_t first : {0, 2}) {
    LoopNest<1> nest;
    nest.axis(first, {5});
    nest.axis(first ? 0 : 7, {1});
    nest.axis(3, {1});
    BOOST_TEST(nest.size() == 0);
    BOOST_TEST(by_runs(nest, 0, 0, 0).empty());
  }
}

BOOST_AUTO_TEST_CASE(axes_are_taken_out_and_cut) {
  LoopNest<1> nest;
  nest.axis(4, {100});
  nest.axis(3, {10});
  nest.axis(2, {1});
  check_walks(nest.first(2), 0, {0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121});
  const auto middle = nest.take(1);
  BOOST_TEST(middle.size == 3);
  BOOST_TEST(middle.stride[0] == 10);
  check_walks(nest, 0, {0, 1, 100, 101, 200, 201, 300, 301});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace loop_nest_test
