#include <cmath>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "onnx_messages.h"
#include "onnx_support.h"

namespace onnx_windows_test {

// Convolutions and pooling of ONNX models whose padding other tools leave to the reader.

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_FIXTURE_TEST_SUITE(onnx_windows, OnnxFile)

// The numbers by hand; tests/interchange/onnx/foreign_windows.py compares many more with onnxruntime.
BOOST_AUTO_TEST_CASE(padding_that_is_left_to_the_runtime_is_that_of_the_specification) {
  using Numbers = std::vector<double>;
  const auto model_with = [&](const std::string& type, const Message& attributes) {
    const bool has_weights = type.starts_with("Conv");
    Message g;
    g.message(field::graph::node,
              node_message(type, has_weights ? Strings{"x", "w"} : Strings{"x"}, {"y"}, attributes));
    g.message(field::graph::input, info_message("x", {1, 1, 4}));
    g.message(field::graph::output, info_message("y", {1, 1, 4}));
    const float ones[] = {1, 1, 1};
    if (has_weights)
      g.message(field::graph::initializer,
                tensor_message("w", {1, 1, 3}, 1, {reinterpret_cast<const char*>(ones), sizeof ones}));
    return model_of(g);
  };
  const auto result = [&](const std::string& type, const std::string& auto_pad, std::int64_t stride,
                          std::vector<std::int64_t> output_shape = {}) {
    Message attributes;
    add_text(attributes, "auto_pad", auto_pad);
    add_integers(attributes, "strides", {stride});
    add_integers(attributes, "kernel_shape", {3});
    if (!output_shape.empty()) add_integers(attributes, "output_shape", output_shape);
    write_file(path, model_with(type, attributes).bytes());
    const Tensor y = (*nn::load_onnx(path))(Tensor::from({1, 2, 4, 8}, Shape{1, 1, 4}));
    return cast(y, f64).to_vector<double>();
  };
  const auto check = [&](const Numbers& got, const Numbers& expected) {
    BOOST_REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) BOOST_TEST(std::abs(got[i] - expected[i]) < 1e-6);
  };
  check(result("Conv", "SAME_UPPER", 1), {3, 7, 14, 12});
  check(result("Conv", "SAME_UPPER", 2), {7, 12});
  check(result("Conv", "SAME_LOWER", 2), {3, 14});
  check(result("Conv", "VALID", 1), {7, 14});
  check(result("Conv", "NOTSET", 1), {7, 14});
  check(result("MaxPool", "SAME_UPPER", 2), {4, 8});
  check(result("MaxPool", "SAME_LOWER", 2), {2, 8});
  check(result("MaxPool", "VALID", 2), {4});
  check(result("AveragePool", "SAME_UPPER", 2), {7. / 3, 6});
  check(result("AveragePool", "SAME_LOWER", 2), {1.5, 14. / 3});
  check(result("ConvTranspose", "SAME_UPPER", 2), {1, 1, 3, 2, 6, 4, 12, 8});
  check(result("ConvTranspose", "SAME_LOWER", 2), {1, 3, 2, 6, 4, 12, 8, 8});
  check(result("ConvTranspose", "SAME_UPPER", 4), {1, 1, 1, 0, 2, 2, 2, 0, 4, 4, 4, 0, 8, 8, 8, 0});
  check(result("ConvTranspose", "NOTSET", 2, {7}), {1, 3, 2, 6, 4, 12, 8});

  Message same;
  add_text(same, "auto_pad", "SAME");
  write_file(path, model_with("Conv", same).bytes());
  BOOST_CHECK_EXCEPTION(nn::load_onnx(path), FileError, mentions("has auto_pad SAME; NOTSET, VALID", path));
  const auto check_run_refused = [&](const Message& attributes, std::string_view part) {
    write_file(path, model_with("Conv", attributes).bytes());
    BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::zeros({1, 1, 4})), FileError,
                          mentions(part, "Conv_of_y"));
  };
  Message both;
  add_text(both, "auto_pad", "SAME_UPPER");
  add_integers(both, "pads", {1, 1});
  check_run_refused(both, "exclude each other");
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{1} << 62}) {
    Message huge;
    add_text(huge, "auto_pad", "SAME_LOWER");
    add_integers(huge, "strides", {size});
    check_run_refused(huge, "not between 1 and 2^31");
  }
  Message kernel;
  add_integers(kernel, "kernel_shape", {2});
  check_run_refused(kernel, "another kernel_shape than its weights [1, 1, 3]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace onnx_windows_test
