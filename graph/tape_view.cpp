#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/node.h>
#include <tapegrad/graph/tape_view.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::PackedShape;
using detail::TensorAccess;

TapeView::TapeView(const Tape& tape) : tape_(tape), nodes_(tape.size()) {
  auto out = nodes_.rbegin();
  for (const detail::Node* n = tape.last_; n; n = n->prev) *out++ = n;
}

std::optional<std::size_t> TapeView::find(const Tensor& tensor) const {
  if (!tensor.defined()) return std::nullopt;
  const detail::Tag& tag = TensorAccess::tag(tensor);
  if (!tag.epoch || !tape_.is_live(tag.epoch)) return std::nullopt;
  return tag.node->index;
}

std::vector<TapeView::Read> TapeView::reads() const {
  std::vector<Read> result;
  for (const detail::Read& r : tape_.reads_)
    result.push_back({r.tensor, r.function, r.scope ? r.scope->text() : std::string_view()});
  return result;
}

namespace {
std::string text_of(const Shape& shape, Dtype dtype) {
  return dtype == f32 ? to_string(shape) : fmt::format("{} {}", to_string(shape), name_of(dtype));
}
}  // namespace

// ---- a node ----

std::size_t TapeView::Node::index() const noexcept { return node_->index; }
std::string_view TapeView::Node::op() const noexcept { return node_->op->name; }
bool TapeView::Node::is_leaf() const noexcept { return node_->leaf; }
std::uint64_t TapeView::Node::parameter() const noexcept {
  return node_->leaf ? node_->as_leaf().parameter : 0;
}
Shape TapeView::Node::shape() const { return node_->shape->shape(); }
Dtype TapeView::Node::dtype() const { return node_->shape->dtype; }
std::string TapeView::Node::type_text() const { return text_of(shape(), dtype()); }
std::string_view TapeView::Node::scope() const noexcept {
  return node_->scope ? node_->scope->text() : std::string_view();
}
std::size_t TapeView::Node::inputs() const noexcept { return node_->inputs; }

Tensor TapeView::Node::value() const {
  if (!(node_->saved_mask >> detail::kOutputBit & 1u)) return {};
  const detail::Saved& saved = node_->saved_at(detail::kOutputBit);
  if (saved.version != saved.storage->version.load(std::memory_order_relaxed))
    throw MutatedSaved(
        fmt::format("{}: its value of shape {} was changed since the tape recorded it; change a copy()",
                    op_label(op()), to_string(shape())));
  detail::retain(saved.storage);
  return node_->shape->tensor(saved.storage, saved.data);
}

TapeView::Input TapeView::Node::input(std::size_t i) const {
  const detail::Edge& edge = node_->edges()[i];
  Input input;
  if (edge.node) input.node_ = edge.node->index;
  input.shape_ = edge.shape;
  return input;
}

void TapeView::Node::describe(AttributeVisitor& visitor) const {
  if (node_->op->describe) node_->op->describe(node_->attributes, visitor);
}

const detail::OpTable& TapeView::Node::table() const noexcept { return *node_->op; }

// ---- an input ----

Shape TapeView::Input::shape() const { return static_cast<const PackedShape*>(shape_)->shape(); }
Dtype TapeView::Input::dtype() const { return static_cast<const PackedShape*>(shape_)->dtype; }
std::string TapeView::Input::type_text() const { return text_of(shape(), dtype()); }

}  // namespace tapegrad
