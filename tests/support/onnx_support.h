#pragma once

#include <string>
#include <vector>

#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/layers/layers.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

/// What the suites of ONNX share.
namespace tapegrad::test {

/// A model in a folder of its own.
struct OnnxFile {
  TemporaryFolder folder;
  const std::string path = folder / "net.onnx";

  nn::onnx::Model model() const { return nn::onnx::read_model(path); }
};

/// Functions that are saved.
struct OnnxFunctions : OnnxFile {
  Generator rng{3};

  /// Saves a function of a batch [2, 4].
  void save(TensorFunction f, const nn::OnnxOptions& options = {}) {
    nn::Sequential none;
    nn::save_onnx(path, none, f, {randn({2, 4}, rng)}, options);
  }
  void check_refused(TensorFunction f, std::string_view part) {
    BOOST_CHECK_EXCEPTION(save(f), ArgumentError, mentions(part, "save_onnx"));
    BOOST_TEST(!std::filesystem::exists(path));
  }
};

/// The types of the nodes, in order.
inline std::vector<std::string> types_of(const nn::onnx::Model& m) {
  std::vector<std::string> types;
  for (const nn::onnx::Node& n : m.nodes) types.push_back(n.type);
  return types;
}

/// "input [batch, 3]"
inline std::string text_of(const nn::onnx::ValueInfo& v) {
  std::string text;
  for (const nn::onnx::Size& s : v.sizes)
    text += (text.empty() ? "" : ", ") +
            (s.index() == 0 ? fmt::format("{}", std::get<std::int64_t>(s)) : std::get<std::string>(s));
  return fmt::format("{} [{}]", v.name, text);
}

/// The largest difference of elements. Shapes and dtypes must be the same.
inline double difference(const Tensor& a, const Tensor& b) {
  BOOST_REQUIRE((a.shape() == b.shape() && a.dtype() == b.dtype()));
  return a.size() == 0 ? 0 : max(abs(cast(a, f64) - cast(b, f64))).item();
}

}  // namespace tapegrad::test
