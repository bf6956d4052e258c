#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Edge;
using detail::Leaf;
using detail::Node;
using detail::PackedShape;
using detail::Saved;
using detail::SaveMask;
using detail::Storage;
using detail::TensorAccess;

// ---- operations ----

namespace {
/// Scalars of each dtype have one shape for all tapes.
constexpr auto kScalarShapes = []<std::size_t... D>(std::index_sequence<D...>) {
  return std::array{PackedShape{0, static_cast<Dtype>(D)}...};
}
(std::make_index_sequence<detail::kDtypeCount>{});
}  // namespace

const PackedShape* Tape::pack(const Shape& shape, Dtype dtype) {
  if (shape.rank() == 0) return &kScalarShapes[static_cast<std::size_t>(dtype)];
  return PackedShape::write(arena_.allocate(PackedShape::bytes(shape)), shape, dtype);
}

// Most results have the shape of an input, which is on the tape already. This and append are inlined, as they are part
// of what every operation waits for.
[[gnu::always_inline]] inline const PackedShape* Tape::shape_like(Node* const* nodes, std::size_t count,
                                                                  const Tensor& out) {
  if (out.rank() == 0) return &kScalarShapes[static_cast<std::size_t>(out.dtype())];
  for (std::size_t i = 0; i < count; ++i)
    if (nodes[i] && nodes[i]->shape->describes(out)) return nodes[i]->shape;
  return pack(out.shape(), out.dtype());
}

void Tape::note_read(const Tensor& t, const char* function) {
  reads_.push_back({t.detach(), function, thread_->scope ? path_of(thread_->scope) : nullptr});
}

const detail::ScopePath* Tape::path_of(NameScope* s) {
  if (s->epoch_ != epoch_) {
    detail::PoolString path;
    s->append_to(path);
    s->interned_ = detail::ScopePath::write(arena_.allocate(detail::ScopePath::bytes(path)), path);
    s->epoch_ = epoch_;
  }
  return s->interned_;
}

[[gnu::always_inline]] inline Node* Tape::append(const detail::OpTable& op, std::size_t inputs,
                                                 std::size_t saved, std::size_t residuals) {
  if (std::max(count_, inputs) >= UINT32_MAX)
    throw Error("tape: more than 4,294,967,295 nodes or inputs of a node");
  // A gradient belongs to the module of what it differentiates.
  const detail::ScopePath* scope = rule_ ? rule_->scope : thread_->scope ? path_of(thread_->scope) : nullptr;
  void* memory = arena_.allocate(sizeof(Node) + inputs * sizeof(Edge) + saved * sizeof(Saved) +
                                 residuals * sizeof(PackedShape*));
  Node* n = new (memory) Node{};
  n->op = &op;
  n->scope = scope;
  n->index = static_cast<std::uint32_t>(count_);
  n->inputs = static_cast<std::uint32_t>(inputs);
  n->order = op.max_order;
  // What the rule of a node computes is differentiable once less than the node.
  if (rule_ && rule_->order != detail::kAnyOrder)
    n->order = std::min(n->order, static_cast<std::uint8_t>(rule_->order - 1));
  return n;
}

static constexpr std::size_t kMostSaved = detail::kOutputBit;  // of the inputs
static constexpr SaveMask kSavesValue = SaveMask{1} << detail::kOutputBit;

namespace {

/// The part of a mask that has a value: neither an optional input that was not given, nor a residual that forward
/// had no use for.
SaveMask with_values(SaveMask mask, const Tensor* const* inputs, const Tensor* residuals) {
  SaveMask present = 0;
  for (SaveMask m = mask; m; m = Node::without_lowest(m)) {
    const auto bit = static_cast<unsigned>(std::countr_zero(m));
    const bool defined = bit < detail::kOutputBit    ? inputs[bit]->defined()
                         : bit == detail::kOutputBit ? true
                                                     : residuals[bit - detail::kResidualBit].defined();
    if (defined) present = static_cast<SaveMask>(present | 1u << bit);
  }
  return present;
}

/// What an op declares to save must have been given to it.
void require_given(const detail::OpTable& op, SaveMask saved_mask, std::size_t count) {
  const unsigned beyond =
      saved_mask & ((1u << detail::kOutputBit) - 1u) & ~((1u << std::min(count, kMostSaved)) - 1u);
  if (beyond) [[unlikely]]
    throw Error(fmt::format("{}: it declares to save input {} and was given {} inputs", op_label(op.name),
                            std::bit_width(beyond) - 1, count));
}

/// Takes references to what the mask names.
template <bool kWithResiduals>
[[gnu::always_inline]] inline void save(Node& n, SaveMask mask, const Tensor& out,
                                        const Tensor* const* inputs, const Tensor* residuals) noexcept {
  Saved* saved = n.saved();
  for (SaveMask m = mask; m; m = Node::without_lowest(m)) {
    const auto bit = static_cast<unsigned>(std::countr_zero(m));
    const Tensor& t = kWithResiduals && bit > detail::kOutputBit ? residuals[bit - detail::kResidualBit]
                      : bit == detail::kOutputBit                ? out
                                                                 : *inputs[bit];
    Storage* s = TensorAccess::storage(t);
    detail::retain(s);
    *saved++ = {s, TensorAccess::data(t), t.version()};
  }
  n.saved_mask = mask;
}

}  // namespace

