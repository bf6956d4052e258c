#include "op_support.h"

namespace indexing_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(indexing)

BOOST_AUTO_TEST_CASE(gather_picks_elements) {
  const Tensor x = Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64);
  const Tensor columns = Tensor::from({{2, 2, 0, 1}, {0, 0, 0, 1}}, i64);
  check_tensor(gather(x, 1, columns), {2, 4}, {3, 3, 1, 2, 4, 4, 4, 5});
  check_tensor(gather(x, 0, Tensor::from({{1, 0, 1}}, i64)), {1, 3}, {4, 2, 6});
  check_tensor(gather(cast(x, i64), -1, columns), {2, 4}, {3, 3, 1, 2, 4, 4, 4, 5});
  check_tensor(gather(x, 1, Tensor::zeros({2, 0}, i64)), {2, 0}, {});
  const auto f = [&](const Tensor& t) { return gather(t, 1, columns); };
  check_tensor(derivative(f, x), {2, 3}, {1, 1, 2, 3, 1, 0});
  check_tensor(derivative([&](const Tensor& t) { return square(f(t)); }, x, 2), {2, 3}, {2, 2, 4, 6, 2, 0});
  check_tensor(derivative([&](const Tensor& t) { return f(t) + f(t); }, cast(x, f32)), {2, 3},
               {2, 2, 4, 6, 2, 0});
}

BOOST_AUTO_TEST_CASE(scatter_add_adds_equal_indices_up) {
  const Tensor x = Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64), src = Tensor::from({{10, 20}, {30, 40}}, f64);
  const Tensor columns = Tensor::from({{2, 2}, {0, 1}}, i64);
  check_tensor(scatter_add(x, 1, columns, src), {2, 3}, {1, 2, 33, 34, 45, 6});
  check_tensor(scatter_add(cast(x, i64), 1, columns, cast(src, i64)), {2, 3}, {1, 2, 33, 34, 45, 6});
  check_tensor(x, {2, 3}, {1, 2, 3, 4, 5, 6});
  check_tensor(derivative([&](const Tensor& t) { return square(scatter_add(t, 1, columns, src)); }, x),
               {2, 3}, {2, 4, 66, 68, 90, 12});
  const auto in_src = [&](const Tensor& t) { return square(scatter_add(x, 1, columns, t)); };
  check_tensor(derivative(in_src, src), {2, 2}, {66, 66, 68, 90});
  check_tensor(derivative(in_src, src, 2), {2, 2}, {4, 4, 2, 2});
}

BOOST_AUTO_TEST_CASE(entries_of_any_length_are_picked_from_any_number_of_places) {
  for (const Dtype dtype : {f32, f64, i64})
    for (const std::int64_t outer : {0, 1, 2, 3, 4, 7})
      for (const std::int64_t inner : {0, 1, 2, 3, 4, 7, 8, 9, 40})
        for (const std::int64_t count : {0, 1, 2, 37}) {
          const Tensor x = random({outer, 5, inner}, dtype, -50, 50);
          std::vector<std::int64_t> picked;
          for (std::int64_t j = 0; j < count; ++j) picked.push_back(j * 7 % 5);
          const Tensor y = index_select(x, 1, Tensor::from(picked));
          std::vector<double> expected;
          const std::vector<double> v = numbers(x);
          for (std::int64_t o = 0; o < outer; ++o)
            for (const std::int64_t j : picked)
              for (std::int64_t i = 0; i < inner; ++i)
                expected.push_back(v[static_cast<std::size_t>((o * 5 + j) * inner + i)]);
          check_tensor(y, {outer, count, inner}, expected);
        }
}

BOOST_AUTO_TEST_CASE(index_select_picks_entries) {
  const Tensor x = random({3, 4, 5}, f64);
  const Tensor picked = Tensor::from({2, 0, 2}, i64);
  for (const std::int64_t axis : {0, 1, 2, -1}) {
    const Tensor y = index_select(x, axis, picked);
    check_tensor(y, y.shape(),
                 numbers(concat({slice(x, axis, 2, 3), slice(x, axis, 0, 1), slice(x, axis, 2, 3)}, axis)));
    const auto f = [&](const Tensor& t) { return square(index_select(t, axis, picked)); };
    const auto g = [&](const Tensor& t) {
      return square(slice(t, axis, 0, 1)) + 2 * square(slice(t, axis, 2, 3));
    };
    for (const int order : {1, 2})
      check_tensor(derivative(f, x, order), {3, 4, 5}, numbers(derivative(g, x, order)));
  }
  check_tensor(index_select(Tensor::from({7, 8, 9}, i64), 0, picked), {3}, {9, 7, 9});
  check_tensor(index_select(x, 0, Tensor::zeros({0}, i64)), {0, 4, 5}, {});
  check_tensor(index_select(Tensor::zeros({3, 0}), 0, picked), {3, 0}, {});
}

