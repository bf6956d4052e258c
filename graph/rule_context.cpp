#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::detail {

std::string label_of(const Node& n) {
  return n.scope ? fmt::format("{} '{}'", n.op->name, n.scope->text()) : std::string(n.op->name);
}

Tag RuleContext::tag_of(Node* node) const { return recording_ ? tape_.tag_of(node) : Tag{}; }

void RuleContext::make_grad_output() const {
  grad_output_ =
      node_.shape->tensor(std::exchange(gradient_, nullptr), gradient_data_, tag_of(node_.gradient_node));
}

void RuleContext::throw_no_input(std::size_t i) const {
  throw Error(fmt::format("{}: its rule speaks of input {}; it has {}, of which the first {} can be saved",
                          label_of(node_), i, node_.inputs, kOutputBit));
}

void RuleContext::require_fit(std::size_t i, const Tensor& g) const {
  if (g.defined() && node_.edges()[i].shape->describes(g)) return;
  throw_misfit(i, g.defined() ? fmt::format("a gradient {} of {}", to_string(g.shape()), name_of(g.dtype()))
                              : "an undefined gradient");
}
void RuleContext::throw_misfit(std::size_t i, const std::string& gradient) const {
  const PackedShape& shape = *node_.edges()[i].shape;
  throw Error(fmt::format("{}: its rule gave input {} {}, the input is {} of {}", label_of(node_), i,
                          gradient, to_string(shape.shape()), name_of(shape.dtype)));
}

Tensor RuleContext::input(std::size_t i) const {
  if (i >= kOutputBit) throw_no_input(i);
  return saved(static_cast<unsigned>(i));
}

void RuleContext::throw_not_saved() const {
  throw Error(fmt::format("{}: its rule reads a value that it did not declare to save", label_of(node_)));
}

void RuleContext::throw_mutated(unsigned bit, const Saved& s) const {
  const std::string what = bit < kOutputBit    ? fmt::format("input {}", bit)
                           : bit == kOutputBit ? "its result"
                                               : fmt::format("residual {}", bit - kResidualBit);
  throw MutatedSaved(fmt::format(
      "backward of {}: {} of shape {} was changed after it was recorded (version {} then, {} now); change a "
      "copy(), or change it after backward",
      label_of(node_), what, to_string(node_.saved_shape(bit).shape()), s.version,
      s.storage->version.load(std::memory_order_relaxed)));
}

Tensor RuleContext::saved(unsigned bit) const {
  const Saved& s = saved_value(bit);
  retain(s.storage);
  const Tag tag = bit < kOutputBit    ? tag_of(node_.edges()[bit].node)
                  : bit == kOutputBit ? tag_of(&node_)
                                      : Tag{};
  return node_.saved_shape(bit).tensor(s.storage, s.data, tag);
}

void RuleContext::check_finite(std::size_t i, const Tensor& gradient) const {
  const std::int64_t at = first_non_finite(gradient);
  if (at < 0) return;
  throw NonFinite(
      fmt::format("{}: backward produced {} at {} of the gradient {} of input {}; its result has shape {}",
                  label_of(node_), value_at(gradient, at), index_text(at, gradient.shape()),
                  to_string(gradient.shape()), i, to_string(output_shape())));
}

void RuleContext::add(std::size_t i, Tensor g) {
  require_input(i);
  if (!needs_grad(i)) return;
  require_fit(i, g);
  if (checks_finite()) [[unlikely]]
    check_finite(i, g);
  if (!recording_) TensorAccess::set_tag(g, {});  // a rule may have computed it under a tape of its own
  Node& to = *node_.edges()[i].node;
  if (to.has_gradient()) {
    Tensor sum = to.take_gradient(tag_of(to.gradient_node));
    if (recording_) {
      sum = node_.op->add(sum, g);
      // No part of the rule: where the rule's operation cannot be differentiated again, the other term may.
      if (const Tag& tag = TensorAccess::tag(sum); tag.epoch) tag.node->order = tag.node->op->max_order;
    } else if (is_unique(TensorAccess::storage(sum))) {
      node_.op->add_into(sum.dtype(), TensorAccess::data(sum), TensorAccess::data(g), sum.size());
    } else {
      sum = node_.op->add(sum, g);
    }
    if (checks_finite()) [[unlikely]]
      check_finite(i, sum);
    g = std::move(sum);
  }
  Node* computed_by = recording_ ? tape_.resolve(g, node_.op->name) : nullptr;
  to.put_gradient(std::move(g), computed_by);
}

void RuleContext::add_grad_output(std::size_t i) {
  require_input(i);
  if (!needs_grad(i)) return;
  Node& to = *node_.edges()[i].node;
  if (share_grad_output(i)) return;
  if (!recording_ && !checks_finite() && gradient_ && is_unique(to.gradient)) {
    node_.op->add_into(node_.shape->dtype, to.gradient_data, gradient_data_, node_.shape->size());
  } else {
    add(i, grad_output());
  }
}

void RuleContext::throw_recorded() const {
  throw Error(fmt::format("{}: its rule writes a gradient in place while it is recorded", label_of(node_)));
}

}  // namespace tapegrad::detail
