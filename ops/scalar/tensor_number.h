#pragma once

#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/scalar/real_functions.h>

/// Not part of the library's interface.
namespace tapegrad::detail {

/// A number whose arithmetic is that of tensors, so that a tape records it: a constant, or a tensor f64 of shape [].
/// With it functions of scalars have derivatives of any order.
class TensorNumber {
 public:
  TensorNumber(double value = 0) noexcept : value_(value) {}
  explicit TensorNumber(Tensor x) : value_(x.item()), tensor_(std::move(x)) {}

  double value() const noexcept { return value_; }
  bool is_constant() const noexcept { return !tensor_.defined(); }
  bool is_constant(double number) const noexcept { return is_constant() && value_ == number; }
  Tensor tensor() const { return is_constant() ? Tensor::scalar(value_, f64) : tensor_; }

#define TAPEGRAD_ROW(name) friend TAPEGRAD_API TensorNumber name(const TensorNumber& x);
  TAPEGRAD_ROW(operator-)
  TAPEGRAD_FUNCTIONS_OF_NUMBERS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
#define TAPEGRAD_ROW(name) \
  friend TAPEGRAD_API TensorNumber name(const TensorNumber& a, const TensorNumber& b);
  TAPEGRAD_ROW(operator+)
  TAPEGRAD_ROW(operator-)
  TAPEGRAD_ROW(operator*)
  TAPEGRAD_ROW(operator/)
  TAPEGRAD_FUNCTIONS_OF_TWO_NUMBERS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
  friend TAPEGRAD_API TensorNumber digamma(const TensorNumber& x);
  friend TAPEGRAD_API TensorNumber trigamma(const TensorNumber& x);

 private:
  double value_;
  Tensor tensor_;
};

}  // namespace tapegrad::detail