bool Tape::lost_history(const Tensor& t) const noexcept {
  const std::uint64_t epoch = TensorAccess::tag(t).lost_epoch();
  return epoch && is_live(epoch);
}

void Tape::record(Tensor& out, const detail::OpTable& op, const void* attributes, const Tensor* const* inputs,
                  Node* const* nodes, std::size_t count, const Tensor* residuals) {
  SaveMask saved_mask = 0;
  if (everything_) [[unlikely]] {
    saved_mask = kSavesValue;
  } else {
    for (std::size_t i = 0; i < count; ++i)
      if (nodes[i]) saved_mask |= op.saves_for_input(i);
    require_given(op, saved_mask, count);
  }
  // Twice, since most ops have neither residuals nor an input that is absent, and their nodes should not pay for it.
  const auto write = [&]<bool kSpecial>(std::bool_constant<kSpecial>) {
    std::size_t saved_residuals = 0;
    if constexpr (kSpecial) {
      saved_mask = with_values(saved_mask, inputs, residuals);
      saved_residuals = Node::count(static_cast<SaveMask>(saved_mask >> detail::kResidualBit));
    }
    Node* n = append(op, count, Node::count(saved_mask), saved_residuals);
    n->shape = shape_like(nodes, count, out);
    n->version = out.version();
    Edge* edges = n->edges();
    for (std::size_t i = 0; i < count; ++i) {
      if (nodes[i]) {
        edges[i] = {nodes[i], nodes[i]->shape};
        if (nodes[i]->below_lacking) [[unlikely]]
          n->below_lacking = true;
        continue;
      }
      const Tensor& t = *inputs[i];
      if (kSpecial && !t.defined()) {
        edges[i] = {nullptr, nullptr};
        continue;
      }
      edges[i] = {nullptr, n->shape->describes(t) ? n->shape : pack(t.shape(), t.dtype())};
      if (lost_history(t)) [[unlikely]]
        n->lacks_derivative = n->below_lacking = true;
    }
    std::array<const PackedShape*, detail::kMaxResiduals> residual_shapes;
    if constexpr (kSpecial)
      for (std::size_t i = 0, k = 0; k < saved_residuals; ++i)
        if (saved_mask >> (detail::kResidualBit + i) & 1u)
          residual_shapes[k++] = pack(residuals[i].shape(), residuals[i].dtype());
    if (op.attribute_bytes) {
      void* copy = arena_.allocate(op.attribute_bytes, op.attribute_align);
      std::memcpy(copy, attributes, op.attribute_bytes);
      n->attributes = copy;
    }
    // Nothing below throws, so references are taken only for a node that the tape owns.
    save<kSpecial>(*n, saved_mask, out, inputs, residuals);
    if constexpr (kSpecial)
      for (std::size_t k = 0; k < saved_residuals; ++k) n->residual_shapes()[k] = residual_shapes[k];
    n->prev = last_;
    last_ = n;
    ++count_;
    TensorAccess::set_tag(out, {epoch_, n});
  };
  const bool absent = op.optional_inputs &&
                      std::any_of(inputs, inputs + count, [](const Tensor* t) { return !t->defined(); });
  if (op.residuals || absent) [[unlikely]]
    write(std::true_type{});
  else
    write(std::false_type{});
}

// ---- leaves ----

