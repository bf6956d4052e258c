#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <tapegrad/graph/rule_context.h>

namespace tapegrad::detail {

/// A rule's context for loops over elements, which spare themselves the handles of tensors.
class ElementAccess {
 public:
  explicit ElementAccess(RuleContext& context) : context_(context) {}

  RuleContext& context() const { return context_; }
  std::size_t inputs() const { return context_.inputs(); }
  bool needs_grad(std::size_t i) const { return context_.needs_grad(i); }
  const Tensor& grad_output() const { return context_.grad_output(); }
  const std::byte* grad_output_data() const { return context_.gradient_data_; }
  Dtype output_dtype() const { return context_.node_.shape->dtype; }
  std::int64_t output_size() const { return context_.node_.shape->size(); }
  bool has_scalar_output() const { return context_.node_.shape->rank == 0; }
  Shape output_shape() const { return context_.output_shape(); }
  Shape input_shape(std::size_t i) const { return context_.input_shape(i); }
  bool has_output_shape(std::size_t i) const {
    return context_.node_.edges()[i].shape->same_shape(*context_.node_.shape);
  }
  /// The elements of input `bit`, or of the output for kOutputBit. Throws as RuleContext::input.
  const std::byte* saved_data(unsigned bit) const { return context_.saved_value(bit).data; }

  void add(std::size_t i, Tensor gradient) { context_.add(i, std::move(gradient)); }
  /// add(i, grad_output()), for an input of the output's shape.
  void add_grad_output(std::size_t i) {
    if (!needs_grad(i) || !context_.share_grad_output(i)) context_.add_grad_output(i);
  }
  /// First-order mode only: f(std::byte* destination, bool add) writes the gradient of input i in place, or
  /// adds it to what is there. Its elements are of `dtype`, which must be the input's.
  template <class F>
  void accumulate(std::size_t i, Dtype dtype, F&& f) {
    context_.require_input(i);
    if (!needs_grad(i)) return;
    if (context_.input_dtype(i) != dtype) [[unlikely]]
      context_.throw_misfit(i, "a gradient of " + std::string(name_of(dtype)));
    const bool adds = context_.open_destination(i);
    Node& to = *context_.node_.edges()[i].node;
    f(to.gradient_data, adds);
    if (context_.checks_finite()) [[unlikely]]
      context_.check_finite(i, to.copy_gradient());
  }

 private:
  RuleContext& context_;
};

}  // namespace tapegrad::detail
