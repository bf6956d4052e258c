#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "onnx_messages.h"
#include "onnx_support.h"

namespace onnx_operators_test {

// Operators of models that other tools wrote, where they are something else than the library's operations.
// tests/interchange/onnx/node_cases.py has ONNX's own cases of all.

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// The format's numbers of element types.
enum : std::int64_t { kF32 = 1, kI32 = 6, kI64 = 7, kText = 8, kBoolean = 9, kF16 = 10 };

struct Input {
  std::string name;
  std::vector<std::int64_t> dims;
  std::int64_t element = kF32;
};

struct Fixture : OnnxFile {
  /// The model of one node, whose first output is the model's.
  std::unique_ptr<nn::OnnxModel> load(const Message& node, const std::vector<Input>& inputs,
                                      const std::vector<Message>& initializers = {},
                                      const std::string& output = "y") const {
    Message g;
    g.message(field::graph::node, node);
    for (const Input& i : inputs) g.message(field::graph::input, info_message(i.name, i.dims, i.element));
    for (const Message& t : initializers) g.message(field::graph::initializer, t);
    g.message(field::graph::output, info_message(output, {}));
    write_file(path, model_of(g).bytes());
    return nn::load_onnx(path);
  }
};

template <class T>
Message tensor_of(const std::string& name, std::int64_t element, const std::vector<T>& values) {
  const std::string_view raw(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return tensor_message(name, {static_cast<std::int64_t>(values.size())}, element, raw);
}

std::string text_of(const Tensor& t) { return fmt::format("{} {}", name_of(t.dtype()), t); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(onnx_operators, Fixture)

BOOST_AUTO_TEST_CASE(integers_are_divided_towards_zero) {
  const auto model = load(node_message("Div", {"a", "b"}, {"y"}), {{"a", {2, 3}, kI64}, {"b", {3}, kI64}});
  const Tensor a = Tensor::from({{7, -7, 9}, {-1, 0, 5}}, i64);
  BOOST_TEST(text_of(model->run({a, Tensor::from({2, 2, -1}, i64)})[0]) ==
             "i64 [[ 3, -3, -9],\n [ 0,  0, -5]]");
  BOOST_CHECK_EXCEPTION(model->run({a, Tensor::from({2, 0, 1}, i64)}), FileError,
                        mentions("Div_of_y", "divides -7 by 0"));
  const auto filled = [](std::int64_t value) {
    return reshape(Tensor::from(std::vector<std::int64_t>(6, value)), {2, 3});
  };
  const Tensor least = filled(std::numeric_limits<std::int64_t>::min());
  BOOST_CHECK_EXCEPTION(model->run({least, Tensor::from({-1, -1, -1}, i64)}), FileError,
                        mentions("above the largest integer"));
  // Exactly, beyond what f64 holds.
  const Tensor large = filled(std::numeric_limits<std::int64_t>::max());
  BOOST_TEST((model->run({large, Tensor::from({1, 1, 1}, i64)})[0].to_vector<std::int64_t>() ==
              large.to_vector<std::int64_t>()));
}

BOOST_AUTO_TEST_CASE(integers_have_exact_powers) {
  const auto model = load(node_message("Pow", {"a", "b"}, {"y"}), {{"a", {}, kI64}, {"b", {}, kI64}});
  const auto power = [&](std::int64_t base, std::int64_t exponent) {
    return model->run({Tensor::from(std::vector{base}), Tensor::from(std::vector{exponent})})[0]
        .to_vector<std::int64_t>()[0];
  };
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t base = -12; base <= 12; ++base) {
    std::int64_t expected = 1;
    for (std::int64_t exponent = 0;; ++exponent) {
      BOOST_TEST(power(base, exponent) == expected);
      if (exponent == 70) break;  // of 0, 1 and -1
      if (!__builtin_mul_overflow(expected, base, &expected)) continue;
      BOOST_CHECK_EXCEPTION(
          power(base, exponent + 1), FileError,
          mentions("the node 'Pow_of_y' (Pow)", fmt::format("{} to the power {}", base, exponent + 1),
                   "cast its inputs"));
      break;
    }
  }
  BOOST_TEST(power(3, 39) == 4052555153018976267);
  BOOST_TEST(power(7, 21) == 558545864083284007);
  BOOST_TEST(power(-2, 63) == kLeast);
  BOOST_TEST(power(kMost, 1) == kMost);
  BOOST_TEST(power(-1, kMost) == -1);
  BOOST_CHECK_THROW(power(2, kMost), FileError);
  // Fractions towards zero.
  BOOST_TEST(power(2, -1) == 0);
  BOOST_TEST(power(-5, kLeast) == 0);
  BOOST_TEST(power(1, kLeast) == 1);
  BOOST_TEST(power(-1, -3) == -1);
  BOOST_TEST(power(-1, -4) == 1);
  BOOST_CHECK_EXCEPTION(power(0, -1), FileError, mentions("Pow_of_y", "0 to the power -1", "infinite"));
  BOOST_TEST(
      text_of(model->run({Tensor::from({2, -3}, i64), reshape(Tensor::from({3, 0}, i64), {2, 1})})[0]) ==
      "i64 [[  8, -27],\n [  1,   1]]");

  const auto floating = load(node_message("Pow", {"a", "b"}, {"y"}), {{"a", {2}, kI64}, {"b", {2}}});
  BOOST_TEST(text_of(floating->run({Tensor::from({2, 9}, i64), Tensor::from({1.5, 0.5})})[0]) ==
             "i64 [2, 3]");
  BOOST_CHECK_EXCEPTION(floating->run({Tensor::from({2, -9}, i64), Tensor::from({1.5, 0.5})}), FileError,
                        mentions("Pow_of_y", "makes an integer of", "nan"));
}

BOOST_AUTO_TEST_CASE(inputs_of_other_types_are_given_as_the_type_that_holds_them) {
  const auto negated = load(node_message("Not", {"x"}, {"y"}), {{"x", {3}, kBoolean}});
  BOOST_TEST(text_of((*negated)(Tensor::from({0, 1, 2}, i64))) == "i64 [1, 0, 0]");
  const auto both =
      load(node_message("And", {"a", "b"}, {"y"}), {{"a", {2}, kBoolean}, {"b", {2}, kBoolean}});
  BOOST_TEST(text_of(both->run({Tensor::from({2, 2}, i64), Tensor::from({3, 0}, i64)})[0]) == "i64 [1, 0]");
  const auto indexed = load(node_message("Gather", {"table", "x"}, {"y"}), {{"x", {2}, kI32}},
                            {tensor_of<float>("table", kF32, {5, 6, 7})});
  BOOST_TEST(text_of((*indexed)(Tensor::from({2, 0}, i64))) == "f32 [7, 5]");
  BOOST_CHECK_EXCEPTION((*indexed)(Tensor::from({2, 0})), DtypeError,
                        mentions("'x' is of f32; the model takes i64 in place of its i32"));
  const auto half = load(node_message("Neg", {"x"}, {"y"}), {{"x", {2}, kF16}});
  BOOST_TEST(text_of((*half)(Tensor::from({2.5, 0.5}))) == "f32 [-2.5, -0.5]");
  BOOST_CHECK_EXCEPTION((*half)(Tensor::from({2, 0}, f64)), DtypeError,
                        mentions("takes f32 in place of its f16"));
  const auto plain = load(node_message("Neg", {"x"}, {"y"}), {{"x", {2}, kF32}});
  BOOST_CHECK_EXCEPTION((*plain)(Tensor::from({2, 0}, f64)), DtypeError,
                        mentions("of f64; the model takes f32"));
  BOOST_CHECK_EXCEPTION(load(node_message("Neg", {"x"}, {"y"}), {{"x", {2}, kText}}), FileError,
                        mentions("'x' has elements of the type 8", "integers and booleans are known"));
}

/// The least and the largest value of each narrower type of integers, by the format's number for it.
constexpr struct {
  std::int64_t type, least, most;
  const char* name;
} kNarrow[] = {{2, 0, 255, "u8"},
               {3, -128, 127, "i8"},
               {4, 0, 65535, "u16"},
               {5, -32768, 32767, "i16"},
               {kI32, -2147483648, 2147483647, "i32"},
               {12, 0, 4294967295, "u32"}};

BOOST_AUTO_TEST_CASE(integers_outside_of_an_inputs_type_are_refused) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  for (const auto& [type, least, most, name] : kNarrow) {
    const auto model = load(node_message("Identity", {"x"}, {"y"}), {{"x", {2}, type}});
    const Tensor x = Tensor::from(std::vector{least, most});
    BOOST_TEST(text_of((*model)(x)) == text_of(x));
    for (const std::int64_t outside : {least - 1, most + 1, kLeast, kMost})
      BOOST_CHECK_EXCEPTION((*model)(Tensor::from(std::vector{least, outside})), ArgumentError,
                            mentions(fmt::format("the input 'x' holds {}, which is no {} (from {} to {})",
                                                 outside, name, least, most)));
  }
  const auto model = load(node_message("Identity", {"x"}, {"y"}), {{"x", {2}, 13}});
  BOOST_CHECK_EXCEPTION((*model)(Tensor::from({0, -1}, i64)), ArgumentError,
                        mentions("holds -1, which is no u64"));
  BOOST_TEST(text_of((*model)(Tensor::from(std::vector{kMost, kMost}))) ==
             text_of(Tensor::from(std::vector{kMost, kMost})));
}

BOOST_AUTO_TEST_CASE(casts_to_narrower_types_do_not_wrap) {
  const auto cast_to = [&](std::int64_t to, std::int64_t from) {
    Message type = attribute_message("to", 2), attributes;
    type.integer(field::attribute::i, to);
    attributes.message(field::node::attribute, type);
    return load(node_message("Cast", {"x"}, {"y"}, attributes), {{"x", {2}, from}});
  };
  for (const auto& [to, least, most, name] : kNarrow) {
    const auto model = cast_to(to, kI64);
    const Tensor x = Tensor::from(std::vector{least, most});
    BOOST_TEST(text_of((*model)(x)) == text_of(x));
    for (const std::int64_t outside : {least - 1, most + 1})
      BOOST_CHECK_EXCEPTION(
          (*model)(Tensor::from(std::vector{most, outside})), FileError,
          mentions("the node 'Cast_of_y' (Cast)", fmt::format("casts {}, which is no {}", outside, name)));
  }
  BOOST_TEST(text_of((*cast_to(2, kF32))(Tensor::from({255.5, -0.5}))) == "i64 [255,   0]");
  BOOST_CHECK_EXCEPTION((*cast_to(2, kF32))(Tensor::from({256, 0})), FileError,
                        mentions("casts 256, which is no u8"));
  BOOST_CHECK_EXCEPTION((*cast_to(kI64, kF32))(Tensor::from({0, 1e30})), FileError,
                        mentions("Cast_of_y", "makes an integer of 1", "clip"));
  BOOST_TEST(text_of((*cast_to(kBoolean, kF32))(Tensor::from({0.5, 0}))) == "i64 [1, 0]");
  BOOST_TEST(text_of((*cast_to(kF16, kF32))(Tensor::from({1e6, 0}))) == text_of(Tensor::from({1e6, 0})));
  BOOST_CHECK_EXCEPTION(cast_to(kText, kF32), FileError, mentions("Cast_of_y", "casts to the type 8"));
}

BOOST_AUTO_TEST_CASE(a_bias_may_be_one_number_for_all_columns) {
  const auto model = load(node_message("Gemm", {"x", "w", "b"}, {"y"}), {{"x", {1, 1}}, {"w", {1, 3}}},
                          {tensor_of<float>("b", kF32, {10})});
  BOOST_TEST(text_of(model->run({Tensor::full({1, 1}, 2), reshape(Tensor::from({1, 2, 3}), {1, 3})})[0]) ==
             "f32 [[12, 14, 16]]");
}

// Where the scale is not the ratio of the sizes, elements are found by the scale in ONNX, and by the sizes here.
BOOST_AUTO_TEST_CASE(images_are_resized_as_the_specification_says_or_not_at_all) {
  const auto resize = [&](const std::string& places, const std::vector<float>& scales,
                          const std::vector<std::int64_t>& sizes = {},
                          const std::vector<std::int64_t>& image = {1, 1, 2, 4}) {
    Message attributes;
    add_text(attributes, "mode", "linear");
    add_text(attributes, "coordinate_transformation_mode", places);
    const bool by_sizes = !sizes.empty();
    return load(node_message("Resize", by_sizes ? Strings{"x", "", "", "s"} : Strings{"x", "", "s"}, {"y"},
                             attributes),
                {{"x", image}}, {by_sizes ? tensor_of("s", kI64, sizes) : tensor_of("s", kF32, scales)});
  };
  const Tensor x = cast(reshape(Tensor::arange(8), {1, 1, 2, 4}), f32);
  BOOST_TEST(text_of(reshape((*resize("half_pixel", {1, 1, 0.5, 0.5}))(x), {2})) == "f32 [2.5, 4.5]");
  // 0.7 of f32 is less than 0.7, and ten times as much is 7.
  const auto rounded = resize("half_pixel", {1, 1, 1, 0.7F}, {}, {1, 1, 1, 10});
  BOOST_TEST(((*rounded)(Tensor::ones({1, 1, 1, 10})).shape() == Shape{1, 1, 1, 7}));
  for (const char* places : {"half_pixel", "align_corners", "pytorch_half_pixel"})
    BOOST_CHECK_EXCEPTION((*resize(places, {1, 1, 1, 0.6F}))(x), FileError,
                          mentions("Resize_of_y", "4 elements by 0.6", "sizes in place of scales"));
  BOOST_CHECK_EXCEPTION((*resize("half_pixel", {1, 1, 1, -1}))(x), FileError, mentions("makes no size"));
  BOOST_CHECK_EXCEPTION(resize("tf_crop_and_resize", {1, 1, 1, 1}), FileError,
                        mentions("half_pixel, pytorch_half_pixel or align_corners"));
  // One row and one column: the first ones, where others take what is in the middle.
  BOOST_TEST(text_of(reshape((*resize("pytorch_half_pixel", {}, {1, 1, 1, 2}))(x), {2})) == "f32 [0.5, 2.5]");
  BOOST_TEST(text_of(reshape((*resize("half_pixel", {}, {1, 1, 1, 2}))(x), {2})) == "f32 [2.5, 4.5]");
  BOOST_TEST((*resize("pytorch_half_pixel", {}, {1, 1, 1, 1}))(x).item() == 0);
}

// Half an element is as much of a large width as of a small one, and f32 does not hold all of its sizes.
BOOST_AUTO_TEST_CASE(large_images_are_resized_exactly_or_not_at_all) {
  const auto resize = [&](float scale, std::int64_t width) {
    Message attributes;
    add_text(attributes, "mode", "linear");
    add_text(attributes, "coordinate_transformation_mode", "half_pixel");
    return load(node_message("Resize", {"x", "", "s"}, {"y"}, attributes), {{"x", {1, 1, 1, width}}},
                {tensor_of<float>("s", kF32, {1, 1, 1, scale})});
  };
  const std::int64_t odd = 1000001;
  BOOST_CHECK_EXCEPTION((*resize(0.5, odd))(Tensor::ones({1, 1, 1, odd})), FileError,
                        mentions("Resize_of_y", "1000001 elements by 0.5", "sizes in place of scales"));
  // 0.7 of f32 misses 0.7 by so much that positions in the last columns differ.
  const std::int64_t even = 1000000;
  BOOST_CHECK_EXCEPTION((*resize(0.7F, even))(Tensor::ones({1, 1, 1, even})), FileError,
                        mentions("1000000 elements by 0.699999"));
  BOOST_TEST(((*resize(0.5, even))(Tensor::ones({1, 1, 1, even})).shape() == Shape{1, 1, 1, even / 2}));
  const std::int64_t beyond_f32 = (std::int64_t{1} << 24) + 1;
  Tensor wide = Tensor::zeros({1, 1, 1, beyond_f32});
  wide.mutable_values<float>().back() = 3;
  const Tensor same = (*resize(1, beyond_f32))(wide);
  BOOST_TEST((same.shape() == wide.shape()));
  BOOST_TEST(same.values<float>().back() == 3);
}

BOOST_AUTO_TEST_CASE(what_is_of_training_is_refused) {
  const auto model = [&](float ratio, bool training) {
    return load(node_message("Dropout", {"x", "ratio", "training"}, {"y"}), {{"x", {2}}},
                {tensor_message("ratio", {}, kF32, {reinterpret_cast<const char*>(&ratio), sizeof ratio}),
                 tensor_message("training", {}, kBoolean, training ? "\1" : std::string_view("\0", 1))});
  };
  const Tensor x = Tensor::from({1, 2});
  BOOST_TEST(text_of((*model(0.5, false))(x)) == "f32 [1, 2]");
  BOOST_TEST(text_of((*model(0, true))(x)) == "f32 [1, 2]");
  BOOST_CHECK_EXCEPTION((*model(0.5, true))(x), FileError, mentions("Dropout_of_y", "training mode"));
}

BOOST_AUTO_TEST_CASE(outputs_that_are_not_known_are_told_from_those_that_are_not_there) {
  Message pool = node_message("MaxPool", {"x"}, {"y", "indices"});
  add_integers(pool, "kernel_shape", {2, 2});
  BOOST_CHECK_EXCEPTION(
      load(pool, {{"x", {1, 1, 4, 4}}}, {}, "indices"), FileError,
      mentions("takes 'indices'", "an output of the node 'MaxPool_of_indices' (MaxPool)", "first"));
}

BOOST_AUTO_TEST_CASE(nodes_without_a_name_go_by_what_they_compute) {
  const auto unnamed = [](const Strings& outputs) {
    Message n;
    n.text(field::node::input, "x");
    for (const std::string& o : outputs) n.text(field::node::output, o);
    n.text(field::node::type, "Frobnicate");
    return n;
  };
  for (const Strings& outputs : {Strings{"y"}, Strings{"y", "z"}, Strings{"", "y"}})
    BOOST_CHECK_EXCEPTION(load(unnamed(outputs), {{"x", {2}}}), FileError,
                          mentions("the node 'y' (Frobnicate)"));
  BOOST_CHECK_EXCEPTION(load(unnamed({"", ""}), {{"x", {2}}}), FileError,
                        mentions("a node without a name (Frobnicate) has no output with a name"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace onnx_operators_test
