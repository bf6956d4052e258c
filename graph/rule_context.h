#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include <tapegrad/graph/node.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::detail {

/// What a rule sees of the node it differentiates. In first-order mode its tensors are plain values and
/// nothing is recorded; in recorded mode they are tracked, and what the rule computes becomes nodes. Their
/// elements may be shared (two inputs of a sum receive one and the same gradient), so a rule never writes to
/// them.
///
/// Loops over elements read the same through ElementAccess, and tools that watch or change what a rule does
/// through RuleProbe.
class TAPEGRAD_API RuleContext {
 public:
  RuleContext(Tape& tape, Node& node, bool recording, bool all_need_grad)
      : tape_(tape),
        node_(node),
        recording_(recording),
        all_need_grad_(all_need_grad),
        gradient_(node.gradient),
        gradient_data_(node.gradient_data) {
    if (node.target)
      retain(gradient_);
    else
      node.gradient = nullptr;
  }
  ~RuleContext() {
    if (gradient_) release(gradient_);
  }
  RuleContext(const RuleContext&) = delete;
  RuleContext& operator=(const RuleContext&) = delete;

  std::size_t inputs() const { return node_.inputs; }
  /// False for an optional input that was not given.
  bool has_input(std::size_t i) const { return i < node_.inputs && node_.edges()[i].shape; }
  /// True where the gradient of input i is asked; a rule need not compute any other.
  bool needs_grad(std::size_t i) const {
    const Node* from = i < node_.inputs ? node_.edges()[i].node : nullptr;
    return from && (all_need_grad_ || from->needs_grad);
  }
  bool recording() const { return recording_; }
  /// Gradient with respect to the output.
  const Tensor& grad_output() const {
    if (gradient_) make_grad_output();
    return *grad_output_;
  }
  Shape input_shape(std::size_t i) const { return node_.edges()[i].shape->shape(); }
  Dtype input_dtype(std::size_t i) const { return node_.edges()[i].shape->dtype; }
  Shape output_shape() const { return node_.shape->shape(); }
  const void* attributes() const { return node_.attributes; }

  /// A saved value. Throws MutatedSaved where it was changed since.
  Tensor input(std::size_t i) const;
  Tensor output() const { return saved(kOutputBit); }
  /// What forward handed to the rule: a constant, also where the rule is recorded.
  Tensor residual(std::size_t i) const { return saved(kResidualBit + static_cast<unsigned>(i)); }

  /// Adds to the gradient of input i, whose shape and dtype it must have. The first is taken over, without a
  /// copy. A gradient that nobody needs is dropped.
  void add(std::size_t i, Tensor gradient);

 private:
  friend class ElementAccess;
  friend class RuleProbe;

  void require_input(std::size_t i) const {
    if (i >= node_.inputs) [[unlikely]]
      throw_no_input(i);
  }
  [[noreturn]] void throw_no_input(std::size_t i) const;
  [[noreturn]] void throw_not_saved() const;
  [[noreturn]] void throw_recorded() const;
  [[noreturn]] void throw_mutated(unsigned bit, const Saved& s) const;
  void require_fit(std::size_t i, const Tensor& gradient) const;
  [[noreturn]] void throw_misfit(std::size_t i, const std::string& gradient) const;
  Tag tag_of(Node* node) const;
  void make_grad_output() const;
  bool checks_finite() const { return tape_.check_finite_; }
  const Saved& saved_value(unsigned bit) const {
    if (!(node_.saved_mask >> bit & 1u)) [[unlikely]]
      throw_not_saved();
    const Saved& s = node_.saved_at(bit);
    if (s.storage->version.load(std::memory_order_relaxed) != s.version) [[unlikely]]
      throw_mutated(bit, s);
    return s;
  }
  /// Makes place for a gradient of input i; true where there is one already, to add to.
  [[gnu::always_inline]] bool open_destination(std::size_t i) {
    if (recording_) [[unlikely]]
      throw_recorded();
    Node& to = *node_.edges()[i].node;
    if (to.has_gradient()) {
      if (!is_unique(to.gradient)) to.put_gradient(to.take_gradient().copy());
      return true;
    }
    if (to.shape->rank == 0) {
      to.gradient = allocate_scalar();
      to.gradient_data = to.gradient->data(kScalarBytes);
    } else {
      const std::size_t bytes = static_cast<std::size_t>(to.shape->size()) * size_of(to.shape->dtype);
      to.gradient = allocate(bytes);
      to.gradient_data = to.gradient->data(bytes);
    }
    to.gradient_node = nullptr;
    return false;
  }
  Tensor saved(unsigned bit) const;
  void check_finite(std::size_t i, const Tensor& gradient) const;
  void add_grad_output(std::size_t i);
  /// The same where input i has no gradient yet and can share that of the output; false where it cannot.
  bool share_grad_output(std::size_t i) {
    if (recording_ || checks_finite() || !gradient_) return false;
    Node& to = *node_.edges()[i].node;
    if (to.has_gradient()) return false;
    retain(gradient_);
    to.gradient = gradient_;
    to.gradient_data = gradient_data_;
    to.gradient_node = nullptr;
    return true;
  }

  Tape& tape_;
  Node& node_;
  bool recording_;
  bool all_need_grad_;
  // The gradient, until grad_output() makes a tensor of it; scalars seldom need one.
  mutable Storage* gradient_;
  std::byte* gradient_data_;
  mutable std::optional<Tensor> grad_output_;
};

/// "affine 'net.fc2'", as messages call a node.
std::string label_of(const Node& node);

}  // namespace tapegrad::detail
