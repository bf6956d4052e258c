#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>

namespace tapegrad {

namespace detail {
struct Node;
struct OpTable;
}  // namespace detail

/// A tape to look at: its nodes in the order of recording, with their operations, edges and attributes. For tools
/// that draw, examine or export a tape; nothing can be changed through it. It is a picture of the moment it was
/// made: it is valid until the tape is reset, rewound or destroyed, and does not show what is recorded later.
class TAPEGRAD_API TapeView {
 public:
  class Node;

  /// An input of a node.
  class TAPEGRAD_API Input {
   public:
    /// False for an optional input that was not given; it has neither shape nor dtype.
    bool given() const noexcept { return shape_ != nullptr; }
    /// The position of the node that computed it; none for a constant.
    std::optional<std::size_t> node() const noexcept { return node_; }
    /// Its shape and dtype.
    Shape shape() const;
    Dtype dtype() const;
    /// As Node::type_text.
    std::string type_text() const;

   private:
    friend class Node;
    std::optional<std::size_t> node_;
    const void* shape_ = nullptr;
  };

  /// A node: an operation that was recorded, or a leaf.
  class TAPEGRAD_API Node {
   public:
    /// Its position on the tape, from 0.
    std::size_t index() const noexcept;
    /// The operation; "leaf" for a parameter or a watched tensor.
    std::string_view op() const noexcept;
    /// Whether it is a parameter or a watched tensor.
    bool is_leaf() const noexcept;
    /// The id of a leaf's parameter; 0 for a watched tensor, and for what is no leaf.
    std::uint64_t parameter() const noexcept;
    /// Shape and dtype of its result.
    Shape shape() const;
    Dtype dtype() const;
    /// "[2, 3] f64", for labels; of f32, which most tensors are, the shape alone.
    std::string type_text() const;
    /// The module it was computed in, as "net.fc2"; empty outside any.
    std::string_view scope() const noexcept;
    /// How many inputs it has, and input i.
    std::size_t inputs() const noexcept;
    Input input(std::size_t i) const;
    /// Its value, without history; an undefined tensor where the tape does not hold it. One that records everything
    /// (Recording::everything) holds all. Throws MutatedSaved where it was changed since.
    Tensor value() const;
    /// Tells the visitor the operation's attributes; none where it has none, or does not name them.
    void describe(AttributeVisitor& visitor) const;
    /// The table the engine knows the operation by: the same for all nodes of one operation.
    const detail::OpTable& table() const noexcept;

   private:
    friend class TapeView;
    explicit Node(const detail::Node* node) noexcept : node_(node) {}
    const detail::Node* node_;
  };

  /// Elements that were handed out, by which a program may decide what it computes next.
  struct Read {
    Tensor tensor;              ///< whose elements they were, without history
    std::string_view function;  ///< "item", "values" (to_vector calls it), "mutable_values" or "copy"
    std::string_view scope;     ///< the module it was called in, as of a node
  };

  /// Of the nodes recorded so far.
  explicit TapeView(const Tape& tape);

  /// Number of nodes, whether there is none, and the node at a position from 0, which is not checked.
  std::size_t size() const noexcept { return nodes_.size(); }
  bool empty() const noexcept { return nodes_.empty(); }
  Node operator[](std::size_t index) const { return Node(nodes_[index]); }
  /// The node of a tensor that this tape has recorded or watches; none for any other.
  std::optional<std::size_t> find(const Tensor& tensor) const;

  /// What a tape that records everything (Recording::everything) saw handed out, in that order; of others nothing.
  std::vector<Read> reads() const;

  /// Walks the nodes in the order of recording.
  class Iterator {
   public:
    /// At this place of the view's list.
    explicit Iterator(const detail::Node* const* at) noexcept : at_(at) {}
    /// The node there; and on to the next one.
    Node operator*() const { return Node(*at_); }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    friend bool operator==(Iterator, Iterator) = default;

   private:
    const detail::Node* const* at_;
  };
  /// The first node, and the end behind the last.
  Iterator begin() const noexcept { return Iterator(nodes_.data()); }
  Iterator end() const noexcept { return Iterator(nodes_.data() + nodes_.size()); }

 private:
  const Tape& tape_;
  std::vector<const detail::Node*> nodes_;
};

}  // namespace tapegrad
