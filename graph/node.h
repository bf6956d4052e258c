#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/tensor.h>

/// What a tape consists of. All of it lies in the tape's arena, is trivially destructible and of variable
/// size: the struct is the head, and what belongs to it follows in memory.
namespace tapegrad::detail {

/// A shape, followed by the sizes of its axes.
struct alignas(std::int64_t) PackedShape {
  std::uint8_t rank;
  Dtype dtype;

  std::span<const std::int64_t> dims() const {
    return {reinterpret_cast<const std::int64_t*>(this + 1), rank};
  }
  Shape shape() const { return Shape(dims().data(), rank, Shape::Lean::copy); }
  std::int64_t size() const {
    std::int64_t n = 1;
    for (const std::int64_t d : dims()) n *= d;
    return n;
  }
  bool same_shape(const PackedShape& o) const {
    return this == &o || (rank == o.rank && has_dims(o.dims().data()));
  }
  bool describes(const Tensor& t) const {
    return t.dtype() == dtype && t.rank() == rank && has_dims(t.shape().dims().data());
  }

  /// A tensor of this shape. Takes over one reference on `storage`.
  Tensor tensor(Storage* storage, std::byte* data, const Tag& tag = {}) const {
    return TensorAccess::adopt(storage, data, shape(), dtype, tag);
  }

  static std::size_t bytes(const Shape& s) { return sizeof(PackedShape) + s.rank() * sizeof(std::int64_t); }
  static const PackedShape* write(void* memory, const Shape& s, Dtype dtype) {
    auto* p = new (memory) PackedShape{static_cast<std::uint8_t>(s.rank()), dtype};
    std::copy(s.dims().begin(), s.dims().end(), reinterpret_cast<std::int64_t*>(p + 1));
    return p;
  }

 private:
  // Not std::equal: a call of memcmp takes longer than the few sizes.
  bool has_dims(const std::int64_t* other) const {
    const std::int64_t* const own = dims().data();
    for (std::size_t i = 0; i < rank; ++i)
      if (own[i] != other[i]) return false;
    return true;
  }
};

/// The path of a module, "net.fc2", followed by its characters.
struct ScopePath {
  std::size_t length;

  std::string_view text() const { return {reinterpret_cast<const char*>(this + 1), length}; }

  static std::size_t bytes(std::string_view path) { return sizeof(ScopePath) + path.size(); }
  static const ScopePath* write(void* memory, std::string_view path) {
    auto* p = new (memory) ScopePath{path.size()};
    std::copy(path.begin(), path.end(), reinterpret_cast<char*>(p + 1));
    return p;
  }
};

/// An input of a node: the node it came from (null: a constant) and its shape (null: the op takes an optional input
/// there, and none was given).
struct Edge {
  Node* node;
  const PackedShape* shape;
};

/// A value that backward reads: one reference on its storage, and the version it had.
struct Saved {
  Storage* storage;
  std::byte* data;
  std::uint32_t version;
};

/// What a parameter or watched tensor adds to its node.
struct Leaf {
  Node* previous;           ///< the leaf before it
  std::uint64_t parameter;  ///< its id; 0 for a watched tensor
  std::uint64_t epoch;      ///< that the tag of its tensor carries
};

/// One recorded operation, followed by its edges, its saved values, and the shapes of the residuals among these.
struct Node {
  const OpTable* op;
  Node* prev;  ///< recorded just before
  // The gradient while a backward pass runs, one reference; in recorded mode with the node that computed it.
  Storage* gradient;
  std::byte* gradient_data;
  Node* gradient_node;
  const ScopePath* scope;
  const PackedShape* shape;
  const void* attributes;
  std::uint32_t index;    ///< position on the tape
  std::uint32_t version;  ///< of its value's storage, when it was recorded
  std::uint32_t inputs;
  std::uint8_t order;         ///< how many more derivatives this node admits
  bool leaf : 1;              ///< a parameter or a watched tensor; its attributes are a Leaf
  bool needs_grad : 1;        ///< leads to a tensor whose gradient is asked
  bool target : 1;            ///< its gradient is itself asked
  bool listed : 1;            ///< among the nodes that a pass visits
  bool lacks_derivative : 1;  ///< has an input that depends on this tape and has no history
  bool below_lacking : 1;     ///< lacks a derivative, or depends on a node that does
  SaveMask saved_mask;        ///< which values it still holds; the saved ones stand in order of their bits

  Edge* edges() { return reinterpret_cast<Edge*>(this + 1); }
  const Edge* edges() const { return reinterpret_cast<const Edge*>(this + 1); }
  Saved* saved() { return reinterpret_cast<Saved*>(edges() + inputs); }
  /// Where the value of a bit of saved_mask stands.
  Saved& saved_at(unsigned bit) { return saved()[count(below(saved_mask, bit))]; }
  const Saved& saved_at(unsigned bit) const { return const_cast<Node*>(this)->saved_at(bit); }
  /// The shapes of the saved residuals, in order.
  const PackedShape** residual_shapes() {
    return reinterpret_cast<const PackedShape**>(saved() + count(saved_mask));
  }
  /// The shape of the value of a bit of saved_mask.
  const PackedShape& saved_shape(unsigned bit) {
    if (bit < kOutputBit) return *edges()[bit].shape;
    if (bit == kOutputBit) return *shape;
    return *residual_shapes()[count(
        below(static_cast<SaveMask>(saved_mask >> kResidualBit), bit - kResidualBit))];
  }
  const Leaf& as_leaf() const { return *static_cast<const Leaf*>(attributes); }

  bool has_gradient() const { return gradient != nullptr; }
  void put_gradient(Tensor&& g, Node* computed_by = nullptr) {
    gradient_data = TensorAccess::data(g);
    gradient_node = computed_by;
    gradient = TensorAccess::disown(g);
  }
  Tensor take_gradient(const Tag& tag = {}) {
    return shape->tensor(std::exchange(gradient, nullptr), gradient_data, tag);
  }
  Tensor copy_gradient(const Tag& tag = {}) const {
    retain(gradient);
    return shape->tensor(gradient, gradient_data, tag);
  }
  void drop_gradient() noexcept {
    if (gradient) release(std::exchange(gradient, nullptr));
  }
  void drop_saved() noexcept {
    const Saved* s = saved();
    for (SaveMask m = std::exchange(saved_mask, SaveMask{0}); m; m = without_lowest(m))
      release((s++)->storage);
  }

  static SaveMask below(SaveMask m, unsigned bit) { return static_cast<SaveMask>(m & ((1u << bit) - 1u)); }
  static SaveMask without_lowest(SaveMask m) { return static_cast<SaveMask>(m & (m - 1)); }
  static std::size_t count(SaveMask m) {  // a loop of few rounds: not every target has the instruction
    std::size_t n = 0;
    for (; m; m = without_lowest(m)) ++n;
    return n;
  }
};
static_assert(sizeof(Node) == 80 && sizeof(Node) % alignof(Edge) == 0 && sizeof(Edge) % alignof(Saved) == 0);

}  // namespace tapegrad::detail
