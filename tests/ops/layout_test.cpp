#include <algorithm>
#include <array>

#include "kernel_support.h"
#include "op_support.h"

namespace layout_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Index = std::array<std::int64_t, Shape::kMaxRank>;
using Values = std::vector<double>;
using I = std::int64_t;

Index index_of(I flat, const Shape& shape) {
  Index index{};
  for (std::size_t d = shape.rank(); d-- > 0; flat /= shape[d]) index[d] = flat % shape[d];
  return index;
}
I nondifferentiable_inputs_of(const Index& index, const Shape& shape) {
  I flat = 0;
  for (std::size_t d = 0; d < shape.rank(); ++d) flat = flat * shape[d] + index[d];
  return flat;
}

/// The op moves elements: y[i] = x[source(i)], or `fill` where the source is outside. Checks values of each
/// dtype, and that the gradient goes back the same way: by the fused rule, the recorded one, and on top of
/// another.
template <class F, class Source>
void check_moves(F&& op, const Shape& in, const Shape& out, Source&& source, double fill = 0) {
  std::vector<I> from;
  for (I i = 0; i < out.size(); ++i) {
    const Index index = source(index_of(i, out));
    bool inside = true;
    for (std::size_t d = 0; d < in.rank(); ++d) inside = inside && index[d] >= 0 && index[d] < in[d];
    from.push_back(inside ? nondifferentiable_inputs_of(index, in) : -1);
  }
  for (const Dtype dtype : {f32, f64, i64}) {
    const Tensor x = random(in, dtype, -50, 50);
    const Values values = numbers(x);
    Values expected;
    for (const I i : from) expected.push_back(i < 0 ? fill : values[static_cast<std::size_t>(i)]);
    const Tensor y = op(x);
    check_tensor(y, out, expected, 0);
    BOOST_TEST(name_of(y.dtype()) == name_of(dtype));
    if (dtype == i64) continue;
    const Tensor seed = random(out, dtype, -1, 1, 5);
    const Values weights = numbers(seed);
    Values slope(static_cast<std::size_t>(in.size()));
    for (std::size_t i = 0; i < from.size(); ++i)
      if (from[i] >= 0) slope[static_cast<std::size_t>(from[i])] += weights[i];
    for (const Record record : {Record::no, Record::yes}) {
      Tape tape;
      const Tensor leaf = tape.watch(x);
      check_tensor(tape.grad(op(leaf), leaf, {seed, record}), in, slope);
      Values twice = slope;
      for (double& v : twice) v *= 2;
      check_tensor(tape.grad(op(leaf) + op(leaf), leaf, {seed, record}), in, twice, 1e-5);
    }
  }
}

