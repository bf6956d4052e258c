#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/onnx/builder.h>
#include <tapegrad/nn/io/onnx/trace.h>

/// Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// An operation that is to become nodes.
class OpContext {
 public:
  OpContext(Builder& builder, const Operation& op) : builder_(builder), op_(op) {}

  Builder& builder() const { return builder_; }
  std::size_t inputs() const { return op_.inputs.size(); }
  bool has_input(std::size_t i) const { return i < op_.inputs.size() && op_.inputs[i].has_value(); }
  Term input(std::size_t i) const { return builder_.term(*op_.inputs[i]); }
  std::vector<Term> all_inputs() const;
  const Dims& dims(std::size_t i) const { return value(i).dims; }
  Dtype dtype(std::size_t i) const { return value(i).value.dtype(); }
  const Dims& output_dims() const { return builder_.graph().values[op_.output].dims; }
  ElementType output_type() const;

  // Attributes by their names. Those that are not sizes must not grow with free ones: ArgumentError.
  double number(std::string_view name) const;
  bool flag(std::string_view name) const;
  Dtype dtype(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  std::vector<std::int64_t> integers(std::string_view name) const;
  Dim size(std::string_view name) const;
  Dims sizes(std::string_view name) const;

  /// A size that must not grow with free ones: of a window, or of the axis it slides along.
  std::int64_t fixed(const Dim& size, std::string_view what) const;
  [[noreturn]] void refuse(std::string_view reason) const;

 private:
  const Value& value(std::size_t i) const { return builder_.graph().values[*op_.inputs[i]]; }
  template <class T>
  const T& attribute(std::string_view name) const;

  Builder& builder_;
  const Operation& op_;
};

}  // namespace tapegrad::nn::onnx
