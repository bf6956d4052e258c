#pragma once

#include <array>
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
  bool checks_finite() const { return context_.checks_finite(); }
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
    const bool adds = open(i, dtype);
    Node& to = *context_.node_.edges()[i].node;
    f(to.gradient_data, adds);
    if (context_.checks_finite()) [[unlikely]]
      context_.check_finite(i, to.copy_gradient());
  }

  /// Where the gradient of an input goes: it is written there, or added to what is there. Null where there is none.
  struct Place {
    std::byte* data = nullptr;
    bool add = false;
  };
  using Places = std::array<Place, kOutputBit>;
  /// The same of several inputs at once, those whose bits are set and whose gradients are needed: f(places), by the
  /// inputs' numbers. One tensor that is several inputs is one place, where the first of them may write and all others
  /// add. Where gradients are checked it is to be one input a call, so that the one is named whose rule is to blame.
  template <class F>
  void accumulate_jointly(unsigned inputs, Dtype dtype, F&& f) {
    Places places;
    for (std::size_t i = 0; i < places.size(); ++i)
      if (inputs >> i & 1u) places[i].add = open(i, dtype);
    // A place may move while others are made, if two inputs share it.
    for (std::size_t i = 0; i < places.size(); ++i)
      if (inputs >> i & 1u) places[i].data = context_.node_.edges()[i].node->gradient_data;
    f(places);
    if (!context_.checks_finite()) [[likely]]
      return;
    for (std::size_t i = 0; i < places.size(); ++i)
      if (inputs >> i & 1u) context_.check_finite(i, context_.node_.edges()[i].node->copy_gradient());
  }

 private:
  bool open(std::size_t i, Dtype dtype) {
    if (context_.input_dtype(i) != dtype) [[unlikely]]
      context_.throw_misfit(i, "a gradient of " + std::string(name_of(dtype)));
    return context_.open_destination(i);
  }

  RuleContext& context_;
};

}  // namespace tapegrad::detail