bool shares(const Tensor& a, const Tensor& b) {
  return detail::TensorAccess::storage(a) == detail::TensorAccess::storage(b);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(reshape_keeps_the_elements) {
  struct {
    Shape in, out;
  } const cases[] = {{{}, {1, 1}},  {{6}, {2, 3}}, {{2, 3}, {3, 1, 2}},
                     {{2, 3}, {6}}, {{1}, {}},     {{0, 3}, {5, 0}}};
  for (const auto& c : cases)
    check_moves([&](const Tensor& x) { return reshape(x, c.out); }, c.in, c.out,
                [&](const Index& i) { return index_of(nondifferentiable_inputs_of(i, c.out), c.in); });
  const Tensor x = random({2, 3, 4}, f64);
  BOOST_TEST(shares(x, reshape(x, {4, 6})));
  BOOST_TEST(to_string(reshape(x, {4, -1}).shape()) == "[4, 6]");
  BOOST_TEST(to_string(reshape(x, {-1}).shape()) == "[24]");
  BOOST_TEST(to_string(reshape(Tensor::zeros({0, 2}), {-1, 7}).shape()) == "[0, 7]");
  BOOST_CHECK_EXCEPTION(reshape(x, {5, 5}), ShapeError,
                        mentions("reshape", "[2, 3, 4]", "[5, 5]", "24", "25"));
  BOOST_CHECK_EXCEPTION(reshape(x, {5, -1}), ShapeError, mentions("reshape", "[2, 3, 4]", "[5, -1]"));
  BOOST_CHECK_EXCEPTION(reshape(x, {-1, -1}), ShapeError, mentions("two axes"));
  BOOST_CHECK_THROW(reshape(x, {-2, 12}), ShapeError);
  BOOST_CHECK_THROW(reshape(x, {0, -1}), ShapeError);
}

BOOST_AUTO_TEST_CASE(flatten_squeeze_unsqueeze) {
  const auto shape = [](const Tensor& t) { return to_string(t.shape()); };
  const Tensor x = random({2, 1, 3, 1}, f64);
  BOOST_TEST(shape(flatten(x)) == "[6]");
  BOOST_TEST(shape(flatten(x, 1)) == "[2, 3]");
  BOOST_TEST(shape(flatten(x, -1)) == "[2, 1, 3, 1]");
  BOOST_TEST(shape(flatten(x, 0, 2)) == "[6, 1]");
  BOOST_TEST(shape(flatten(x, 1, -2)) == "[2, 3, 1]");
  BOOST_TEST(shape(flatten(x, 1, 1)) == shape(x));
  BOOST_TEST(shape(flatten(Tensor::zeros({2, 0, 3, 4}), 1, 2)) == "[2, 0, 4]");
  BOOST_TEST(shape(flatten(Tensor::scalar(3))) == "[1]");
  BOOST_TEST(shape(flatten(Tensor::scalar(3), 0, -1)) == "[1]");
  BOOST_TEST(shape(squeeze(x)) == "[2, 3]");
  BOOST_TEST(shape(squeeze(x, -1)) == "[2, 1, 3]");
  BOOST_TEST(shape(squeeze(x, {1, 3})) == "[2, 3]");
  BOOST_TEST(shape(unsqueeze(x, 0)) == "[1, 2, 1, 3, 1]");
  BOOST_TEST(shape(unsqueeze(x, -1)) == "[2, 1, 3, 1, 1]");
  BOOST_TEST(shape(unsqueeze(Tensor::scalar(3), 0)) == "[1]");
  BOOST_TEST((shares(x, flatten(x)) && shares(x, squeeze(x)) && shares(x, unsqueeze(x, 1))));
  BOOST_CHECK_EXCEPTION(squeeze(x, 0), ShapeError, mentions("squeeze", "axis 0", "[2, 1, 3, 1]", "2"));
  BOOST_CHECK_EXCEPTION(unsqueeze(x, 5), ArgumentError, mentions("unsqueeze", "axis 5"));
  BOOST_CHECK_EXCEPTION(flatten(x, 4), ArgumentError, mentions("flatten", "axis 4"));
  BOOST_CHECK_EXCEPTION(flatten(x, 0, 4), ArgumentError, mentions("flatten", "axis 4"));
  BOOST_CHECK_EXCEPTION(flatten(x, 2, 1), ArgumentError, mentions("flatten", "axis 1", "first 2"));
}

BOOST_AUTO_TEST_CASE(tiles_of_every_size_are_transposed) {
  for_each_isa([] {
    for (const Dtype dtype : {f32, f64, i64})
      for (const I rows : {1, 7, 8, 15, 16, 17, 33, 64})
        for (const I columns : {1, 8, 16, 23, 31, 32, 49})
          for (const I batch : {1, 3}) {
            const Tensor x = random({batch, rows, columns}, dtype, -99, 99);
            const Values v = numbers(x);
            Values inner, outer;
            for (I b = 0; b < batch; ++b)
              for (I j = 0; j < columns; ++j)
                for (I i = 0; i < rows; ++i)
                  inner.push_back(v[static_cast<std::size_t>((b * rows + i) * columns + j)]);
            for (I j = 0; j < columns; ++j)
              for (I b = 0; b < batch; ++b)
                for (I i = 0; i < rows; ++i)
                  outer.push_back(v[static_cast<std::size_t>((b * rows + i) * columns + j)]);
            check_tensor(transpose(x), {batch, columns, rows}, inner);
            check_tensor(permute(x, {2, 0, 1}), {columns, batch, rows}, outer);
          }
  });
}

BOOST_AUTO_TEST_CASE(permutations) {
  const Shape in{2, 3, 4, 5};
  std::vector<I> order{0, 1, 2, 3};
  do {
    const Shape out{in[static_cast<std::size_t>(order[0])], in[static_cast<std::size_t>(order[1])],
                    in[static_cast<std::size_t>(order[2])], in[static_cast<std::size_t>(order[3])]};
    check_moves([&](const Tensor& x) { return permute(x, order); }, in, out,
                [&](const Index& i) {
                  Index from{};
                  for (std::size_t d = 0; d < 4; ++d) from[static_cast<std::size_t>(order[d])] = i[d];
                  return from;
                });
  } while (std::ranges::next_permutation(order).found);
  for (const Shape& shape : {Shape{37, 50}, Shape{1, 9}, Shape{64, 64}, Shape{0, 3}})
    check_moves([](const Tensor& x) { return transpose(x); }, shape, Shape{shape[1], shape[0]},
                [](const Index& i) {
                  return Index{i[1], i[0]};
                });
  check_moves([](const Tensor& x) { return transpose(x, 0, -1); }, {2, 33, 40}, {40, 33, 2},
              [](const Index& i) {
                return Index{i[2], i[1], i[0]};
              });
  const Tensor x = Tensor::zeros({2, 3});
  BOOST_CHECK_EXCEPTION(permute(x, {0, 0}), ArgumentError, mentions("permute", "[0, 0]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(permute(x, {0}), ArgumentError, mentions("permute", "[0]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(permute(x, {0, 1, 2}), ArgumentError, mentions("permute", "[0, 1, 2]"));
  BOOST_CHECK_EXCEPTION(permute(x, {0, 2}), ArgumentError, mentions("permute", "axis 2"));
  BOOST_CHECK_EXCEPTION(transpose(Tensor::zeros({3})), ShapeError, mentions("transpose", "[3]", "unsqueeze"));
  BOOST_CHECK_THROW(transpose(x, 0, 2), ArgumentError);
}

BOOST_AUTO_TEST_CASE(flips) {
  for (const AxisMask mask : {AxisMask{0}, AxisMask{1}, AxisMask{2}, AxisMask{5}, AxisMask{7}}) {
    std::vector<I> axes;
    for (I a = 0; a < 3; ++a)
      if (mask >> a & 1) axes.push_back(a);
    const Shape shape{3, 4, 5};
    check_moves([&](const Tensor& x) { return flip(x, Axes(std::span<const I>(axes))); }, shape, shape,
                [&](Index i) {
                  for (const I a : axes)
                    i[static_cast<std::size_t>(a)] =
                        shape[static_cast<std::size_t>(a)] - 1 - i[static_cast<std::size_t>(a)];
                  return i;
                });
  }
  BOOST_CHECK_EXCEPTION(flip(Tensor::zeros({2}), 1), ArgumentError, mentions("flip", "axis 1"));
}

BOOST_AUTO_TEST_CASE(slices_follow_python) {
  // begin, end, step and what Python takes of range(7).
  struct {
    I begin, end, step;
    std::vector<I> taken;
  } const cases[] = {
      {0, 7, 1, {0, 1, 2, 3, 4, 5, 6}},
      {2, 5, 1, {2, 3, 4}},
      {-3, -1, 1, {4, 5}},
      {5, 2, 1, {}},
      {1, kToEnd, 3, {1, 4}},
      {0, kToEnd, 100, {0}},
      {-100, 100, 2, {0, 2, 4, 6}},
      {100, 200, 1, {}},
      {kToStart, 2, 1, {0, 1}},
      {kToEnd, kToStart, -1, {6, 5, 4, 3, 2, 1, 0}},
      {5, 1, -2, {5, 3}},
      {-2, 0, -1, {5, 4, 3, 2, 1}},
      {1, 5, -1, {}},
      {3, kToStart, kToStart, {3}},
      {2, kToEnd, kToEnd, {2}},
  };
  for (const auto& c : cases)
    for (const std::size_t axis : {0u, 1u, 2u}) {
      BOOST_TEST_CONTEXT(c.begin << ":" << c.end << ":" << c.step << " of axis " << axis) {
        const Shape in = Shape{2, 3, 4}.with(axis, 7);
        check_moves(
            [&](const Tensor& x) { return slice(x, static_cast<I>(axis) - 3, c.begin, c.end, c.step); }, in,
            in.with(axis, static_cast<I>(c.taken.size())),
            [&](Index i) {
              i[axis] = c.taken[static_cast<std::size_t>(i[axis])];
              return i;
            });
      }
    }
  const Tensor x = random({1, 5, 3}, f64);
  BOOST_TEST(shares(x, slice(x, 0, 0, 1)));
  BOOST_TEST(shares(x, slice(x, 1, 2, 4)));
  BOOST_TEST(!shares(x, slice(x, 2, 0, 2)));
  BOOST_TEST(!shares(x, slice(x, 1, 0, 5, 2)));
  BOOST_CHECK_EXCEPTION(slice(x, 0, 0, 1, 0), ArgumentError, mentions("slice", "step is 0", "1 for each"));
  BOOST_CHECK_EXCEPTION(slice(x, 3, 0), ArgumentError, mentions("slice", "axis 3"));
}

BOOST_AUTO_TEST_CASE(a_view_shares_elements_and_their_version) {
  Tensor x = Tensor::from({{1, 2}, {3, 4}, {5, 6}}, f64);
  Tensor row = select(x, 0, -1);
  row.mutable_values<double>()[0] = 50;
  check_tensor(x, {3, 2}, {1, 2, 3, 4, 50, 6});
  Tape tape;
  const Tensor leaf = tape.watch(x);
  const Tensor y = square(slice(leaf, 0, 1));
  row.mutable_values<double>()[1] = 60;
  BOOST_CHECK_EXCEPTION(tape.backward(sum(y)), MutatedSaved, mentions("square"));
}

BOOST_AUTO_TEST_CASE(select_takes_one) {
  for (const I index : {0, 2, -1, -3})
    for (const std::size_t axis : {0u, 1u, 2u}) {
      const Shape in = Shape{2, 4, 5}.with(axis, 3);
      check_moves([&](const Tensor& x) { return select(x, static_cast<I>(axis), index); }, in,
                  in.removed(axis),
                  [&](const Index& i) {
                    Index from{};
                    for (std::size_t d = 0, o = 0; d < 3; ++d) from[d] = d == axis ? (index + 3) % 3 : i[o++];
                    return from;
                  });
    }
  BOOST_CHECK_EXCEPTION(select(Tensor::zeros({2, 3}), 1, 3), ArgumentError,
                        mentions("select", "index 3", "axis 1", "[2, 3]"));
  BOOST_CHECK_THROW(select(Tensor::zeros({2, 3}), 1, -4), ArgumentError);
}

BOOST_AUTO_TEST_CASE(split_and_concat_are_inverse) {
  for (const I axis : {0, 1, -1})
    for (const std::vector<I>& sizes : {std::vector<I>{6}, {1, 2, 3}, {0, 6, 0}, {3, 3}}) {
      const Tensor x = random(Shape{6, 6, 6}, f64);
      const std::vector<Tensor> parts = split(x, sizes, axis);
      BOOST_TEST_REQUIRE(parts.size() == sizes.size());
      I begin = 0;
      for (std::size_t p = 0; p < parts.size(); ++p) {
        const Tensor expected = slice(x, axis, begin, begin + sizes[p]);
        check_tensor(parts[p], expected.shape(), numbers(expected));
        BOOST_TEST(shares(x, parts[p]) == (axis == 0));
        begin += sizes[p];
      }
      check_moves([&](const Tensor& t) { return concat(split(t, sizes, axis), axis); }, {6, 6, 6}, {6, 6, 6},
                  [](const Index& i) { return i; });
    }
  const Tensor x = Tensor::zeros({4, 6});
  BOOST_TEST(split(x, 3, 1).size() == 3);
  BOOST_TEST(to_string(split(x, {1, 3})[1].shape()) == "[3, 6]");
  BOOST_CHECK_EXCEPTION(split(x, 3), ShapeError, mentions("split", "axis 0", "[4, 6]", "3"));
  BOOST_CHECK_THROW(split(x, 0), ShapeError);
  BOOST_CHECK_EXCEPTION(split(x, {2, 3}), ShapeError, mentions("split", "[2, 3]", "[4, 6]"));
  BOOST_CHECK_THROW(split(x, {5, -1}), ShapeError);
  BOOST_CHECK_THROW(split(x, {kToEnd, kToEnd, 6}), ShapeError);
}

BOOST_AUTO_TEST_CASE(concat_and_stack) {
  const Tensor a = Tensor::from({{1, 2}, {3, 4}}, f64), b = Tensor::from({{5, 6}}, f64);
  check_tensor(concat({a, b, a}), {5, 2}, {1, 2, 3, 4, 5, 6, 1, 2, 3, 4});
  check_tensor(concat({a, transpose(b)}, 1), {2, 3}, {1, 2, 5, 3, 4, 6});
  check_tensor(stack({a, a + 10}, 0), {2, 2, 2}, {1, 2, 3, 4, 11, 12, 13, 14});
  check_tensor(stack({a, a + 10}, 1), {2, 2, 2}, {1, 2, 11, 12, 3, 4, 13, 14});
  check_tensor(stack({a, a + 10}, -1), {2, 2, 2}, {1, 11, 2, 12, 3, 13, 4, 14});
  check_tensor(stack({Tensor::scalar(1, i64), Tensor::scalar(2, i64)}), {2}, {1, 2});
  for (const I axis : {0, 1, 2}) {
    const auto twice = [&](const Tensor& x) { return sum(stack({x, 2 * x, x * x}, axis)); };
    check_tensor(derivative(twice, a), {2, 2}, {5, 7, 9, 11});
  }
  // More parts than a node has room for inline, one of them a constant.
  std::vector<Tensor> many(20, b);
  Tape tape;
  const Tensor x = tape.watch(a);
  many[13] = x;
  check_tensor(tape.grad(sum(square(concat(many))), x), {2, 2}, {2, 4, 6, 8});
  BOOST_TEST(sum(concat(std::vector<Tensor>(70000, Tensor::ones({1, 2}, f64)))).item() == 140000);
  BOOST_CHECK_EXCEPTION(concat({a, b}, 1), ShapeError, mentions("concat", "[2, 2]", "[1, 2]", "axis 1"));
  BOOST_CHECK_EXCEPTION(concat({a, Tensor::zeros({2}, f64)}), ShapeError,
                        mentions("concat", "part 1", "[2]"));
  BOOST_CHECK_EXCEPTION(concat({a, cast(b, f32)}), DtypeError, mentions("concat", "f64", "part 1", "f32"));
  BOOST_CHECK_EXCEPTION(concat(std::vector<Tensor>{}), ArgumentError,
                        mentions("concat", "no tensors", "at least one"));
  BOOST_CHECK_EXCEPTION(concat({a, Tensor()}), ArgumentError,
                        mentions("concat", "input 1", "undefined", "assign"));
  BOOST_CHECK_EXCEPTION(concat({Tensor::scalar(1), Tensor::scalar(1)}), ArgumentError,
                        mentions("concat", "scalar"));
  BOOST_CHECK_EXCEPTION(stack({a, b}), ShapeError, mentions("stack", "[2, 2]", "[1, 2]"));
}

BOOST_AUTO_TEST_CASE(pads) {
  const std::vector<std::vector<Padding>> cases{
      {{0, 0}, {0, 0}, {0, 0}}, {{1, 2}, {0, 0}, {0, 0}}, {{0, 0}, {3, 0}, {0, 1}}, {{1, 1}, {1, 1}, {1, 1}}};
  for (const auto& p : cases)
    for (const Shape& in : {Shape{2, 3, 4}, Shape{2, 0, 1}})
      check_moves([&](const Tensor& x) { return pad(x, p, 3); }, in,
                  {in[0] + p[0].before + p[0].after, in[1] + p[1].before + p[1].after,
                   in[2] + p[2].before + p[2].after},
                  [&](Index i) {
                    for (std::size_t d = 0; d < 3; ++d) i[d] -= p[d].before;
                    return i;
                  },
                  3);
  const Tensor x = Tensor::zeros({2, 3});
  BOOST_CHECK_EXCEPTION(pad(x, {{1, 1}}), ArgumentError, mentions("pad", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(pad(x, {{1, 1}, {-1, 0}}), ArgumentError, mentions("pad", "-1", "axis 1"));
  BOOST_CHECK_THROW(pad(x, {{kToEnd, kToEnd}, {0, 0}}), Error);
  BOOST_CHECK_THROW(pad(Tensor::zeros({1}, i64), {{1, 1}}, 0.5), DtypeError);
}

BOOST_AUTO_TEST_CASE(broadcast_to_copies) {
  struct {
    Shape in, out;
  } const cases[] = {
      {{}, {2, 3}},     {{3}, {2, 3}}, {{2, 1}, {2, 3}}, {{1, 3, 1}, {2, 3, 5}}, {{2, 1, 3}, {4, 2, 600, 3}},
      {{2, 3}, {2, 3}}, {{1}, {0}}};
  for (const auto& c : cases) {
    const auto from = broadcast_index(c.in, c.out);
    check_moves([&](const Tensor& x) { return broadcast_to(x, c.out); }, c.in, c.out,
                [&](const Index& i) {
                  return index_of(
                      static_cast<I>(from[static_cast<std::size_t>(nondifferentiable_inputs_of(i, c.out))]),
                      c.in);
                });
  }
  BOOST_CHECK_EXCEPTION(broadcast_to(Tensor::zeros({2, 3}), {2, 4}), ShapeError,
                        mentions("broadcast_to", "[2, 3]", "[2, 4]"));
  BOOST_CHECK_THROW(broadcast_to(Tensor::zeros({2, 3}), {3}), ShapeError);
}

BOOST_AUTO_TEST_CASE(second_derivatives_pass_through) {
  const auto f = [](const Tensor& x) {
    const Tensor t = flip(transpose(reshape(x, {2, 3})), 0);
    return square(
        slice(pad(broadcast_to(select(t, 1, 1), {2, 3}), {{0, 1}, {1, 0}}), 1, kToEnd, kToStart, -2));
  };
  check_tensor(derivative(f, Tensor::from({1, 2, 3, 4, 5, 6}, f64), 2), {6}, {0, 0, 0, 4, 0, 4});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace layout_test