namespace {
constexpr detail::OpTable kLeaf{.name = "leaf",
                                .max_order = detail::kAnyOrder,
                                .composed = false,
                                .residuals = 0,
                                .optional_inputs = 0,
                                .attribute_bytes = sizeof(Leaf),
                                .attribute_align = alignof(Leaf),
                                .saves = {},
                                .forward = nullptr,
                                .vjp = nullptr,
                                .describe = nullptr,
                                .add = nullptr,
                                .add_into = nullptr};
}  // namespace

Tensor Tape::add_leaf(Tensor value, std::uint64_t parameter) {
  Node* n = append(kLeaf, 0, everything_ ? 1 : 0, 0);
  n->shape = pack(value.shape(), value.dtype());
  n->version = value.version();
  n->leaf = true;
  n->attributes = new (arena_.allocate(sizeof(Leaf), alignof(Leaf))) Leaf{last_leaf_, parameter, epoch_};
  if (parameter) index_parameter(n);
  if (everything_) save<false>(*n, kSavesValue, value, nullptr, nullptr);
  n->prev = last_;
  last_ = last_leaf_ = n;
  ++count_;
  TensorAccess::set_tag(value, {epoch_, n});
  return value;
}

Tensor Tape::watch(const Tensor& x) {
  require_thread("watch");
  if (!x.defined()) detail::throw_undefined_tensor("watch", "the value");
  if (!is_floating(x.dtype()))
    throw DtypeError(fmt::format("watch: a tensor of {} has no gradient; cast it to f32 or f64 first",
                                 name_of(x.dtype())));
  if (spent_) throw TapeSpent("watch: the tape is spent; reset it first");
  if (thread_->innermost != this)
    throw ForeignTape(
        "watch: another tape was opened inside this one and is innermost; watch under that one");
  const detail::Tag& tag = TensorAccess::tag(x);
  if (tag.epoch && live_not_foreign(x, "watch")) {
    if (tag.node->leaf) return x;
    throw ArgumentError(
        fmt::format("watch: this tape has computed the tensor of shape {}; ask Tape::grad for its gradient, "
                    "or watch its detach()",
                    to_string(x.shape())));
  }
  return add_leaf(x, 0);
}

Tensor Tape::track(Tensor value, std::uint64_t parameter) {
  Node* leaf = find_parameter(parameter);
  if (!leaf) {
    const NameScope* scope = thread_->scope;
    while (scope && !scope->kind_) scope = scope->outer_;
    if (scope) scope->kind_->reads_parameter(*scope, parameter, value.shape());
    return add_leaf(std::move(value), parameter);
  }
  TensorAccess::set_tag(value, {leaf->as_leaf().epoch, leaf});
  if (leaf->version != value.version()) throw_mutated(leaf, value, "parameter");
  return value;
}

Node* Tape::add_constant(const Tensor& x) { return TensorAccess::tag(add_leaf(x.detach(), 0)).node; }

// ---- the table of parameters ----

namespace {
/// Ids that follow each other, as those of a network do, have slots that do: a network of many parameters is read
/// from memory in order. Their upper bits tell apart those that are as far from each other as the table is long.
std::size_t slot_of(std::uint64_t id, std::size_t mask) {
  return static_cast<std::size_t>(id ^ id >> std::popcount(mask)) & mask;
}
}  // namespace

Node* Tape::find_parameter(std::uint64_t id) const noexcept {
  if (parameters_.empty()) return nullptr;
  const std::size_t mask = parameters_.size() - 1;
  for (std::size_t i = slot_of(id, mask);; i = (i + 1) & mask)
    if (!parameters_[i] || parameters_[i]->as_leaf().parameter == id) return parameters_[i];
}

void Tape::index_parameter(Node* leaf) {
  if (2 * (parameter_count_ + 1) > parameters_.size()) {
    PoolVector<Node*> old(std::max<std::size_t>(16, 2 * parameters_.size()), nullptr);
    old.swap(parameters_);
    parameter_count_ = 0;
    for (Node* n : old)
      if (n) index_parameter(n);
  }
  const std::size_t mask = parameters_.size() - 1;
  std::size_t i = slot_of(leaf->as_leaf().parameter, mask);
  while (parameters_[i]) i = (i + 1) & mask;
  parameters_[i] = leaf;
  ++parameter_count_;
}

void Tape::forget_parameters() noexcept {
  std::fill(parameters_.begin(), parameters_.end(), nullptr);
  parameter_count_ = 0;
}

}  // namespace tapegrad