BOOST_AUTO_TEST_CASE(index_add_adds_entries) {
  const Tensor x = Tensor::from({{1, 2}, {3, 4}, {5, 6}}, f64), src = Tensor::from({{10, 20}, {30, 40}}, f64);
  const Tensor rows = Tensor::from({2, 2}, i64);
  check_tensor(index_add(x, 0, rows, src), {3, 2}, {1, 2, 3, 4, 45, 66});
  check_tensor(index_add(transpose(x), -1, rows, transpose(src)), {2, 3}, {1, 3, 45, 2, 4, 66});
  check_tensor(derivative([&](const Tensor& t) { return square(index_add(x, 0, rows, t)); }, src), {2, 2},
               {90, 132, 90, 132});
  check_tensor(derivative([&](const Tensor& t) { return square(index_add(t, 0, rows, src)); }, x, 2), {3, 2},
               {2, 2, 2, 2, 2, 2});
}

// Larger than a block of the loops, along rows and along columns.
BOOST_AUTO_TEST_CASE(large_picks_follow_the_definition) {
  struct Layout {
    std::int64_t outer, size, inner, count;
  };
  for (const auto& [outer, size, inner, count] :
       {Layout{1, 7, 401, 300}, Layout{300, 7, 1, 211}, Layout{3, 5, 130, 300}, Layout{1, 11, 1, 70'000}}) {
    const Tensor x = random({outer, size, inner}, f64), src = random({outer, count, inner}, f64, -2, 2, 2);
    const Tensor elements = random({outer, count, inner}, i64, 0, static_cast<double>(size - 1), 3);
    const Tensor entries = random({count}, i64, 0, static_cast<double>(size - 1), 4);
    const auto at = [](const Tensor& t, std::int64_t i) {
      return t.values<std::int64_t>()[static_cast<std::size_t>(i)];
    };
    std::vector<double> gathered, selected, scattered = numbers(x), added = numbers(x);
    const std::vector<double> xs = numbers(x), from = numbers(src);
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t j = 0; j < count; ++j)
        for (std::int64_t i = 0; i < inner; ++i) {
          const std::int64_t flat = (o * count + j) * inner + i;
          const auto element = static_cast<std::size_t>((o * size + at(elements, flat)) * inner + i);
          const auto entry = static_cast<std::size_t>((o * size + at(entries, j)) * inner + i);
          gathered.push_back(xs[element]);
          selected.push_back(xs[entry]);
          scattered[element] += from[static_cast<std::size_t>(flat)];
          added[entry] += from[static_cast<std::size_t>(flat)];
        }
    BOOST_TEST((numbers(gather(x, 1, elements)) == gathered));
    BOOST_TEST((numbers(index_select(x, 1, entries)) == selected));
    BOOST_TEST((numbers(scatter_add(x, 1, elements, src)) == scattered));
    BOOST_TEST((numbers(index_add(x, 1, entries, src)) == added));
  }
  Tensor far = Tensor::zeros({100'000}, i64);
  for (const std::size_t i : {70'001, 99'999}) far.mutable_values<std::int64_t>()[i] = 3;
  BOOST_CHECK_EXCEPTION(index_select(Tensor::zeros({3}), 0, far), ArgumentError,
                        mentions("index 3", "[70001]"));
}

BOOST_AUTO_TEST_CASE(one_hot_marks_labels) {
  check_tensor(one_hot(Tensor::from({2, 0}, i64), 3), {2, 3}, {0, 0, 1, 1, 0, 0});
  check_tensor(one_hot(Tensor::from({1, 0}, {2, 1}, i64), 2, i64), {2, 1, 2}, {0, 1, 1, 0});
  check_tensor(one_hot(Tensor::scalar(1, i64), 2, f64), {2}, {0, 1});
  check_tensor(one_hot(Tensor::zeros({0}, i64), 4), {0, 4}, {});
  BOOST_CHECK_EXCEPTION(one_hot(Tensor::from({0, 3}, i64), 3), ArgumentError,
                        mentions("one_hot", "index 3", "[1]", "[0, 3)"));
  BOOST_CHECK_EXCEPTION(one_hot(Tensor::from({-1}, i64), 3), ArgumentError, mentions("one_hot", "-1"));
  BOOST_CHECK_EXCEPTION(one_hot(Tensor::from({1}), 3), DtypeError, mentions("one_hot", "f32", "i64"));
  BOOST_CHECK_EXCEPTION(one_hot(Tensor::from({1}, i64), -3), ArgumentError,
                        mentions("-3 classes", "at least 0"));
  BOOST_CHECK_THROW(one_hot(Tensor::from({0}, i64), std::numeric_limits<std::int64_t>::max()), Error);
}

BOOST_AUTO_TEST_CASE(indices_outside_are_named) {
  const Tensor x = Tensor::zeros({2, 3}), src = Tensor::zeros({2, 1});
  const Tensor high = Tensor::from({0, 3}, {2, 1}, i64), negative = Tensor::from({0, -1}, {2, 1}, i64);
  BOOST_CHECK_EXCEPTION(gather(x, 1, high), ArgumentError, mentions("gather", "index 3", "[1, 0]", "[0, 3)"));
  BOOST_CHECK_EXCEPTION(gather(x, 1, negative), ArgumentError, mentions("gather", "index -1", "[0, 3)"));
  BOOST_CHECK_EXCEPTION(scatter_add(x, 1, high, src), ArgumentError,
                        mentions("scatter_add", "index 3", "[0, 3)"));
  BOOST_CHECK_EXCEPTION(index_select(x, 0, Tensor::from({1, 2}, i64)), ArgumentError,
                        mentions("index_select", "index 2", "[1]", "[0, 2)"));
  BOOST_CHECK_EXCEPTION(index_add(x, 0, Tensor::from({2}, i64), Tensor::zeros({1, 3})), ArgumentError,
                        mentions("index_add", "index 2"));
}

BOOST_AUTO_TEST_CASE(indices_changed_behind_the_tape_are_not_read_out_of_bounds) {
  Tensor picked = Tensor::from({1, 0}, i64);
  const auto writable = picked.mutable_values<std::int64_t>();
  Tape tape;
  const Tensor x = tape.watch(Tensor::zeros({2, 3}));
  const Tensor y = index_select(x, 0, picked);
  writable[0] = 1'000'000'000;
  BOOST_CHECK_EXCEPTION(tape.grad(sum(y), x), ArgumentError, mentions("index_select", "1000000000"));
}

BOOST_AUTO_TEST_CASE(shapes_and_dtypes_must_fit) {
  const Tensor x = Tensor::zeros({2, 3}), index = Tensor::zeros({2, 4}, i64);
  BOOST_CHECK_EXCEPTION(gather(x, 0, index), ShapeError, mentions("gather", "[2, 4]", "[2, 3]", "axis 0"));
  BOOST_CHECK_EXCEPTION(gather(x, 1, Tensor::zeros({2}, i64)), ShapeError,
                        mentions("gather", "[2]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(gather(x, 1, x), DtypeError, mentions("gather", "f32", "i64"));
  BOOST_CHECK_EXCEPTION(scatter_add(x, 1, index, x), ShapeError, mentions("scatter_add", "[2, 4]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(scatter_add(x, 1, index, Tensor::zeros({2, 4}, f64)), DtypeError,
                        mentions("scatter_add", "f32", "f64"));
  BOOST_CHECK_EXCEPTION(index_select(x, 0, index), ShapeError, mentions("index_select", "[2, 4]", "vector"));
  BOOST_CHECK_EXCEPTION(index_add(x, 0, Tensor::zeros({4}, i64), x), ShapeError,
                        mentions("index_add", "[2, 3]", "[4, 3]"));
  BOOST_CHECK_EXCEPTION(gather(x, 2, index), ArgumentError, mentions("gather", "axis 2"));
  BOOST_CHECK_EXCEPTION(gather(Tensor::scalar(1), 0, index), ArgumentError, mentions("gather", "scalar"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace indexing_test
